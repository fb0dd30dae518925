"""Stage 06, first half: train the lung U-Net on pictures with masks, where the input has any."""

import json
import shutil

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.data.draw import hold_out
from cxr.data.external import refuse_repeats
from cxr.data.lung_batches import lung_loader
from cxr.data.masks import SLUG, load_pairs, read_lung_masks
from cxr.models.segmenters import UNet, lung_probabilities
from cxr.provenance import data_digest
from cxr.training.cross_validation import configuration, run_once
from cxr.training.fit import Recipe, Stage, fit
from cxr.training.losses import dice_loss
from cxr.training.runs import leave_absent
from cxr.training.start import LUNGS, Start, source_name
from cxr.workspace import Workspace

HELD_OUT = 0.2  # of the pictures
FEWEST = 5  # pictures with a mask: with fewer, a fifth is less than one
WARMUP = 0.05  # of all steps
# what shapes this training: when one of these changes, a finished one is not the one that would be trained now
CODE = (
    "cxr.training.segmentation",
    "cxr.training.fit",
    "cxr.training.losses",
    "cxr.models.segmenters",
    "cxr.data.masks",
    "cxr.data.lung_batches",
    "cxr.data.pictures",
)
FROM_NOTHING = Start(None, None, ())


def train_lungs(workspace: Workspace) -> dict | None:
    """Train on four fifths of the pictures, score on the rest; returns the record of run.json.

    None when the input has no lung masks, or too few: that is said in one line, older results are removed, and the
    model's folder holds `absent.json` with the reason. A finished training is kept while settings, data and code are
    the same.
    """
    folder, place = workspace.companion(SLUG), workspace.places.lungs_model
    if folder is None:
        return _do_without(workspace, f"no lung masks (folder {SLUG}/) in the input")
    pairs, findings = read_lung_masks(folder)
    for line in findings:
        print(f"note: {line}")
    if len(pairs) < FEWEST:
        return _do_without(
            workspace, f"{folder} has {len(pairs)} usable pictures with a lung mask, {FEWEST} are needed"
        )
    pixels, masks = load_pairs(pairs, workspace.profile.lungs.size)
    kept = refuse_repeats(workspace, source_name(workspace, LUNGS), pairs, pixels)
    pairs, pixels, masks = pairs[kept].reset_index(drop=True), pixels[kept], masks[kept]
    if len(pairs) < FEWEST:
        return _do_without(
            workspace, f"{folder} has {len(pairs)} pictures that the competition has not, {FEWEST} are needed"
        )
    data = data_digest(pairs[["image_id", "patient_id"]], pixels, masks)
    config = configuration(workspace.profile.lungs, FROM_NOTHING, data, CODE)

    def train() -> tuple[dict[str, Tensor], dict]:
        return train_unet(workspace, pairs, pixels, masks)

    if not run_once(workspace, place, config, FROM_NOTHING, [source_name(workspace, LUNGS)], train):
        print("lungs: trained already, kept")
    return json.loads((place / "run.json").read_text())


def _do_without(workspace: Workspace, reason: str) -> None:
    """Remove what an older run left, so that no stage takes it for this run's, and leave the reason."""
    shutil.rmtree(workspace.places.lungs, ignore_errors=True)
    workspace.places.lungs_table.unlink(missing_ok=True)
    leave_absent(workspace.places.lungs_model, reason)


def train_unet(
    workspace: Workspace, pairs: pd.DataFrame, pixels: np.ndarray, masks: np.ndarray
) -> tuple[dict[str, Tensor], dict]:
    """Train with the profile's settings; returns the state dict and what to record.

    pairs: image_id, patient_id; pixels, masks: uint8 [N x S x S] of the same rows, masks 0 or 1.
    """
    s, ids, held_out = workspace.profile.lungs, pairs["image_id"].to_numpy(), hold_out(pairs["patient_id"], HELD_OUT)
    print(f"lungs: {(~held_out).sum()} pictures to learn from, {held_out.sum()} held out", flush=True)
    loaders = [
        lung_loader(list(ids[rows]), pixels[rows], masks[rows], s.batch, s.seed, training)
        for rows, training in ((~held_out, True), (held_out, False))
    ]
    torch.manual_seed(s.seed)
    network = UNet(s.width, s.depth)
    recipe = Recipe(
        (Stage(s.epochs, s.lr),),
        s.seed,
        weight_decay=s.weight_decay,
        warmup_fraction=WARMUP,
        loss_weights={"dice": s.dice_weight},
        max_seconds=workspace.clock.share(workspace.profile.budget.lungs_share),
    )
    record = fit(network, lung_losses, *loaders, recipe, workspace.places.lungs_model)
    found = lung_probabilities(network, pixels[held_out], s.size) > 0.5
    scores = overlap_scores(found, masks[held_out] > 0)
    return network.state_dict(), {**record, **scores, "images": len(pairs), "held_out": int(held_out.sum())}


def lung_losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
    """Binary cross entropy and Dice loss; batch: `pixels` uint8 and `mask` float, both [B x 1 x S x S]."""
    # sums over a whole picture need more digits than bf16 has
    logits = network(batch["pixels"]).float()
    return {
        "bce": F.binary_cross_entropy_with_logits(logits, batch["mask"]),
        "dice": dice_loss(logits, batch["mask"]),
    }


def overlap_scores(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean Dice and Jaccard over the pictures of bool masks [N x S x S], and the lowest Dice of one."""
    both, either = (found & truth).sum((1, 2)), (found | truth).sum((1, 2))
    dice, jaccard = 2 * both / np.maximum(both + either, 1), both / np.maximum(either, 1)
    values = {"dice": dice.mean(), "jaccard": jaccard.mean(), "lowest_dice": dice.min()}
    return {name: round(float(value), 4) for name, value in values.items()}
