"""A few pictures of each data set beside the competition's, to look at: the same ones at every run."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.data.draw import hash_order
from cxr.data.pictures import cache_pictures, convert_picture
from cxr.data.rsna import PICTURES
from cxr.images.jobs import convert_one
from cxr.images.pool import worker_count
from cxr.workspace import Workspace

SIDE, MOST = 320, 48
MOST_MASKED = 16  # pictures of the lung masks' set are 12 to 20 megapixels
MOST_TRIES = 2000  # file names asked for, where a set is unpacked in part
MASKS = "chest-xray-masks-and-labels"


class Sample(NamedTuple):
    """Pictures of one data set."""

    pixels: np.ndarray  # uint8 [N x SIDE x SIDE], N may be 0
    images: pd.DataFrame  # image_id, height, width in pixels of the files; row i for row i of `pixels`
    failures: pd.DataFrame  # FAILURES


def companion_samples(workspace: Workspace, labels: dict[str, pd.DataFrame]) -> dict[str, Sample]:
    """At most MOST pictures of NIH, RSNA (of those in `labels`, tables with image_id) and the lung masks' set.

    A set that is not in the input, or of which no picture is, has no entry. Writes `cache/sample_<name>_<SIDE>.npy`.
    """
    files = {name: list(islice(_files(workspace, name, table), MOST)) for name, table in labels.items()}
    masked = workspace.companion(MASKS)
    if masked:
        pictures = [path for path in masked.glob("*/CXR_png/*.png") if not path.name.startswith(".")]
        by_name = {path.name: path for path in pictures}
        files["masks"] = [by_name[name] for name in hash_order(by_name)[:MOST_MASKED]]
    return {name: _sample(workspace, name, paths) for name, paths in files.items() if paths}


def _files(workspace: Workspace, name: str, table: pd.DataFrame) -> Iterable[Path]:
    """Files of labelled images that are there, in an order drawn by a hash of their ids."""
    folder = workspace.companion(FOLDERS[name][0])
    homes = FOLDERS[name][1](folder)
    for image_id in hash_order(table["image_id"])[:MOST_TRIES] if homes else ():
        # an image_id comes from a file: only a plain name may become a path
        names = [home / f"{Path(image_id).name}{FOLDERS[name][2]}" for home in homes]
        yield from islice((path for path in names if path.is_file()), 1)


def _nih_homes(folder: Path) -> list[Path]:
    return sorted(path for pattern in ("images*", "images*/images") for path in folder.glob(pattern) if path.is_dir())


def _rsna_homes(folder: Path) -> list[Path]:
    return [folder / PICTURES] if (folder / PICTURES).is_dir() else []


FOLDERS = {  # the data set's folder, where its pictures lie, their ending
    "NIH": ("data", _nih_homes, ".png"),
    "RSNA": ("rsna-pneumonia-detection-challenge", _rsna_homes, ".dcm"),
}


def _sample(workspace: Workspace, name: str, files: list[Path]) -> Sample:
    cache_file = workspace.places.companion_cache(f"sample_{name.lower()}", SIDE)
    workers = worker_count(workspace.profile.images.workers)
    convert = convert_one if files[0].suffix == ".dcm" else convert_picture
    images, failures = cache_pictures(files, [path.stem for path in files], SIDE, cache_file, workers, convert)
    pixels = np.load(cache_file, mmap_mode="r") if len(images) else np.empty((0, SIDE, SIDE), np.uint8)
    return Sample(pixels, images[["image_id", "height", "width"]], failures)
