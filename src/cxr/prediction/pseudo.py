"""Pictures without labels, labelled by a model of the run for the next one to learn from (noisy student).

Xie et al. 2020, "Self-training with noisy student improves ImageNet classification": a teacher labels, a student with
more noise learns from true and from soft labels together, and may be the next teacher. Here every fold has a teacher of
its own, the model that never saw the fold, so that no label of a held-out image reaches its student.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.data.external import TRAIN, find_repeats
from cxr.data.pictures import Rows, cache_pictures, convert_picture
from cxr.data.siim import prediction_table
from cxr.faults import DataFault
from cxr.images.jobs import Done, Job, convert_one
from cxr.images.pool import worker_count
from cxr.labels import STUDY_CLASSES
from cxr.prediction.classify import StudyClassifier
from cxr.workspace import Workspace

BLOCK = 256  # pictures that a teacher sees at a time
PICTURES = (".dcm", ".png", ".jpg", ".jpeg")
CACHE = "pseudo"


class Unlabelled(NamedTuple):
    """N pictures without labels. images: image_id, height, width; pixels: uint8 [N x S x S], on disk."""

    name: str
    images: pd.DataFrame
    pixels: np.ndarray | Rows


def load_unlabelled(workspace: Workspace) -> Unlabelled:
    """The pictures of `pseudo.images`, or of the competition's test set, less those that the training set has too.

    They go to a cache on disk one by one, however many there are. A picture whose hash, or whose look, is that of a
    training picture is refused, since each of these is in some validation fold; the note says how many. DataFault where
    nothing is left.
    """
    s, size = workspace.profile.pseudo, workspace.profile.images.cache_size
    files, name = _files(workspace, s.images)
    files = files[: s.limit] if s.limit else files
    ids = [f"{CACHE}-{number:06d}-{path.stem}" for number, path in enumerate(files)]
    cache, workers = workspace.places.companion_cache(CACHE, size), worker_count(workspace.profile.images.workers)
    images, failures = cache_pictures(files, ids, size, cache, workers, _convert)
    for row in failures.itertuples():
        print(f"note: {row.path}: {row.reason}; left out")
    if images.empty:
        raise DataFault(
            f"pseudo.images={s.images or name}: none of {len(files)} pictures can be read; name another folder"
        )
    pixels = np.load(cache, mmap_mode="r")
    repeats = find_repeats(workspace, images, pixels, (TRAIN,))
    kept = ~images["image_id"].isin(repeats["image_id"]).to_numpy()
    print(
        f"pseudo-labels: {kept.sum()} pictures of {name}; {(~kept).sum()} refused, since a validation fold has them",
        flush=True,
    )
    if not kept.any():
        raise DataFault(f"pseudo.images={s.images or name}: every picture is a training picture too; name others")
    return Unlabelled(name, images[kept].reset_index(drop=True), Rows(pixels, np.flatnonzero(kept)))


def _files(workspace: Workspace, folder: str) -> tuple[list[Path], str]:
    if not folder:
        table, _ = prediction_table(workspace.competition)
        return [workspace.competition / path for path in table["path"]], "the competition's test set"
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in PICTURES)
    if not found:
        raise DataFault(f"pseudo.images={folder}: no file with one of {', '.join(PICTURES)} in it; name another folder")
    return found, Path(folder).name


def _convert(job: Job) -> Done:
    return convert_one(job) if job.file.suffix.lower() == ".dcm" else convert_picture(job)


def soft_labels(
    teacher: StudyClassifier, unlabelled: Unlabelled, least: float, weight: float
) -> tuple[pd.DataFrame, Rows]:
    """Rows for `data.datasets.StudyImages`, with probabilities in place of labels, and their pixels.

    Only pictures whose most probable class has `least` are kept, each with this weight; nothing is known of boxes.
    """
    table = pd.concat(list(_scores(teacher, unlabelled)), ignore_index=True)
    sure = table[list(STUDY_CLASSES)].max(axis=1).to_numpy() >= least
    rows = unlabelled.images.merge(table[sure], on="image_id", validate="one_to_one")
    return rows.assign(has_box=np.nan, weight=weight), Rows(unlabelled.pixels, np.flatnonzero(sure))


def _scores(teacher: StudyClassifier, unlabelled: Unlabelled) -> Iterator[pd.DataFrame]:
    for start in range(0, len(unlabelled.images), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(unlabelled.images)))
        yield teacher.predict(unlabelled.images.iloc[rows], unlabelled.pixels[rows])


class Both:
    """Two stacks of pictures as one: index and length like an array's, nothing is copied before it is asked for."""

    def __init__(self, first: object, second: object):
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.first[index] if index < len(self.first) else self.second[index - len(self.first)]


def joined(training: tuple, rows: pd.DataFrame, pixels: Rows) -> tuple[pd.DataFrame, pd.DataFrame, Both]:
    """A part of a fold (images, boxes, pixels) together with pictures that have soft labels."""
    images, boxes, own = training
    return pd.concat([images.assign(weight=1.0), rows], ignore_index=True), boxes, Both(own, pixels)
