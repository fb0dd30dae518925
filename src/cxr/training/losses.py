"""Losses as dictionaries of named tensors: the engine weighs, checks and adds them."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.images.lungs import UNKNOWN

# runs the network on a batch and returns its losses by name; a batch holds `image_id`, a list of the images in it
Losses = Callable[[nn.Module, dict], dict[str, Tensor]]
NOWHERE = -1e4  # a logit whose sigmoid is 0


def study_losses(class_weights: Tensor | None = None, focal: float = 0.0) -> Losses:
    """Losses of a study classifier: cross entropy of the study classes, and one for each other head that it has.

    The network gives `classes` logits [B x 4], maybe `mask` logits [B x 1 x h x w] and `none` logits [B]. batch:
    `pixels`, `target` float [B x 4] (one hot, or probabilities), `weight` float [B] of each image, `mask` float
    [B x 1 x h x w] in 0..1, the share of each cell that boxes cover, `empty` float [B], 1 without a box. Images without
    boxes count for BCE of the mask (it is empty) but not for Dice, which an empty mask leaves undefined; where boxes
    are unknown, `mask` and `empty` are NaN and count for nothing.
    class_weights: float [4] (`even_class_weights`), by which classes count; focal: gamma of the focal loss (Lin et al.
    2017, equation 4), 0 is plain cross entropy.
    """

    def losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
        outputs, weight = network(batch["pixels"]), batch["weight"]
        named = {"class": class_loss(outputs["classes"], batch["target"], weight, class_weights, focal)}
        if "mask" in outputs:
            known = torch.isfinite(batch["mask"])
            logits, target = outputs["mask"].masked_fill(~known, NOWHERE), batch["mask"].nan_to_num()
            named["mask"] = F.binary_cross_entropy_with_logits(logits, target) + dice_loss(logits, target)
        if "none" in outputs:
            known = torch.isfinite(batch["empty"])
            each = F.binary_cross_entropy_with_logits(
                outputs["none"].float(), batch["empty"].nan_to_num(), reduction="none"
            )
            named["none"] = (each * known).sum() / known.sum().clamp(min=1)
        return named

    return losses


def class_loss(
    logits: Tensor, target: Tensor, weight: Tensor, class_weights: Tensor | None = None, focal: float = 0.0
) -> Tensor:
    """Weighted mean of the images' cross entropy with `target` [B x C], which may be soft; see `study_losses`.

    The weights of classes do not change a batch's share in the whole: they are divided by the batch size, not by their
    sum, so that accumulated and shared batches add up to the same.
    """
    chances = logits.float().log_softmax(1)
    each = -target * chances
    if focal:
        each = each * (1 - chances.exp()) ** focal
    if class_weights is not None:
        each = each * class_weights.to(logits.device)
    return (each.sum(1) * weight).mean()


def picture_losses(class_weights: Tensor | None = None, smoothing: float = 0.0, l1: float = 0.0) -> Losses:
    """Losses of a classifier that gives logits [B x C]: cross entropy, and with `l1` the sum of all weights' sizes.

    batch: `pixels`, `target` float [B x C]. With two classes whose logits are z and -z, halved, as `PictureNet` gives
    them, this is binary cross entropy of z. smoothing: the share of a target that is spread evenly over all classes
    (paper 001, section 5.3); l1: what the sum counts (paper 002, section II-B).
    """

    def losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
        target = batch["target"]
        target = target * (1 - smoothing) + smoothing / target.shape[1]
        logits = network(batch["pixels"])
        named = {"class": class_loss(logits, target, torch.ones(len(target), device=target.device), class_weights)}
        if l1:
            named["l1"] = l1 * sum(weight.abs().sum() for weight in network.parameters() if weight.ndim > 1)
        return named

    return losses


def even_class_weights(targets: np.ndarray) -> Tensor:
    """Weights by inverse frequency of targets [N x C], their mean over the images 1; a class nobody has gets 0."""
    counts = targets.sum(0)
    weights = np.divide(len(targets), counts * (counts > 0).sum(), out=np.zeros(len(counts)), where=counts > 0)
    return torch.tensor(weights, dtype=torch.float32)


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


def lung_losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
    """Binary cross entropy and Dice loss of lung or not; batch: `pixels` uint8 and `mask` float, both [B x 1 x S x S].

    Pixels of the mask that are UNKNOWN count for neither.
    """
    # sums over a whole picture need more digits than bf16 has
    logits, known = network(batch["pixels"]).float(), batch["mask"] != UNKNOWN
    target = batch["mask"] * known
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # a logit far below zero is a probability of 0, which adds nothing to the sums of Dice
    return {
        "bce": (each * known).sum() / known.sum().clamp(min=1),
        "dice": dice_loss(logits.masked_fill(~known, NOWHERE), target),
    }


def structure_losses(weights: Tensor) -> Losses:
    """Losses for maps of structures: cross entropy weighted by class (paper 002), and Dice averaged over structures.

    weights: float [classes]. batch: `pixels` uint8, `mask` float, a map of class numbers or UNKNOWN, [B x 1 x S x S].
    """

    def losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
        logits, target = network(batch["pixels"]).float(), batch["mask"][:, 0].long()
        known, chances = (target != UNKNOWN)[:, None], logits.softmax(1)
        drawn = F.one_hot(target.clamp(max=len(weights) - 1), len(weights)).movedim(-1, 1) * known
        parts = [
            squared_dice_loss(chances[:, [number]] * known, drawn[:, [number]].float())
            for number in range(1, len(weights))
        ]
        entropy = F.cross_entropy(logits, target, weights.to(logits.device), ignore_index=UNKNOWN)
        return {"entropy": entropy, "dice": torch.stack(parts).mean()}

    return losses


def class_weights(maps: np.ndarray, classes: int) -> Tensor:
    """Weights by inverse frequency, mean 1, of maps uint8 [N x S x S]; a class that is nowhere gets the mean."""
    counts = np.bincount(maps[maps != UNKNOWN].ravel(), minlength=classes)[:classes].astype(float)
    weights = np.divide(1.0, counts, out=np.full(classes, np.nan), where=counts > 0)
    weights = np.where(np.isnan(weights), np.nanmean(weights), weights)
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """`squared_dice_loss` of logits."""
    return squared_dice_loss(logits.sigmoid(), target)


def squared_dice_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - Dice with squared terms in the denominator (paper 000, equation 1), both [B x ...] in 0..1; the mean over the
    images whose target is not empty; 0 if all are."""
    prediction, target = prediction.flatten(1), target.flatten(1)
    overlap = 2 * (prediction * target).sum(1)
    size = prediction.square().sum(1) + target.square().sum(1)
    filled = (target.sum(1) > 0).to(prediction.dtype)
    return ((1 - overlap / size.clamp(min=1e-6)) * filled).sum() / filled.sum().clamp(min=1)
