"""What the stages of a run hold in memory, and what its trainings ask of a GPU.

Memory that is mapped from a cache is page cache: the system drops it when somebody needs the room, and reads it again.
It is listed apart and is in no sum.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from cxr.data.near_duplicates import SIDE as THUMBNAIL
from cxr.footprint.counts import CORES, Counts, Training, keeps_average, optimizer_states, trainings, workers
from cxr.images.worker import DEFAULT_LIMITS
from cxr.profiles import Profile

KAGGLE_MEMORY, KAGGLE_GPU = 29e9, 15e9  # bytes; of a T4's 16 GB the driver keeps some
OWN, PAGES = "own", "page cache"
# bytes
LIBRARIES = 3e9  # Python, torch, notebook and starter: 1.5 GB measured without a GPU, CUDA's libraries double that
BOX_ROW = 100  # a row of a box table: two names and five numbers
UNIT = 4 * THUMBNAIL**2  # a picture as float32, to be correlated
CUDA = 6e8  # of a GPU: context, cuDNN, cuBLAS
COLOURS = 3  # channels of a picture that ultralytics keeps
MARGIN = 1.2  # on what a GPU is estimated to hold: scratch memory of its kernels, pieces too small to use


class Held(NamedTuple):
    """Something in memory during a stage: OWN memory or PAGES, in bytes."""

    stage: str
    what: str
    bytes: float
    kind: str = OWN


def memory(profile: Profile, counts: Counts | None = None, cores: int = CORES) -> pd.DataFrame:
    """stage, what, bytes, kind (own, page cache) of all that counts, for the input's `counts` and so many cores."""
    drawn = (counts or Counts()).drawn(profile)
    parts = (_reading(profile, drawn, workers(profile, cores)), _pretraining(profile, drawn), _training(profile, drawn))
    rows = [held for part in (*parts, _predicting(profile, drawn, workers(profile, cores))) for held in part]
    stages = sorted({held.stage for held in rows})
    rows = [Held(stage, "Python and libraries", LIBRARIES) for stage in stages] + [held for held in rows if held.bytes]
    table = pd.DataFrame(rows, columns=Held._fields).sort_values("stage", kind="stable", ignore_index=True)
    return table.assign(bytes=table["bytes"].round().astype("int64"))


def memory_by_stage(table: pd.DataFrame) -> pd.Series:
    """Own memory in bytes of each stage."""
    return table[table["kind"] == OWN].groupby("stage")["bytes"].sum()


def _decoding(stage: str, processes: int) -> Held:
    """Workers at the limit that each of them is held to."""
    return Held(stage, f"{processes} decoding processes, at most", processes * DEFAULT_LIMITS.memory_mb * 1e6)


def _reading(profile: Profile, n: Counts, processes: int) -> Iterator[Held]:
    yield _decoding("01", processes)
    yield Held("01", "thumbnails", 2 * (n.train + n.test) * THUMBNAIL**2)
    yield Held("03", "thumbnails as vectors", n.train * UNIT)
    for stage, count, size in (
        ("04", n.nih, max(profile.nih.size, profile.nih.resize)),
        ("05", n.rsna, profile.images.cache_size),
    ):
        if count:
            yield _decoding(stage, processes)
            yield Held(stage, "thumbnails and vectors of both sets", (n.train + n.test) * UNIT + count * THUMBNAIL**2)
            yield Held(stage, "cache of the set", count * size**2, PAGES)


def _yolo(stage: str, profile: Profile, count: int) -> Iterator[Held]:
    """One YOLO training on `count` pictures, held-out ones among them.

    ultralytics keeps them only if the machine has twice the room, and reads files otherwise.
    """
    size, cache = profile.yolo.size, profile.images.cache_size
    copies = 1 if size == cache else 2  # the list of resized pictures, and the array made of it
    yield Held(stage, "pictures at YOLO's size", copies * count * size**2)
    yield Held(stage, "ultralytics' pictures in colour", COLOURS * count * size**2)


def _pretraining(profile: Profile, n: Counts) -> Iterator[Held]:
    if not n.rsna:
        return
    if profile.rsna.yolo_epochs:
        yield from _yolo("05", profile, n.rsna)
    elif profile.rsna.faster_rcnn_epochs:
        yield Held("05", "pictures of both parts", n.rsna * profile.images.cache_size**2)


def _training(profile: Profile, n: Counts) -> Iterator[Held]:
    pixels = n.train * profile.images.cache_size**2
    if n.lungs:
        yield Held("06", "pictures and masks to learn from", 4 * n.lungs * profile.lungs.size**2)
    yield from _yolo("07", profile, n.train)
    for stage in ("08", "09"):
        yield Held(stage, "pictures of both parts", pixels)
    for stage in ("06", "07", "08", "09"):
        yield Held(stage, "training cache", pixels, PAGES)
    for training in trainings(profile, n):
        yield _checkpoint(training, getattr(profile, training.section))
    boxes = profile.yolo.max_boxes + profile.faster_rcnn.max_boxes + profile.fusion.max_boxes
    yield Held("10", "tables of boxes", 2 * n.train * boxes * BOX_ROW)


def _checkpoint(training: Training, section: object) -> Held:
    """Weights, gradients and optimiser on a machine without a GPU; with one, a checkpoint on its way to the disk."""
    from cxr.footprint.networks import weight_bytes

    return Held(training.stage, f"{training.name}, state", weight_bytes(section) * (3 + optimizer_states(section)))


def _predicting(profile: Profile, n: Counts, processes: int) -> Iterator[Held]:
    """Test pictures are counted as if all were held at once; weights pass through memory on their way to the GPU."""
    from cxr.footprint.networks import weight_bytes

    yield _decoding("11", processes)
    yield Held("11", "pictures of the test set, at most", n.test * profile.images.cache_size**2)
    systems = [each for each in trainings(profile, n) if each.folds > 1]
    weights = sum(each.folds * weight_bytes(getattr(profile, each.section)) for each in systems)
    yield Held("11", "weights of all folds", weights)
    boxes = profile.yolo.max_boxes + profile.faster_rcnn.max_boxes
    yield Held("11", "boxes of all folds, twice", 2 * profile.folds.count * n.test * boxes * BOX_ROW)


def gpu(profile: Profile, counts: Counts | None = None) -> pd.DataFrame:
    """An estimate without a GPU, in bytes: training, batch, weights, gradients, optimiser, average, activations, sum.

    `sum` has the context and MARGIN. Activations are the most that one step on a CPU holds beside its weights, with the
    casts of mixed precision, on the line through two batch sizes. A network that several trainings share stands once.
    The last row is stage 11: all folds' weights, and the largest batch of a prediction in float32.
    """
    from cxr.footprint.networks import prediction_step, training_step, weight_bytes

    wanted = trainings(profile, (counts or Counts()).drawn(profile))
    rows, prediction = [], []
    for training in {each.section: each for each in wanted}.values():
        section = getattr(profile, training.section)
        size = weight_bytes(section)
        parts = [size, size, optimizer_states(section) * size, size * keeps_average(training.section, section)]
        rows.append((training.name, section.batch, *parts, training_step(section).of(section.batch)))
        if training.folds > 1:
            seen = getattr(section, "predict_size", section.size)
            step = prediction_step(section, seen).of(profile.prediction.batch)
            prediction.append((training.folds * size, step))
    weights, steps = zip(*prediction, strict=True)
    rows.append(("prediction", profile.prediction.batch, sum(weights), 0, 0, 0, max(steps)))
    names = ("weights", "gradients", "optimiser", "average", "activations")
    table = pd.DataFrame(rows, columns=["training", "batch", *names])
    table["sum"] = CUDA + MARGIN * table[list(names)].sum(axis=1)
    return table.astype(dict.fromkeys((*names, "sum"), "int64"))
