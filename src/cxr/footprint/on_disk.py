"""What a run writes, part by part, and how much lies there at the same time.

Sizes follow from the profile and the number of pictures; those of text files and compressed pictures are measured on
the phantom, where real radiographs come within a tenth. The phantom itself is input and is not counted.
"""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cxr.data.near_duplicates import SIDE as THUMBNAIL
from cxr.data.samples import MOST, MOST_MASKED
from cxr.data.samples import SIDE as SAMPLE
from cxr.footprint.counts import Counts, Training, keeps_average, optimizer_states, trainings
from cxr.paths import Places
from cxr.profiles import Profile

STAGES = tuple(f"{number:02d}" for number in range(13))
END = ""  # of what stays

# bytes a pixel
PNG = 0.45  # a full-size radiograph
YOLO_PNG = 0.52  # one made small, which leaves it more noise
MASK_PNG = 0.025  # one bit a pixel
# bytes a picture
TABLES = 550  # images, folds, lungs, boxes
COCO = 380
LEDGER = 670  # of conversions, a line a file
NOTE = 240  # beside the cache of another data set
FINGERPRINT = 140  # beside its thumbnail
YOLO_FILES = 350  # label, its folder and ultralytics' own cache of labels
STUDY_ROWS = 400  # class probabilities of an image and its study, before and after stage 10
BOX_ROW = 92  # a predicted box in a table
SUBMITTED_BOX, SUBMITTED_ROW = 42, 130  # a box of a submission; the rest of its rows
# bytes
RECORDS = 9_500_000  # executed notebooks with their pictures
REPORT = 2_300_000
YOLO_CONFIG = 800_000  # font and settings
RUN_FILES = 20_000  # config, metrics, run.json beside weights


class Item(NamedTuple):
    """Something on disk: what, where below the working folder, bytes, its first and last stage (END: it stays)."""

    what: str
    where: Path
    bytes: float
    first: str
    last: str = END


def counted(section: object) -> float:
    """Bytes of a network's weights, by building it: this loads torch.

    Imported by its name: stamps follow imports, and no change of a network shall send a run back to stage 00.
    """
    return importlib.import_module("cxr.footprint.networks").weight_bytes(section)


def disk(profile: Profile, counts: Counts | None = None, weigh: Callable[[object], float] = counted) -> pd.DataFrame:
    """what, where, bytes, first and last (stages; empty: it stays) of all that a run writes.

    counts: pictures in the input; weigh: bytes of the weights that a profile section's network has.
    """
    drawn, places = (
        (counts or Counts()).drawn(profile),
        Places(Path("input"), Path(), Path("submissions"), profile.name),
    )
    parts = (_images, _companions, _yolo_folders, _results)
    rows = [item for part in parts for item in part(profile, drawn, places)]
    rows = [item for item in (*rows, *_models(profile, drawn, places, weigh)) if item.bytes]
    table = pd.DataFrame(rows, columns=Item._fields)
    return table.assign(bytes=table["bytes"].round().astype("int64"), where=[item.where.as_posix() for item in rows])


def _images(profile: Profile, n: Counts, places: Places) -> Iterator[Item]:
    size, pictures = profile.images.cache_size, n.train + n.test
    yield Item("training cache", places.cache(size), n.train * size**2, "01")
    if profile.images.png:
        yield Item("full-size PNGs", places.images, n.train * n.pixels * PNG, "01")
    cache = places.fingerprints.parent
    yield Item("ledger of conversions", cache / ".convert", n.train * LEDGER, "01")
    yield Item("thumbnails of the test set", cache, n.test * (THUMBNAIL**2 + NOTE), "01")
    yield Item("fingerprints", places.fingerprints, pictures * (THUMBNAIL**2 + FINGERPRINT), "01")
    yield Item("tables", places.tables, n.train * TABLES, "01")
    yield Item("COCO annotations", places.coco, n.train * COCO, "03")
    if n.lungs:
        yield Item("lung masks", places.lungs, n.train * size**2 * MASK_PNG, "06")


def _companions(profile: Profile, n: Counts, places: Places) -> Iterator[Item]:
    samples = min(MOST, n.nih) + min(MOST, n.rsna) + min(MOST_MASKED, n.lungs)
    yield Item("samples to look at", places.fingerprints.parent, samples * (SAMPLE**2 + NOTE), "02")
    for name, count, size, stage in (
        ("nih", n.nih, max(profile.nih.size, profile.nih.resize), "04"),
        ("nih_test", n.nih_test, max(profile.nih.size, profile.nih.resize), "04"),
        ("rsna", n.rsna, profile.images.cache_size, "05"),
    ):
        last = END if profile.images.keep_caches else stage
        path = places.companion_cache(name, size)
        yield Item(f"{name.upper().replace('_TEST', ' test')} cache", path, count * (size**2 + NOTE), stage, last)


def _yolo_folders(profile: Profile, n: Counts, places: Places) -> Iterator[Item]:
    keep, a_picture = profile.images.keep_caches, profile.yolo.size**2 * YOLO_PNG + YOLO_FILES
    if n.rsna and profile.rsna.yolo_epochs:
        folder = places.yolo(0).with_name("rsna_yolo")
        yield Item("YOLO folder of RSNA", folder, n.rsna * a_picture, "05", END if keep else "05")
    folds = profile.folds.count if keep else 1  # one at a time
    yield Item(
        f"YOLO folders, {folds}", places.yolo(0).parent, folds * n.train * a_picture, "07", END if keep else "07"
    )


def _models(profile: Profile, n: Counts, places: Places, weigh: Callable[[object], float]) -> Iterator[Item]:
    for training in trainings(profile, n):
        section = getattr(profile, training.section)
        size, folder = weigh(section), places.lungs_model.with_name(training.name)
        stage, trained = training.stage, training.folds * (size + RUN_FILES)
        yield Item(f"{training.name}, {training.folds} trained", folder, trained, stage)
        if getattr(section, "keep_best", False):
            yield Item(f"{training.name}, best", folder, training.folds * size, stage)
        yield Item(f"{training.name}, checkpoint", folder, _checkpoint(training, section, size), stage, stage)


def _checkpoint(training: Training, section: object, weights: float) -> float:
    """While a training runs: weights, optimiser and average; twice, since the new one is whole before the old goes."""
    if not getattr(section, "resume", True):
        return 0
    return 2 * weights * (1 + optimizer_states(section) + keeps_average(training.section, section))


def _results(profile: Profile, n: Counts, places: Places) -> Iterator[Item]:
    detectors = profile.yolo.max_boxes + profile.faster_rcnn.max_boxes
    yield Item("predictions, at most", places.fused.parent, n.train * detectors * BOX_ROW, "07")
    rows = n.train * (profile.fusion.max_boxes * BOX_ROW + STUDY_ROWS)
    yield Item("predictions, fused, at most", places.fused, rows, "10")
    submission = n.test * (profile.fusion.max_boxes * SUBMITTED_BOX + SUBMITTED_ROW)
    yield Item("submission, at most", places.submission, submission, "11")
    yield Item("executed notebooks", places.runs, RECORDS, "00")
    yield Item("ultralytics' settings", places.working / "ultralytics", YOLO_CONFIG, "05")
    yield Item("report", places.report, REPORT, "12")


def bytes_by_stage(table: pd.DataFrame) -> pd.Series:
    """The most that lies on disk during each stage: what came before and stays, and what it makes."""
    last = table["last"].where(table["last"] != END, STAGES[-1])
    alive = {stage: (table["first"] <= stage) & (stage <= last) for stage in STAGES}
    return pd.Series({stage: int(table["bytes"][rows].sum()) for stage, rows in alive.items()}, name="bytes")


def peak_bytes(table: pd.DataFrame) -> int:
    """The most that lies on disk at any time of the run."""
    return int(bytes_by_stage(table).max())
