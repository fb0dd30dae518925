"""Files that strangers send, decoded out of reach: each in a process with time and memory limits, by a name of ours."""

import re
import secrets
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import BinaryIO

import numpy as np
import pandas as pd

from cxr.app.decode import STUDY, TOO_LARGE
from cxr.app.limits import MB, Limits
from cxr.images.isolate import Crew
from cxr.images.jobs import Job

DECODER = "cxr.app.decode:decode_upload"
PREVIEW = 1536  # px, longest side
LONGEST_NAME = 100


@dataclass(frozen=True)
class Refusal:
    """Why a file is not looked at."""

    name: str
    reason: str
    too_large: bool = False


@dataclass(frozen=True)
class Upload:
    """A decoded file."""

    name: str  # as it was sent, safe to show
    token: str  # ours; also its image_id for the models
    study: str  # equal for files of one study
    height: int  # px of the file
    width: int
    facts: dict[str, str]
    pixels: np.ndarray = field(repr=False)  # uint8 [S x S], as the run's cache has them
    preview: bytes = field(repr=False)  # a PNG


class Decoder:
    """Decodes uploads in a temporary folder, of which nothing is left: as a context, or until `close`."""

    def __init__(self, size: int, limits: Limits, at_a_time: int = 2):
        self.size, self.limits = size, limits
        self._folder, self._crew, self._turns = (
            Path(tempfile.mkdtemp(prefix="cxr-app-")),
            Crew(),
            BoundedSemaphore(at_a_time),
        )

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, and empty the folder."""
        self._crew.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def decode(self, name: str, file: BinaryIO) -> Upload | Refusal:
        """One file; its name is shown and never used as a path."""
        name, token = safe_name(name), secrets.token_hex(16)
        source, preview = self._folder / f"{token}.upload", self._folder / f"{token}.png"
        try:
            if not copied(file, source, self.limits.file_mb * MB):
                return Refusal(name, f"larger than {self.limits.file_mb} MB; send the radiograph alone", True)
            with self._turns:
                done = self._crew.do(
                    DECODER,
                    Job(source, token, png=preview, size=PREVIEW, thumbnail=self.size),
                    self.limits.decoder,
                )
            if done.header is None:
                return Refusal(name, done.reason.removeprefix(TOO_LARGE), done.reason.startswith(TOO_LARGE))
            header = done.header
            own = (header["height"], header["width"], header["facts"])
            return Upload(name, token, header[STUDY] or token, *own, done.thumbnail, preview.read_bytes())
        finally:
            for path in (source, preview):
                path.unlink(missing_ok=True)


def copied(file: BinaryIO, path: Path, at_most: int) -> bool:
    """Write what a stream holds; False where that is more than `at_most` bytes."""
    total = 0
    with open(path, "wb") as out:
        while block := file.read(MB):
            total += len(block)
            if total > at_most:
                return False
            out.write(block)
    return True


def safe_name(text: str) -> str:
    """The last part of a file name, printable and short: for people, never for the file system."""
    last = re.split(r"[/\\]", text or "")[-1]
    shown = "".join(letter if letter.isprintable() else "_" for letter in last).strip()
    return shown[:LONGEST_NAME] or "unnamed"


def plain_id(name: str) -> str:
    """A name as the id of a row in a submission: letters, digits, dots, dashes, without the suffix of its format."""
    bare = re.sub(r"\.(dcm|dicom|png|jpe?g)$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]", "_", bare).strip("._-") or "unnamed"


def plain_ids(names: list[str]) -> list[str]:
    """Ids of several files, no two alike."""
    found: dict[str, int] = {}
    ids = []
    for one in map(plain_id, names):
        found[one] = found.get(one, 0) + 1
        ids.append(one if found[one] == 1 else f"{one}_{found[one]}")
    return plain_ids(ids) if len(set(ids)) < len(ids) else ids


def image_table(uploads: list[Upload]) -> tuple[pd.DataFrame, np.ndarray]:
    """Uploads as the models take them: image_id, study_id, height, width, and pixels uint8 [N x S x S]."""
    rows = [{"image_id": one.token, "study_id": one.study, "height": one.height, "width": one.width} for one in uploads]
    return pd.DataFrame(rows), np.stack([one.pixels for one in uploads])


class Shelf:
    """Decoded files that can be asked about again by their token, in memory alone: the newest, for a while."""

    def __init__(self, at_most: int, minutes: float, clock: Callable[[], float] = time.monotonic):
        self._at_most, self._seconds, self._clock = at_most, minutes * 60, clock
        self._kept: OrderedDict[str, tuple[float, Upload]] = OrderedDict()
        self._lock = Lock()

    def put(self, upload: Upload) -> None:
        """Keep one; the oldest goes where there are too many."""
        with self._lock:
            self._kept[upload.token] = (self._clock(), upload)
            self._drop()

    def get(self, token: str) -> Upload | None:
        """The file of a token; None once it is gone."""
        with self._lock:
            self._drop()
            found = self._kept.get(token)
            return found[1] if found else None

    def _drop(self) -> None:
        while self._kept and len(self._kept) > self._at_most:
            self._kept.popitem(last=False)
        end = self._clock() - self._seconds
        while self._kept and next(iter(self._kept.values()))[0] < end:
            self._kept.popitem(last=False)
