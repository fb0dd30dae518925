"""Trainings of lung segmenters that are compared: which there are, each done once, and the scores of every picture.

Each training lies in a folder named by a digest of its settings, pictures and code: one that is finished is kept, also
by a later comparison that asks for it. One that the time cut short is scored, and trained anew the next time.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from cxr.data.draw import hash_order
from cxr.faults import DataFault
from cxr.images.lungs import STRUCTURES, UNKNOWN
from cxr.images.overlap import dice_jaccard
from cxr.models.segmenters import build_segmenter
from cxr.profiles import Lungs
from cxr.provenance import data_digest
from cxr.training.cross_validation import configuration
from cxr.training.runs import finish_run, is_finished, load_weights, start_run
from cxr.training.segmentation import CODE, FROM_NOTHING, LungPictures, lungs_of, segment, train_segmenter

FOLDS = 2
BY_NETWORK, BY_SHARE, BY_SET = "networks", "shares", "sets"  # what is compared


class Task(NamedTuple):
    """One training and the pictures that it is scored on."""

    compared: str
    name: str  # of the row of that comparison; in BY_SET the training set
    settings: Lungs
    training: LungPictures
    tested: LungPictures


def folds(
    pictures: LungPictures, share: float = 1.0, count: int = FOLDS
) -> Iterator[tuple[LungPictures, LungPictures]]:
    """To learn from and to test on, `count` times, each patient tested once; share: of the patients to learn from, the
    smaller part in the larger. DataFault where there are fewer patients than folds."""
    patients = pictures.pairs["patient_id"]
    order = hash_order(patients)
    if not 2 <= count <= len(order):
        raise DataFault(f"{count} folds of {len(order)} patients; ask for 2 to {len(order)}")
    for number in range(count):
        tested = set(order[number::count])
        others = [name for name in order if name not in tested]
        kept = others[: max(2, round(share * len(others)))]
        yield pictures.rows(patients.isin(kept).to_numpy()), pictures.rows(patients.isin(tested).to_numpy())


def across_sets(pictures: LungPictures, settings: Lungs, fewest: int, count: int) -> Iterator[Task]:
    """Trained on one set and tested on each other; on itself by folds. Sets with fewer pictures are left out."""
    sources = pictures.pairs["source"]
    names = sorted(name for name, number in sources.value_counts().items() if number >= fewest)
    for one in names:
        own = pictures.rows((sources == one).to_numpy())
        yield from (Task(BY_SET, one, settings, *parts) for parts in folds(own, count=count))
        others = pictures.rows(sources.isin([name for name in names if name != one]).to_numpy())
        if len(others.pairs):
            yield Task(BY_SET, one, settings, own, _without_patients(others, own))


def _without_patients(tested: LungPictures, training: LungPictures) -> LungPictures:
    """The same patient may be in two sets."""
    return tested.rows(~tested.pairs["patient_id"].isin(training.pairs["patient_id"]).to_numpy())


def scores(tasks: Sequence[Task], folder: Path, seconds: float) -> pd.DataFrame:
    """A row a tested picture: compared, name, image_id, patient_id, source, dice, jaccard, and of the training images,
    epochs, seconds, clock_bound.

    seconds: for all trainings together, of which each gets an equal part of what is left.
    """
    end, tables = time.monotonic() + seconds, []
    for number, task in enumerate(tasks):
        left = max(0.0, end - time.monotonic()) / (len(tasks) - number)
        words = f"{len(task.training.pairs)} pictures to learn from, {len(task.tested.pairs)} to test on"
        print(f"{number + 1}/{len(tasks)} {task.compared}, {task.name}: {words}", flush=True)
        tables.append(_scored(task, *trained(task.settings, task.training, folder, left)))
    return pd.concat(tables, ignore_index=True)


def trained(s: Lungs, training: LungPictures, folder: Path, seconds: float) -> tuple[nn.Module, dict]:
    """The segmenter and what its training recorded: the kept one, or a new one."""
    data = data_digest(training.pairs[["image_id", "patient_id"]], training.pixels, training.masks)
    config = configuration(s, FROM_NOTHING, data, CODE)
    place = folder / data_digest(config)
    record = place / "run.json"
    if is_finished(place, config) and not json.loads(record.read_text())["clock_bound"]:
        print("  trained already, kept")
        network = build_segmenter(s.network, s.width, s.depth, len(STRUCTURES) if s.structures else 1)
        return load_weights(network, place, "config.json").eval(), json.loads(record.read_text())
    start_run(place, config)
    network, found = train_segmenter(s, training, None, place, seconds)
    finish_run(place, network.state_dict(), {**found, "images": len(training.pairs)})
    return network, {**found, "images": len(training.pairs)}


def _scored(task: Task, network: nn.Module, record: dict) -> pd.DataFrame:
    found = segment(network, task.settings, task.tested.pixels)
    truth, structures = task.tested.masks, task.settings.structures
    overlap = dice_jaccard(lungs_of(found, structures), lungs_of(truth, structures), truth != UNKNOWN)
    columns = task.tested.pairs[["image_id", "patient_id", "source"]].reset_index(drop=True)
    columns.insert(0, "compared", task.compared)
    columns.insert(1, "name", task.name)
    known = {name: record[name] for name in ("images", "epochs", "seconds", "clock_bound")}
    return columns.assign(dice=np.round(overlap[0], 5), jaccard=np.round(overlap[1], 5), **known)
