"""The training loop's checkpoints: a Lightning callback that saves after an epoch, and goes on where one was saved."""

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins import CheckpointIO
from torch.utils.data import DataLoader

from cxr.training.checkpoint import Pace, random_state, read_checkpoint, restore_random_state, save_atomically


class Files(CheckpointIO):
    """How Lightning writes and reads a checkpoint: whole or not at all, and never as code."""

    def save_checkpoint(self, checkpoint: dict, path: str, storage_options: Any | None = None) -> None:
        save_atomically(checkpoint, Path(path))

    def load_checkpoint(self, path: str, map_location: Any | None = None, weights_only: bool | None = None) -> dict:
        return torch.load(path, map_location="cpu", weights_only=True)

    def remove_checkpoint(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)


class Checkpoints(lightning.Callback):
    """Saves the whole state of a training at the end of an epoch, when the pace says so; never after the last one.

    `rows` are those of metrics.csv, shared with who writes them. What Lightning does not keep is added: the random
    states, so that a resumed training ends in the weights that it would have had. What it keeps and must not count is
    taken away: the seconds of its `max_time`, since the clock gives a resumed training a share of its own.
    """

    def __init__(self, path: Path, key: str, loaders: list[DataLoader], rows: list[dict]):
        self.path, self.key, self.loaders, self.rows = path, key, loaders, rows
        self.pace, self.state = Pace(), None
        found = read_checkpoint(path, key)
        self.resumed_after = found["rows"][-1]["epoch"] if found else 0
        if found:
            rows[:] = found["rows"]

    @property
    def file(self) -> str | None:
        """What to give Lightning as `ckpt_path`."""
        return str(self.path) if self.resumed_after else None

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        last = trainer.should_stop or len(self.rows) >= trainer.max_epochs
        if not last and self.pace.is_due():
            self.pace.save(lambda: trainer.save_checkpoint(self.path, weights_only=False))

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: object, checkpoint: dict) -> None:
        checkpoint["callbacks"].pop("Timer", None)
        checkpoint |= {"key": self.key, "rows": list(self.rows), "random": random_state(self.loaders)}

    def on_load_checkpoint(self, trainer: lightning.Trainer, module: object, checkpoint: dict) -> None:
        self.state = checkpoint["random"]

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        # last of all: building the trainer, seeding and the loaders' first iterators draw numbers too
        if self.state is not None:
            restore_random_state(self.state, self.loaders)
            # Lightning has made this epoch's iterator by now, which would have drawn one number from the loader
            iter(trainer.train_dataloader)
