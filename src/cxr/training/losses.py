"""Losses as dictionaries of named tensors: the engine weighs, checks and adds them."""

from torch import Tensor
from torch.nn import functional as F


def study_losses(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Cross entropy of the study classes, and for a net with a mask head BCE + Dice on box masks.

    outputs: `classes` logits [B x 4], optionally `mask` logits [B x 1 x h x w]. batch: `target` int [B], `mask` float
    [B x 1 x h x w] in 0..1, the share of each cell that boxes cover. Images without boxes count for
    BCE (their mask is empty) but not for Dice, which an empty mask leaves undefined.
    """
    losses = {"class": F.cross_entropy(outputs["classes"], batch["target"])}
    if "mask" in outputs:
        losses["mask"] = F.binary_cross_entropy_with_logits(outputs["mask"], batch["mask"]) + dice_loss(
            outputs["mask"], batch["mask"]
        )
    return losses


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice with squared terms in the denominator, mean over the images whose target is not empty; 0 if all are."""
    prediction, target = logits.sigmoid().flatten(1), target.flatten(1)
    overlap = 2 * (prediction * target).sum(1)
    size = prediction.square().sum(1) + target.square().sum(1)
    filled = (target.sum(1) > 0).to(logits.dtype)
    return ((1 - overlap / size.clamp(min=1e-6)) * filled).sum() / filled.sum().clamp(min=1)
