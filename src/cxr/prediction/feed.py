"""Test DICOMs decoded in the background, block by block, while the networks work on the blocks before."""

import queue
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.images.jobs import Done, Job
from cxr.images.pool import run_jobs


class Block(NamedTuple):
    """Some studies with all their images."""

    images: pd.DataFrame  # of the readable ones: image_id, study_id, height, width, ...
    pixels: np.ndarray  # uint8 [N x S x S] of the same rows
    failures: list[tuple[str, str]]  # (path, reason) of the others

    @property
    def files(self) -> int:
        return len(self.images) + len(self.failures)


def decoded_blocks(competition: Path, files: pd.DataFrame, studies: int, size: int, workers: int) -> Iterator[Block]:
    """Blocks of so many studies, in the order of their ids. files: image_id, study_id, path below `competition`."""
    groups = [group for _, group in files.groupby("study_id", sort=True)]
    tables = [pd.concat(groups[start : start + studies]) for start in range(0, len(groups), studies)]
    jobs = (Job(competition / row.path, row.image_id, thumbnail=size) for table in tables for row in table.itertuples())
    done = run_jobs(jobs, workers)
    try:
        for table in tables:
            yield _block(table, [next(done) for _ in range(len(table))], size)
    finally:
        done.close()


def _block(table: pd.DataFrame, results: list[Done], size: int) -> Block:
    good, pixels, bad = [], [], []
    for row, done in zip(table.itertuples(), results, strict=True):
        if done.header is None:
            bad.append((row.path, done.reason))
            continue
        # the folder decides to which study an image belongs, as the sample file does; headers may differ
        own = {"image_id": row.image_id, "study_id": row.study_id, "source": "siim_test", "path": row.path}
        good.append({**done.header, **own})
        pixels.append(done.thumbnail)
    return Block(pd.DataFrame(good), np.stack(pixels) if pixels else np.empty((0, size, size), np.uint8), bad)


class Feed:
    """What an iterator yields, drawn by a thread of its own. Use as a context: leaving it ends the thread."""

    def __init__(self, blocks: Iterable[Block]):
        self._blocks, self._queue, self._stop = iter(blocks), queue.SimpleQueue(), threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self.finished = False

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def ready(self, wait: float = 0.0) -> list[Block]:
        """Blocks that came since the last call; waits so many seconds if there are none. Raises what decoding raised.

        `finished` is true once nothing more will come.
        """
        found: list[Block] = []
        while not self.finished:
            try:
                kind, value = self._queue.get(timeout=wait) if wait and not found else self._queue.get_nowait()
            except queue.Empty:
                break
            if kind == "error":
                raise value
            if kind == "end":
                self.finished = True
            else:
                found.append(value)
        return found

    def _draw(self) -> None:
        try:
            for block in self._blocks:
                self._queue.put(("block", block))
                if self._stop.is_set():
                    break
            self._queue.put(("end", None))
        except BaseException as error:  # handed over: the thread that waits must not wait forever
            self._queue.put(("error", error))
        finally:
            getattr(self._blocks, "close", lambda: None)()  # workers of a generator that is left early end here
