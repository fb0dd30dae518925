"""Pictures that are no DICOM (PNG, JPEG, GIF, WEBP) to gray pixels, and many of them to a uint8 cache that is reused.

Beside the cache of a companion data set lies a JSON file: what the cache was made of, its images and its failures. A
second call for the same files, size and code reads it instead of decoding again.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from cxr.faults import DataFault, TooLargeFault
from cxr.images.dicom import pixel_hash
from cxr.images.jobs import Done, Job, lacked_memory
from cxr.images.outputs import CacheWriter, remove_stale
from cxr.images.pool import run_jobs
from cxr.images.resize import to_cache_size
from cxr.images.source import MAX_PIXELS
from cxr.stamps import modules_digest, own_digests
from cxr.tables import FAILURES
from cxr.workspace import write_json

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
COLUMNS = ("image_id", "height", "width", "path", "pixel_hash")
TOO_LARGE = f"more than the {MAX_PIXELS:,} pixels that a radiograph may have; make it smaller"
ORIENTATION = 0x0112  # EXIF 2.3, table 4: how the stored picture must be turned to be looked at
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Rows:
    """Some rows of a large, mostly memory-mapped array, without copying them: index and length like the array's."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray):
        self.pixels, self.rows = pixels, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        return self.pixels[self.rows[index]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.pixels[row] for row in self.rows)


def load_gray(path: str | Path) -> np.ndarray:
    """Read a picture that nobody vouches for as uint8 [H x W], 0 black.

    Colour and palettes become luminance (.299 R + .587 G + .114 B), transparency is ignored, 16 bits lose the lower
    eight; of an animation the first frame is taken, and the picture is turned as its EXIF says. Raises DataFault with
    file and reason for what cannot be read, is damaged or cut off, of another format, or above MAX_PIXELS.
    """
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, softer limit on sizes, and notes about odd metadata
            return _decode(file)
    except DataFault as fault:
        raise type(fault)(f"{path}: {fault}") from None
    except UnidentifiedImageError:
        raise DataFault(f"{path}: no {', '.join(FORMATS)}, or damaged at its start; give a picture of these") from None
    except Image.DecompressionBombError:
        raise TooLargeFault(f"{path}: {TOO_LARGE}") from None
    except FileNotFoundError:
        raise DataFault(f"{path}: no such file") from None
    except Exception as error:  # strange bytes make the decoders raise almost anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataFault(f"{path}: cannot be read, damaged or cut off ({reason}); get the file again") from None


def _decode(file: BinaryIO) -> np.ndarray:
    with Image.open(file, formats=FORMATS) as image:  # reads the header alone
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise TooLargeFault(f"{width} x {height}: {TOO_LARGE}")
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
        deep = image.mode.startswith("I")  # 16-bit gray, by any name; 16-bit colour comes with 8 bits from Pillow
        pixels = (np.asarray(image) >> 8).astype(np.uint8) if deep else np.asarray(image.convert("L"))
    return pixels if turn is None else np.asarray(Image.fromarray(pixels).transpose(turn))


def convert_picture(job: Job) -> Done:
    """`load_gray` for `run_jobs`: height, width, pixel_hash and the row for the cache, or the reason why not."""
    try:
        pixels = load_gray(job.file)
    except DataFault as fault:
        if lacked_memory(fault):
            raise MemoryError from fault  # whoever set the limit names it
        return Done(reason=str(fault).removeprefix(f"{job.file}: "))
    header = {
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "pixel_hash": pixel_hash(pixels),
    }
    return Done(header, to_cache_size(pixels, job.thumbnail))


def cache_pictures(
    files: list[Path],
    ids: list[str],
    size: int,
    cache_file: Path,
    workers: int = 1,
    convert: Callable[[Job], Done] = convert_picture,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode pictures to `cache_file`, uint8 [N x size x size], or find that this was done before.

    Returns a table of image_id, height, width (pixels of the file), path (as given) and pixel_hash, row i for row i
    of the cache, and a FAILURES table: a file that cannot be used is there and not in the cache. Without any image no
    cache is left. Files count as the same by name, size and time of change; those that failed are tried again.

    workers: processes, 0 for the work in this one. convert: what reads a file, `images.jobs.convert_one` for DICOM.
    """
    if len(files) != len(ids) or len(set(ids)) != len(ids):
        raise ValueError(f"{len(files)} files need as many different ids, got {len(set(ids))} of {len(ids)}")
    jobs = [Job(file, image_id, thumbnail=size) for file, image_id in zip(files, ids, strict=True)]
    note, key = cache_file.with_suffix(".json"), _key(jobs, size, convert)
    kept = _remembered(note, cache_file, key)
    if kept:
        failed = {failure["path"] for failure in kept["failures"]}
        again = [job for job in jobs if job.file.as_posix() in failed]
        if not any(done.header for done in run_jobs(again, workers, convert)):
            return _tables(kept)
    note.unlink(missing_ok=True)  # first: an old note must never lie beside a new cache
    made = _make(jobs, size, cache_file, workers, convert)
    write_json({"key": key, "cache": _identity(cache_file), **made}, note)
    return _tables(made)


def _make(jobs: list[Job], size: int, cache_file: Path, workers: int, convert: Callable[[Job], Done]) -> dict:
    images, failures = [], []
    if cache_file.parent.is_dir():
        remove_stale(cache_file.parent)  # gigabytes, after a kill
    with CacheWriter(cache_file, size) as cache:
        results = tqdm(run_jobs(jobs, workers, convert), total=len(jobs), desc=cache_file.stem, unit="image")
        for job, done in zip(jobs, results, strict=True):
            path = job.file.as_posix()
            if done.header is None:
                failures.append({"path": path, "reason": done.reason})
                continue
            row = {**done.header, "image_id": job.image_id, "path": path}
            images.append({column: row[column] for column in COLUMNS})
            cache.append(done.thumbnail)
    return {"images": images, "failures": failures}


def _tables(made: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.DataFrame(made["images"], columns=list(COLUMNS)), pd.DataFrame(
        made["failures"], columns=list(FAILURES.columns)
    )


def _key(jobs: list[Job], size: int, convert: Callable[[Job], Done]) -> str:
    """Digest of all that decides what the cache holds. The pictures' content is not read, their size and time are."""
    code = [own_digests(("cxr.data.pictures",)), modules_digest("cxr.images.jobs"), convert.__qualname__]
    sources = [[job.image_id, job.file.as_posix(), _identity(job.file)] for job in jobs]
    return hashlib.sha256(json.dumps([size, code, sources]).encode()).hexdigest()


def _identity(file: Path) -> list[int] | None:
    """Size and time of change (ns), None for a file that is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _remembered(note: Path, cache_file: Path, key: str) -> dict | None:
    """What an earlier call wrote about this very cache."""
    try:
        kept = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return kept if kept.get("key") == key and kept.get("cache") == _identity(cache_file) else None
