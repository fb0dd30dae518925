"""Files that appear whole or not at all: PNGs and the cache of small pictures."""

import os
import socket
from pathlib import Path

import cv2
import numpy as np

PARTIAL = ".part"  # suffix of what is not whole yet

FILTER, BUFFER = cv2.IMWRITE_PNG_FILTER, [cv2.IMWRITE_PNG_ZLIBBUFFER_SIZE, 1 << 20]
# noise has no repetitions for LZ77 to find: Huffman codes alone are faster, and with the AVG filter smaller, than any
# level
NOISY = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY, FILTER, cv2.IMWRITE_PNG_FILTER_AVG, *BUFFER]
# where wide areas are flat (collimation, padding, a narrow window), runs are counted; AVG blurs their borders
RUNS = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE, FILTER]
FLAT = [[*RUNS, filter_type, *BUFFER] for filter_type in (cv2.IMWRITE_PNG_FILTER_AVG, cv2.IMWRITE_PNG_FILTER_SUB)]
FLAT_SHARE = 0.05  # of the picture, from which on runs pay
RUN = 8  # equal pixels in a row that noise hardly ever makes
BAND, BANDS = 32, 4  # rows of a sample, and how many samples try out a filter
SMALL = 150_000  # px; up to there all options together take two milliseconds


def encode_png(pixels: np.ndarray) -> np.ndarray:
    """A grayscale PNG, uint8 [N bytes], of uint8 [H x W]: no larger than with OpenCV's own settings, and faster."""
    if pixels.size <= SMALL:
        return min((_encode(pixels, options) for options in (NOISY, *FLAT, [])), key=len)
    some_rows = pixels[::16]
    equal = (some_rows[:, 1:] == some_rows[:, :-1]).astype(np.uint8)
    if equal.shape[1] >= RUN and cv2.erode(equal, np.ones((1, RUN), np.uint8)).mean() <= FLAT_SHARE:
        return _encode(pixels, NOISY)
    starts = np.linspace(0, max(0, len(pixels) - BAND), BANDS).astype(int)
    sample = np.concatenate([pixels[start : start + BAND] for start in starts])
    return _encode(pixels, min(FLAT, key=lambda options: len(_encode(sample, options))))


def _encode(pixels: np.ndarray, options: list[int]) -> np.ndarray:
    return cv2.imencode(".png", pixels, options)[1]


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a grayscale PNG atomically, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        partial.write_bytes(encode_png(pixels))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """Where this process writes a file until it is whole: a hidden name beside it."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}{PARTIAL}")


def remove_stale(folder: Path) -> None:
    """Remove what processes of this machine left below a folder when they were killed."""
    for partial in folder.rglob(f".*{PARTIAL}"):
        host, _, process = partial.name.removesuffix(PARTIAL).rpartition("-")
        if host.endswith(f".{socket.gethostname()}") and process.isdecimal() and not _is_running(int(process)):
            partial.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # one that was killed answers until its parent, or whoever took it over, asks how it ended
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:  # no Linux, or gone by now
        return not Path("/proc/self").exists()


class CacheWriter:
    """Append pictures to an .npy file whose length is not known beforehand; it gets its name at the end.

    The rows of a uint8 array lie one after the other behind a header; numpy pads the header so that the count of rows
    can grow without moving them (numpy.lib.format), so it is written again when the count is known. Readers:
    `np.load(path, mmap_mode="r")`. Without a path, or without a single row, no file is left.
    """

    def __init__(self, path: Path | None, size: int):
        self.path, self.size, self.count = path, size, 0

    def __enter__(self) -> "CacheWriter":
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.partial = partial_path(self.path)
            self.file = open(self.partial, "wb")  # closed in __exit__
            self.start = self._write_header()
        return self

    def append(self, picture: np.ndarray | None) -> None:
        if self.path:
            self.file.write(np.ascontiguousarray(picture, np.uint8))
            self.count += 1

    def _write_header(self) -> int:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, self.size, self.size)}
        np.lib.format.write_array_header_1_0(self.file, header)
        return self.file.tell()

    def __exit__(self, kind: type | None, *_: object) -> None:
        if not self.path:
            return
        try:
            with self.file:
                self.file.seek(0)
                if self._write_header() != self.start:
                    raise RuntimeError("numpy changed the length of an .npy header while rows were appended")
            if kind is None and self.count:
                os.replace(self.partial, self.path)
            elif kind is None:
                self.path.unlink(missing_ok=True)  # an older cache would not fit the new, empty table
        finally:
            self.partial.unlink(missing_ok=True)
