"""What the competition's pictures look like, small: pixel hashes and 64 px thumbnails of train and test.

Stage 01 leaves them, so that stages 03 to 06 find copies without decoding anything again. Of the test set only pixels
are read.
"""

import os
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from cxr.data.near_duplicates import SIDE, is_flat, to_thumbnails
from cxr.data.pictures import cache_pictures
from cxr.data.siim import prediction_table
from cxr.faults import DataFault
from cxr.images.jobs import convert_one
from cxr.images.pool import worker_count
from cxr.workspace import Workspace

TRAIN, TEST = "train", "test"
COLUMNS = ("image_id", "part", "pixel_hash")


class Fingerprints(NamedTuple):
    """One row a picture: `table` has image_id, part (train or test) and pixel_hash; thumbnails uint8 [N x 64 x 64]."""

    table: pd.DataFrame
    thumbnails: np.ndarray

    def of(self, parts: tuple[str, ...]) -> "Fingerprints":
        """The rows of some parts."""
        rows = np.flatnonzero(self.table["part"].isin(parts))
        return Fingerprints(self.table.iloc[rows].reset_index(drop=True), self.thumbnails[rows])


def write_fingerprints(workspace: Workspace, images: pd.DataFrame) -> Fingerprints:
    """Fingerprints of the training images (rows of the training cache) and of every readable test picture.

    Test pictures that cannot be read are stage 11's to tell about; without a test set its reason is printed.
    """
    cache = workspace.places.cache(workspace.profile.images.cache_size)
    train = to_thumbnails(np.load(cache, mmap_mode="r"))
    tests, thumbnails = _read_tests(workspace)
    parts = [images.assign(part=TRAIN), tests.assign(part=TEST)]
    table = pd.concat([part[list(COLUMNS)] for part in parts], ignore_index=True)
    found = Fingerprints(table, np.concatenate([train, thumbnails]))
    path = workspace.places.fingerprints
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        columns = {name: table[name].fillna("").astype(str).to_numpy(str) for name in COLUMNS}
        np.savez(partial, thumbnails=found.thumbnails, **columns)  # text without objects: nothing is unpickled
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return found


def _read_tests(workspace: Workspace) -> tuple[pd.DataFrame, np.ndarray]:
    cache = workspace.places.companion_cache(TEST, SIDE)
    try:
        files, _ = prediction_table(workspace.competition)
    except DataFault as fault:  # stage 11 needs a test set, folds do not
        print(f"note: no picture of the test set is known, so none of other data sets is refused for it: {fault}")
        return pd.DataFrame(columns=list(COLUMNS)), np.empty((0, SIDE, SIDE), np.uint8)
    paths = [workspace.competition / path for path in files["path"]]
    workers = worker_count(workspace.profile.images.workers)
    read, _ = cache_pictures(paths, list(files["image_id"]), SIDE, cache, workers, convert_one)
    return read, np.load(cache) if len(read) else np.empty((0, SIDE, SIDE), np.uint8)


def read_fingerprints(workspace: Workspace) -> Fingerprints:
    """What stage 01 left. Raises DataFault when it is not there or cannot be read."""
    path = workspace.places.fingerprints
    if not path.is_file():
        raise DataFault(f"{path}: not there yet; run notebook 01_dicom_to_png first, or `make all`")
    try:
        with np.load(path, allow_pickle=False) as stored:
            table = pd.DataFrame({name: stored[name] for name in COLUMNS}, dtype=str)
            return Fingerprints(table, stored["thumbnails"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataFault(f"{path}: cannot be read ({reason}); run notebook 01_dicom_to_png again") from None


def training_thumbnails(workspace: Workspace, images: pd.DataFrame) -> np.ndarray:
    """Thumbnails of the training images, row i for row i of `images`. Raises DataFault where they do not fit it."""
    prints = read_fingerprints(workspace).of((TRAIN,))
    if list(prints.table["image_id"]) != list(images["image_id"]):
        raise DataFault(
            f"{workspace.places.fingerprints}: does not fit {workspace.places.images_table}; "
            "run notebook 01_dicom_to_png again"
        )
    return prints.thumbnails


def without_flat(images: pd.DataFrame, thumbnails: np.ndarray) -> pd.DataFrame:
    """The images with the pixel_hash of one-gray pictures taken away: two blanks are no copies of each other."""
    return images.assign(pixel_hash=images["pixel_hash"].mask(is_flat(thumbnails)))


def flat_notes(images: pd.DataFrame, comparable: pd.DataFrame) -> list[str]:
    """Which images `without_flat` took the hash from."""
    flat = images["image_id"][images["pixel_hash"].notna() & comparable["pixel_hash"].isna()]
    if flat.empty:
        return []
    return [
        f"{len(flat)} picture(s) are one gray and compared with none: {', '.join(flat[:3])}"
        f"{', ...' if len(flat) > 3 else ''}"
    ]
