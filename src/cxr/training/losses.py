"""Losses as dictionaries of named tensors: the engine weighs, checks and adds them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def study_losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
    """Cross entropy of the study classes, and for a net with a mask head BCE + Dice on box masks.

    The network gives `classes` logits [B x 4], optionally `mask` logits [B x 1 x h x w]. batch: `pixels`, `target` int
    [B], `mask` float [B x 1 x h x w] in 0..1, the share of each cell that boxes cover. Images without boxes count for
    BCE (their mask is empty) but not for Dice, which an empty mask leaves undefined.
    """
    outputs = network(batch["pixels"])
    losses = {"class": F.cross_entropy(outputs["classes"], batch["target"])}
    if "mask" in outputs:
        losses["mask"] = F.binary_cross_entropy_with_logits(outputs["mask"], batch["mask"]) + dice_loss(
            outputs["mask"], batch["mask"]
        )
    return losses


def multilabel_losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
    """Binary cross entropy with logits over several labels at once; batch: `pixels`, `target` float [B x C].

    NaN in a target means unknown and counts for nothing (the table promise: 1, 0, NaN).
    """
    logits, target = network(batch["pixels"]).float(), batch["target"]
    known = torch.isfinite(target)
    each = F.binary_cross_entropy_with_logits(logits, torch.where(known, target, 0.0), reduction="none")
    return {"labels": (each * known).sum() / known.sum().clamp(min=1)}


def detection_losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
    """The losses that a torchvision detector computes itself: classes and boxes of both of its stages.

    batch: `pixels` uint8 [B x 1 x S x S], `boxes_xyxy` list of float [N_i x 4] in pixels of S, `labels` list of int
    [N_i] (1 = opacity). torchvision gives losses only in training mode; in validation the batch norms stay at rest.
    """
    training = network.training
    if not training:
        network.train()
        for part in network.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
    targets = [
        {"boxes": boxes, "labels": labels} for boxes, labels in zip(batch["boxes_xyxy"], batch["labels"], strict=True)
    ]
    named = network(batch["pixels"], targets)
    network.train(training)
    return {name.removeprefix("loss_"): value for name, value in named.items()}


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice with squared terms in the denominator, mean over the images whose target is not empty; 0 if all are."""
    prediction, target = logits.sigmoid().flatten(1), target.flatten(1)
    overlap = 2 * (prediction * target).sum(1)
    size = prediction.square().sum(1) + target.square().sum(1)
    filled = (target.sum(1) > 0).to(logits.dtype)
    return ((1 - overlap / size.clamp(min=1e-6)) * filled).sum() / filled.sum().clamp(min=1)
