"""Stage 06, first half: train the lung segmenter on pictures with masks, where the input has any."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cxr.data.draw import hold_out
from cxr.data.external import refuse_repeats
from cxr.data.lung_batches import lung_loader
from cxr.data.mask_sets.sets import MASK_SETS, annotated, read_mask_sets
from cxr.data.masks import load_pairs
from cxr.faults import DataFault
from cxr.images.lungs import LEFT_LUNG, RIGHT_LUNG, STRUCTURES, UNDER_SEGMENTED, UNKNOWN, clean_mask, deformed_share
from cxr.images.overlap import dice_jaccard, structure_dice_jaccard
from cxr.models.segmenters import build_segmenter, class_probabilities
from cxr.profiles import Lungs
from cxr.provenance import data_digest
from cxr.training.aside import VALIDATED
from cxr.training.cross_validation import configuration, run_once
from cxr.training.fit import fit
from cxr.training.losses import class_weights, lung_losses, structure_losses
from cxr.training.recipe import Recipe, Stage
from cxr.training.runs import leave_absent
from cxr.training.start import LUNGS, Start, source_name
from cxr.workspace import Workspace

HELD_OUT = 0.2  # of the patients
FEWEST = 5  # pictures with a mask: with fewer, a fifth is less than one
WARMUP = 0.05  # of all steps
# what shapes this training: when one of these changes, a finished one is not the one that would be trained now
CODE = (
    "cxr.training.segmentation",
    "cxr.training.fit",
    "cxr.training.recipe",
    "cxr.training.best_epoch",
    "cxr.training.plateau",
    "cxr.training.losses",
    "cxr.models.segmenters",
    "cxr.models.layers",
    "cxr.models.unet",
    "cxr.models.resunet",
    "cxr.models.resunet_a",
    "cxr.models.trans_resunet",
    "cxr.models.fc_densenet",
    "cxr.data.masks",
    "cxr.data.mask_sets.examine",
    "cxr.data.mask_sets.parts",
    "cxr.data.lung_batches",
    "cxr.data.paper_augmentations",
    "cxr.data.pictures",
)
FROM_NOTHING = Start(None, None, ())


class LungPictures(NamedTuple):
    """Pictures with masks. pixels, masks: uint8 [N x S x S]; masks 0, 1 or UNKNOWN, or maps of STRUCTURES."""

    pairs: pd.DataFrame
    pixels: np.ndarray
    masks: np.ndarray

    def rows(self, chosen: np.ndarray) -> "LungPictures":
        """Some of them, by a bool or index array."""
        return LungPictures(self.pairs[chosen].reset_index(drop=True), self.pixels[chosen], self.masks[chosen])


def train_lungs(workspace: Workspace) -> dict | None:
    """Train on four fifths of the patients, score on the rest; returns the record of run.json.

    None when the input has no lung masks, or too few: that is said in one line, older results are removed, and the
    model's folder holds `absent.json` with the reason. A finished training is kept while settings, data and code are
    the same.
    """
    found = learn_lungs(workspace, workspace.profile.lungs, workspace.places.lungs_model)
    return _do_without(workspace, found) if isinstance(found, str) else found


def learn_lungs(workspace: Workspace, settings: Lungs, place: Path) -> dict | str:
    """A segmenter of these settings in the run folder `place`: its record, or in words why there can be none."""
    pictures = load_lung_pictures(workspace, settings)
    if isinstance(pictures, str):
        return pictures
    data = data_digest(pictures.pairs[["image_id", "patient_id"]], pictures.pixels, pictures.masks)
    config = configuration(settings, FROM_NOTHING, data, CODE)
    sources = [source_name(workspace, f"{LUNGS}, {source}") for source in sorted(set(pictures.pairs["source"]))]

    def train() -> tuple[dict[str, Tensor], dict]:
        held_out = hold_out(pictures.pairs["patient_id"], HELD_OUT)
        print(f"{place.name}: {(~held_out).sum()} pictures to learn from, {held_out.sum()} held out", flush=True)
        seconds = workspace.clock.share(workspace.profile.budget.lungs_share)
        parts = pictures.rows(~held_out), pictures.rows(held_out)
        network, record = train_segmenter(settings, *parts, place, seconds)
        scores = score_words(segment(network, settings, parts[1].pixels), parts[1])
        return network.state_dict(), {
            **record,
            **scores,
            "images": len(pictures.pairs),
            "held_out": int(held_out.sum()),
        }

    if not run_once(workspace, place, config, FROM_NOTHING, sources, train):
        print(f"{place.name}: trained already, kept")
    return json.loads((place / "run.json").read_text())


def load_lung_pictures(workspace: Workspace, settings: Lungs) -> LungPictures | str:
    """All pictures with masks of the input that the competition has not; or, in words, why there are too few."""
    folders = {slug: workspace.companion(slug) for slug in MASK_SETS}
    folders = {slug: folder for slug, folder in folders.items() if folder}
    if not folders:
        return f"no lung masks ({', '.join(f'{slug}/' for slug in MASK_SETS)}) in the input"
    try:
        pairs, findings = read_mask_sets(folders)
    except DataFault as fault:
        return str(fault)
    for line in findings:
        print(f"note: {line}")
    where, of = ", ".join(str(folder) for folder in folders.values()), ""
    if settings.structures:
        pairs = pairs[annotated(pairs, "right") & annotated(pairs, "left")].reset_index(drop=True)
        of = " of right and left apart, which lungs.structures needs"
    if len(pairs) < FEWEST:
        return f"{where} has {len(pairs)} usable pictures with a lung mask{of}, {FEWEST} are needed"
    pixels, masks = load_pairs(pairs, settings.size, settings.structures)
    kept = refuse_repeats(workspace, source_name(workspace, LUNGS), pairs, pixels)
    if kept.sum() < FEWEST:
        return f"{where} has {kept.sum()} pictures that the competition has not, {FEWEST} are needed"
    return LungPictures(pairs, pixels, masks).rows(kept)


def _do_without(workspace: Workspace, reason: str) -> None:
    """Remove what an older run left, so that no stage takes it for this run's, and leave the reason."""
    shutil.rmtree(workspace.places.lungs, ignore_errors=True)
    workspace.places.lungs_table.unlink(missing_ok=True)
    leave_absent(workspace.places.lungs_model, reason)


def train_segmenter(
    s: Lungs, training: LungPictures, held_out: LungPictures | None, folder: Path, seconds: float
) -> tuple[nn.Module, dict]:
    """A segmenter with these settings, and what `fit` records; held_out shows in `metrics.csv` alone.

    With `patience` a part of the training patients is set aside to find the best epoch, and shows there instead.
    """
    if s.patience:
        aside = hold_out(training.pairs["patient_id"], VALIDATED)
        if aside.all():
            raise DataFault(f"lungs.patience={s.patience}: one patient cannot be learned from and validated on; take 0")
        training, held_out = training.rows(~aside), training.rows(aside)
    loaders = [_loader(s, training, True), _loader(s, held_out, False) if held_out is not None else None]
    torch.manual_seed(s.seed)
    network = build_segmenter(s.network, s.width, s.depth, len(STRUCTURES) if s.structures else 1)
    recipe = Recipe(
        (Stage(s.epochs, s.lr),),
        s.seed,
        weight_decay=s.weight_decay,
        warmup_fraction=WARMUP,
        loss_weights={"dice": s.dice_weight, "bce": s.entropy_weight, "entropy": s.entropy_weight},
        max_seconds=seconds,
        ema=s.ema,
        schedule=s.schedule,
        patience=s.patience,
    )
    losses = structure_losses(class_weights(training.masks, len(STRUCTURES))) if s.structures else lung_losses
    return network, fit(network, losses, *loaders, recipe, folder)


def _loader(s: Lungs, part: LungPictures, training: bool) -> DataLoader:
    ids = list(part.pairs["image_id"])
    return lung_loader(ids, part.pixels, part.masks, s.batch, s.seed, training, s.structures, s.augmentation)


def segment(network: nn.Module, s: Lungs, pixels: np.ndarray) -> np.ndarray:
    """Masks uint8 [N x size x size] of pictures: 0 or 1, or maps of STRUCTURES."""
    found = class_probabilities(network, pixels, s.size)
    return (found.argmax(1) if s.structures else found[:, 0] > 0.5).astype(np.uint8)


def score_words(found: np.ndarray, truth: LungPictures) -> dict[str, object]:
    """What run.json says of held-out pictures: mean Dice and Jaccard of the lungs, the lowest Dice, the mean after the
    clean-up that masks get where they are used, pictures that paper 002 would call under-segmented, Dice and number of
    pictures by source and, where they are told apart, Dice, Jaccard and number of pictures of each structure."""
    structures = has_structures(truth.masks)
    lungs = [lungs_of(maps, structures) for maps in (found, truth.masks)]
    dice, jaccard = dice_jaccard(*lungs, truth.masks != UNKNOWN)
    deformed = [deformed_share(one, other) > UNDER_SEGMENTED for one, other in zip(*lungs, strict=True)]
    cleaned = np.stack([clean_mask(mask) for mask in lungs[0]])
    values = {"dice": np.nanmean(dice), "jaccard": np.nanmean(jaccard), "lowest_dice": np.nanmin(dice)}
    values["dice_cleaned"] = np.nanmean(dice_jaccard(cleaned, lungs[1], truth.masks != UNKNOWN)[0])
    parts = structure_dice_jaccard(found, truth.masks) if structures else {}
    parts.pop("lungs", None)  # said already
    for name, (one, other) in parts.items():
        values |= {f"dice_{name}": np.nanmean(one), f"jaccard_{name}": np.nanmean(other)}
    by_source = pd.Series(dice).groupby(truth.pairs["source"].to_numpy())
    return {
        **{name: round(float(value), 4) for name, value in values.items()},
        "under_segmented": int(sum(deformed)),
        **{f"tested_{name}": int((~np.isnan(one)).sum()) for name, (one, _) in parts.items()},
        "dice_by_source": {str(source): round(float(value), 4) for source, value in by_source.mean().items()},
        "tested_by_source": {str(source): int(count) for source, count in by_source.size().items()},
    }


def has_structures(maps: np.ndarray) -> bool:
    """Whether these are maps of STRUCTURES, not masks of 0, 1 and UNKNOWN."""
    return bool(maps.max(initial=0, where=maps != UNKNOWN) > 1)


def lungs_of(maps: np.ndarray, structures: bool) -> np.ndarray:
    """Where lungs are, bool [N x S x S], of maps of STRUCTURES or of masks."""
    return np.isin(maps, (RIGHT_LUNG, LEFT_LUNG)) if structures else maps == 1
