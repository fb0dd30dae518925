"""The bookkeeping of trainings: which fold learns from what, what is finished already, what goes into the record.

A finished fold is never trained again while its settings, data, starting weights and training code stay the same.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from cxr.budget import TRAINING
from cxr.data.lung_views import WHOLE, LungViews, see_training
from cxr.data.prepare import load_training
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.provenance import data_digest
from cxr.stamps import own_digests
from cxr.training import ranks
from cxr.training.runs import drop_checkpoint, finish_run, is_finished, start_run
from cxr.training.start import SIIM, Start, source_name
from cxr.workspace import Workspace


class Fold(NamedTuple):
    """What one training gets: all images with their truth and pixels, which of them to learn from, where to keep it."""

    number: int
    folder: Path
    images: pd.DataFrame
    boxes: pd.DataFrame
    pixels: np.ndarray | LungViews  # uint8 [N x S x S], rows of `images`; or [h x w] each
    training: list[str]  # image ids
    held_out: list[str]
    start: Start
    seconds: float  # that the clock allows

    def part(self, ids: list[str]) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray | LungViews]:
        """Images, boxes and pixels of some image ids, for a loader."""
        rows = np.flatnonzero(self.images["image_id"].isin(ids))
        return self.images.iloc[rows], self.boxes, self.pixels[rows]


Train = Callable[[Workspace, Fold], tuple[dict[str, Tensor], dict]]  # to a state dict and what to record
Predict = Callable[[Path, pd.DataFrame, np.ndarray], pd.DataFrame]


def each_fold(
    workspace: Workspace,
    name: str,
    settings: object,
    start: Start,
    share: float,
    train: Train,
    predict: Predict,
    code: tuple[str, ...],
    only: Sequence[int] | None = None,
    taught_by: Mapping[str, str] | None = None,
) -> pd.DataFrame | None:
    """Train what is not trained yet, predict each fold by the model without it; the out-of-fold table of all images.

    only: train these folds and predict nothing. None is returned then, and in every process but the first (`ranks`).
    taught_by: what else decides how a training comes out, by name; the names stand among its sources.

    settings: a profile section, whose `lungs`, if any, says what the model sees of a picture (`data.lung_views`);
    share: of the clock; code: modules that shape the training, so that a fold trained by other code is trained again.
    """
    images, boxes, pixels = load_training(workspace)
    numbers = sorted(images["fold"].unique())
    seen, masks = see_training(workspace, getattr(settings, "lungs", WHOLE), images, boxes, pixels)
    data = data_digest(images[["image_id", "fold", "role", "pixel_hash", *STUDY_CLASSES]], boxes, *masks)
    taught_by = taught_by or {}
    sources = [*start.sources, source_name(workspace, SIIM), *taught_by]
    unknown = sorted(set(only or ()) - set(numbers))
    if unknown:
        raise DataFault(f"fold {unknown[0]}: there are {', '.join(map(str, numbers))}")
    for number in numbers if only is None else only:
        folder = workspace.places.model(name, number)
        config = configuration(
            settings, start, data, code, fold=int(number), **({"taught_by": taught_by} if taught_by else {})
        )

        def train_fold(number=number, folder=folder):
            seconds = workspace.clock.share(share, len(numbers) - number)
            fold = Fold(number, folder, *seen[:3], *split(images, number), start, seconds)
            print(f"fold {number}: {len(fold.training)} images, {start.words}", flush=True)
            return train(workspace, fold)

        if not run_once(workspace, folder, config, start, sources, train_fold):
            print(f"fold {number}: trained already, kept")
    if only is not None or not ranks.is_first():
        return None
    found = []
    for number in numbers:
        rows = np.flatnonzero(images["fold"] == number)
        folder = workspace.places.model(name, number)
        found.append(seen.back(predict(folder, seen.images.iloc[rows], seen.pixels[rows])))
    return pd.concat(found, ignore_index=True)


def configuration(settings: object, start: Start, data: str, code: tuple[str, ...], **more: object) -> dict:
    """What decides how a training comes out: while it stays the same, a finished run folder is kept."""
    return {
        "settings": asdict(settings),
        "weights": start.identity,
        "data": data,
        "code": own_digests(("cxr.training.cross_validation", *code)),
        **more,
    }


def run_once(
    workspace: Workspace,
    folder: Path,
    config: dict,
    start: Start,
    sources: list[str],
    train: Callable[[], tuple[dict[str, Tensor], dict]],
) -> bool:
    """Train into a run folder unless this very configuration is finished there; returns whether it was trained."""
    done = is_finished(folder, config)
    ranks.wait()  # until all have looked: then the first one may write
    if done:
        if ranks.is_first():
            drop_checkpoint(folder)  # of a training that was killed between its last two files
        return False
    if ranks.is_first():
        start_run(folder, config)
    ranks.wait()
    before = time.process_time()
    state, record = train()
    record = {**record, "cpu_seconds": round(time.process_time() - before, 1)}
    if ranks.is_first():
        _finish(workspace, folder, config, start, sources, state, record)
    ranks.wait()
    return True


def _finish(
    workspace: Workspace,
    folder: Path,
    config: dict,
    start: Start,
    sources: list[str],
    state: dict[str, Tensor],
    record: dict,
) -> None:
    for event in _events(record):
        workspace.clock.tell(TRAINING, f"{folder.relative_to(workspace.places.root)}: {event}")
    where = {"data": workspace.inputs["data"], **start.record(), "training_sources": sources}
    seed = config["settings"]["seed"]
    record |= {**where, "profile": workspace.profile.name, "seed": seed, "processes": ranks.count()}
    finish_run(folder, state, record)


def _events(record: dict) -> list[str]:
    """What a person should know about how a training went, in words."""
    resumed, epochs = record.get("resumed_after_epoch"), record["epochs"]
    return [
        *([f"was interrupted, went on after epoch {resumed}"] if resumed else []),
        *([f"cut short by the clock in epoch {epochs}"] if record["clock_bound"] else []),
    ]


def split(images: pd.DataFrame, fold: int) -> tuple[list[str], list[str]]:
    """Image ids to train on and to hold out; boxless duplicates of boxed studies are in neither."""
    usable = images["role"] == "train"
    training = images["image_id"][usable & (images["fold"] != fold)]
    held_out = images["image_id"][usable & (images["fold"] == fold)]
    if training.empty or held_out.empty:
        raise DataFault(
            f"fold {fold} leaves {len(training)} images for training and {len(held_out)} to hold out; "
            "ask for fewer folds"
        )
    return list(training), list(held_out)
