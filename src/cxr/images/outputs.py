"""Files that appear whole or not at all: PNGs and the cache of small pictures."""

import os
from pathlib import Path

import cv2
import numpy as np

# noise has no repetitions for LZ77 to find: Huffman alone is faster, and with the AVG filter smaller, than any level
PNG_OPTIONS = [
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG,
]  # fmt: skip


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a grayscale PNG atomically, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        partial.write_bytes(cv2.imencode(".png", pixels, PNG_OPTIONS)[1])
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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
            self.partial = self.path.with_name(f".{os.getpid()}.{self.path.name}")
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
