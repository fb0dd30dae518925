"""What earlier conversions into a folder have done, so that a later one does the rest.

In its folder (`DST/.convert` for the command) lie

    ledger.jsonl      a line for each converted image: source path, digest of its bytes, settings, header, PNG, row
    rows_<PX>.u8      rows of an unfinished cache, in the order in which they came; gone when the cache is finished
    lock              held while a conversion writes

A line is written when PNG and row are on disk, so a kill at any moment loses the files under way and nothing else. A
line counts while settings, source bytes, PNG and row are what they were; files that failed have no line and are tried
again.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from xxhash import xxh3_64_hexdigest

from cxr.faults import DataFault
from cxr.images.outputs import CacheWriter, partial_path, remove_stale


class Ledger:
    """The record of a conversion with one kind of settings. As a context manager it holds the folder's lock.

    settings: digest of all that decides the result beside the source's bytes. png_root: what PNG paths are relative to,
    None where no PNGs are made. cache_file, size: the finished cache, uint8 [N x size x size]; None and 0 for none.
    """

    def __init__(self, folder: Path, settings: str, png_root: Path | None, cache_file: Path | None, size: int):
        self.folder, self.settings, self.png_root = folder, settings, png_root
        self.cache_file, self.size = cache_file, size if cache_file else 0
        self.entries: dict[str, dict] = {}
        self._file: TextIO | None = None
        self._rows: BinaryIO | None = None

    def __enter__(self) -> "Ledger":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.folder / "lock", "w")  # closed in __exit__
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise DataFault(
                f"{self.folder.parent}: another conversion is writing here; wait for it, or choose another folder"
            ) from None
        for folder in {self.folder, self.png_root, self.cache_file and self.cache_file.parent} - {None}:
            remove_stale(folder)
        self._load()
        self._file = open(self._path, "a")  # closed in __exit__
        if self.size:
            self._rows = open(self._rows_path, "ab")  # closed in __exit__
            self._rows.truncate(self._rows.tell() // self.size**2 * self.size**2)
            self._rows.seek(0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._file, self._rows, self._lock):
            if file:
                file.close()

    @property
    def _path(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def _rows_path(self) -> Path:
        return self.folder / f"rows_{self.size}.u8"

    def _load(self) -> None:
        text = self._path.read_text() if self._path.is_file() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line under way when the process was killed
            if entry["settings"] == self.settings:
                self.entries[entry["path"]] = entry
        if text and not text.endswith("\n"):
            with open(self._path, "a") as file:
                file.write("\n")

    def digest(self, path: str, image_id: str, png: str | None) -> str:
        """Digest of the source bytes with which `path` was converted; '' if that is not what is wanted, or not there.

        image_id, png: what the image is to be called; names shift when a clash appears or goes.
        """
        entry = self.entries.get(path)
        if entry is None or entry["header"]["image_id"] != image_id or (entry["png"] or [None])[0] != png:
            return ""
        if png and _identity(self.png_root / png) != entry["png"][1:]:
            return ""
        return entry["digest"] if not self.size or self._row(entry) is not None else ""

    def header(self, path: str) -> dict:
        """The header of an image that need not be converted again."""
        return dict(self.entries[path]["header"])

    def add(self, path: str, digest: str, header: dict, png: str | None, row: np.ndarray | None) -> None:
        """Record one converted image; png is relative to `png_root` and written, row uint8 [size x size]."""
        entry = {"path": path, "settings": self.settings, "digest": digest, "header": header, "png": None}
        if png:
            entry["png"] = [png, *_identity(self.png_root / png)]
        if self.size:
            entry |= {"place": "rows", "row": self._rows.tell() // self.size**2, "hash": xxh3_64_hexdigest(row)}
            self._rows.write(np.ascontiguousarray(row))
            self._rows.flush()
        self.entries[path] = entry
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def finish(self, paths: list[str]) -> None:
        """Write the cache with the rows of `paths` in this order, and the record of them alone."""
        kept = [self.entries[path] for path in paths]
        if self.size:
            with CacheWriter(self.cache_file, self.size) as cache:
                for entry in kept:
                    row = self._row(entry)
                    if row is None:
                        raise DataFault(f"{self.cache_file}: changed while it was made; run the same command again")
                    cache.append(row)
            kept = [entry | {"place": "cache", "row": i} for i, entry in enumerate(kept)]
        partial = partial_path(self._path)
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept))
        os.replace(partial, self._path)
        if self.size:
            self._rows_path.unlink()

    def _row(self, entry: dict) -> np.ndarray | None:
        """A row that was kept, None if it is not what it was."""
        file = self._rows_path if entry["place"] == "rows" else self.cache_file
        try:
            if entry["place"] == "rows":
                rows = np.memmap(file, np.uint8, "r").reshape(-1, self.size, self.size)
            else:
                rows = np.load(file, mmap_mode="r")
            row = rows[entry["row"]]
        except (OSError, ValueError, IndexError):
            return None
        return row if xxh3_64_hexdigest(np.ascontiguousarray(row)) == entry["hash"] else None


def _identity(file: Path) -> list[int]:
    """Size and time of change (ns); empty for a file that is not there."""
    try:
        found = file.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
