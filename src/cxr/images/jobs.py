"""One file to convert and what came of it: plain values, and a function of them without shared state.

Any pool can run it: `isolate` in a process of its own, `cluster` on another machine. This module starts with every
such process, so it imports no table, pool or progress bar.
"""

import errno
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from xxhash import xxh3_128_hexdigest

from cxr.faults import DataFault
from cxr.images.dicom import read_dicom
from cxr.images.jpeg_lossless import decode_jpeg_lossless
from cxr.images.outputs import write_png
from cxr.images.pseudonyms import pseudonym
from cxr.images.resize import fit_within, to_cache_size
from cxr.images.source import mapped

# two samples of 128: markers SOI, SOF3, DHT with one code, SOS, a byte of data, EOI
TINY_JPEG = bytes.fromhex(
    "ffd8 ffc3000b080001000201011100 ffc40014000100000000000000000000000000000000 ffda0008010100010000 3f ffd9"
)


class Job(NamedTuple):
    """One file to convert; `png` and `thumbnail` are what to make of it."""

    file: Path
    image_id: str
    png: Path | None = None  # where to write the picture
    size: int | None = None  # longest side of that PNG, None: as it is
    thumbnail: int | None = None  # side of the row for the cache
    salt: str = ""  # key of the patient's pseudonym; '' keeps the id, for known public sets
    unless: str | None = None  # digest of the bytes with which all is done already; None: nobody asks for a digest


class Done(NamedTuple):
    """What came of a job: header and perhaps a thumbnail, or the reason why not; neither if it was done already."""

    header: dict | None = None  # text, numbers and None
    thumbnail: np.ndarray | None = None  # uint8 [thumbnail x thumbnail]
    reason: str = ""
    digest: str = ""  # of the file's bytes, where the job asks for it


def convert_one(job: Job) -> Done:
    """Read one file and make of it what the job asks for. A file that cannot be used is a reason, not an exception.

    Raises OSError where the PNG cannot be written, which no other file would escape, and MemoryError for whoever set
    the limit to name it.
    """
    digest = ""
    try:
        if job.unless is not None:
            digest = file_digest(job.file)
            if digest == job.unless:
                return Done(digest=digest)
        pixels, header = read_dicom(job.file)
    except Exception as error:
        if lacked_memory(error):
            raise MemoryError from error
        return Done(reason=_reason(error, job))
    if job.png:
        write_png(job.png, fit_within(pixels, job.size) if job.size else pixels)
    header["image_id"] = job.image_id
    # folds keep patients together: without an id each study counts as a patient, each image as a study of its own
    header["study_id"] = header["study_id"] or f"unknown-{job.image_id}"
    if not header["patient_id"]:
        header["patient_id"] = f"unknown-{header['study_id'].removeprefix('unknown-')}"
    elif job.salt:
        header["patient_id"] = pseudonym(header["patient_id"], job.salt)
    return Done(header, to_cache_size(pixels, job.thumbnail) if job.thumbnail else None, digest=digest)


def file_digest(path: Path) -> str:
    """XXH3 of a file's bytes, 32 hex digits. Raises DataFault for what cannot be read."""
    try:
        return xxh3_128_hexdigest(mapped(path))
    except OSError as error:
        raise DataFault(f"{path}: cannot be read ({error.strerror or error})") from None


def warm_up() -> None:
    """Load or compile what numba compiles, so that the first file does not pay for it."""
    to_cache_size(np.zeros((7, 7), np.uint8), 3)
    decode_jpeg_lossless(memoryview(TINY_JPEG), 1, 2, 8)


def attempt(convert: Callable[[Job], Done], job: Job, memory_mb: float | None = None) -> Done:
    """`convert(job)`, with exceptions as reasons; memory_mb is the limit in force, None if there is none.

    Raises OSError: `convert` itself answers for files that cannot be read, so it is the destination that is at fault.
    """
    try:
        return convert(job)
    except Exception as error:
        if lacked_memory(error):
            limit = f" ({memory_mb:g} MB)" if memory_mb else ""
            return Done(reason=f"needs more memory than a file may take{limit}; save the picture smaller")
        if isinstance(error, OSError):
            raise
        return Done(reason=_reason(error, job))


def lacked_memory(error: BaseException | None) -> bool:
    """Whether want of memory is the cause: OpenCV and mmap tell it by a code, others raise over the original."""
    while error is not None:
        told = getattr(error, "code", None) == cv2.Error.StsNoMem or getattr(error, "errno", None) == errno.ENOMEM
        if told or isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(error: Exception, job: Job) -> str:
    if isinstance(error, DataFault):
        return str(error).removeprefix(f"{job.file}: ")
    # a fault of ours, but one file must not cost the run: it is listed like the others
    place = traceback.extract_tb(error.__traceback__)[-1]  # its words may quote the patient
    return f"unexpected {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}; please report it"
