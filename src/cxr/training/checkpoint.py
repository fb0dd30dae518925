"""Where a training stood after an epoch, on disk: so that one that was killed goes on instead of beginning again.

`resume.ckpt` in the run folder holds tensors and plain values alone and is read with `weights_only=True`. It is written
beside its place and then renamed, and is gone when the training is finished. One of another configuration or of other
versions is passed over, and so is a damaged one; both are said.
"""

import hashlib
import io
import json
import os
import random
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch.utils.data import DataLoader

RESUME = "resume.ckpt"
# Seconds between two checkpoints at least, which is what a kill costs, beside the epoch under way: an epoch of the demo
# takes a few seconds, and writing after each would cost more than most kills
EVERY = float(os.environ.get("CXR_CHECKPOINT_SECONDS", "30"))  # 0: after every epoch, for tests of kills
SHARE = 0.02  # of the time, that writing checkpoints may take: large networks on a slow disk wait longer


@dataclass
class Pace:
    """When the next checkpoint is due."""

    now: Callable[[], float] = time.monotonic
    every: float | None = None  # seconds; None: EVERY

    def __post_init__(self) -> None:
        self.last, self.cost = self.now(), 0.0

    def is_due(self) -> bool:
        every = EVERY if self.every is None else self.every
        return not every or self.now() - self.last >= max(every, self.cost / SHARE)

    def save(self, write: Callable[[], None]) -> None:
        """Call `write`, and remember when that was and what it cost."""
        began = self.now()
        write()
        self.last = self.now()
        self.cost = self.last - began


def save_atomically(value: object, path: Path) -> None:
    """Write tensors and plain values to a .pt file. A full disk raises OSError, and leaves the older file as it was."""
    memory = io.BytesIO()  # writing to a full disk, torch.save itself raises a RuntimeError that does not say so
    torch.save(value, memory)
    partial = partial_of(path)
    try:
        partial.write_bytes(memory.getbuffer())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """The name until a file is whole: always the same, since one process at a time trains in a folder."""
    return path.with_name(f".{path.name}.part")


def training_key(folder: Path, *parts: object) -> str:
    """Digest of what a checkpoint must agree with: the folder's config.json, `parts`, the libraries and the device."""
    config = folder / "config.json"
    versions = [version(name) for name in ("torch", "lightning", "ultralytics", "albumentations", "numpy")]
    found = [config.read_text() if config.is_file() else "", *map(repr, parts), versions, torch.cuda.is_available()]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def read_checkpoint(path: Path, key: str) -> dict | None:
    """The checkpoint of an interrupted training, or None where there is none to be used; a line says why."""
    if not path.is_file():
        return None
    try:
        found = _load_whole(path)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        print(f"{path}: the checkpoint is damaged ({reason}); the training begins again", flush=True)
        return None
    if not isinstance(found, dict) or found.get("key") != key:
        print(f"{path}: the checkpoint is of another training; this one begins at its start", flush=True)
        return None
    return found


def _load_whole(path: Path) -> object:
    # torch does not look at the check sums that it writes, and a flipped bit would go on learning
    with zipfile.ZipFile(path) as parts:
        damaged = parts.testzip()
    if damaged:
        raise ValueError(f"{damaged} does not fit its check sum")
    return torch.load(path, map_location="cpu", weights_only=True)


def random_state(loaders: Iterable[DataLoader]) -> dict:
    """Every random state that a training draws from: Python, numpy, torch, its loaders and their augmentations."""
    # as JSON: numpy's state holds whole numbers of 128 bits
    own = [[*_plain(part)] for loader in loaders for part in _augmentations(loader)]
    legacy = np.random.get_state(legacy=True)
    return {
        "python": json.dumps(random.getstate()),
        "numpy": json.dumps([legacy[0], legacy[1].tolist(), *legacy[2:]]),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "loaders": [loader.generator.get_state() for loader in loaders if loader.generator is not None],
        "augmentations": json.dumps(own),
    }


def restore_random_state(state: dict, loaders: Iterable[DataLoader]) -> None:
    """Put back what `random_state` took, into loaders made in the same way."""
    kind, numbers, own = json.loads(state["python"])
    random.setstate((kind, tuple(numbers), own))
    name, keys, *rest = json.loads(state["numpy"])
    np.random.set_state((name, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    generators = [loader.generator for loader in loaders if loader.generator is not None]
    for generator, kept in zip(generators, state["loaders"], strict=True):
        generator.set_state(kept)
    parts = [part for loader in loaders for part in _augmentations(loader)]
    for part, (kept_python, kept_numpy) in zip(parts, json.loads(state["augmentations"]), strict=True):
        part.py_random.setstate((kept_python[0], tuple(kept_python[1]), kept_python[2]))
        part.random_generator.bit_generator.state = kept_numpy


def _plain(part: object) -> tuple[object, object]:
    return part.py_random.getstate(), part.random_generator.bit_generator.state


def _augmentations(loader: DataLoader) -> Iterator[object]:
    """A loader's albumentations: the composition and all in it, each of which draws from random numbers of its own."""
    queue = [getattr(loader.dataset, "augment", None)]
    while queue:
        part = queue.pop(0)
        # ultralytics' datasets have an `augment` too, a bool
        if hasattr(part, "py_random") and hasattr(part, "random_generator"):
            yield part
            queue += list(getattr(part, "transforms", []))
