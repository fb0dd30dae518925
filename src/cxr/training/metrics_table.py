"""`metrics.csv` of a training: an epoch a row, also over an interruption."""

import time
from pathlib import Path

import lightning
import pandas as pd

from cxr.tables import write_csv
from cxr.training.best_epoch import TOTAL


class MetricsTable(lightning.Callback):
    """Writes every epoch's losses to a CSV and prints one line for each."""

    def __init__(self, path: Path, epochs: int):
        self.path, self.epochs, self.rows = path, epochs, []
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the training began, without the time between a kill and the command that goes on."""
        return time.monotonic() - self.started

    def go_on(self) -> None:
        """Count from the rows that were put in from a checkpoint."""
        self.started -= self.rows[-1]["seconds"]

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        validated = (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch == 0
        numbers = {
            name: round(float(value), 5)
            for name, value in trainer.callback_metrics.items()
            if validated or not name.startswith("val_")  # otherwise those of an epoch before
        }
        seconds = round(self.seconds, 1)
        self.rows.append(
            {
                "epoch": len(self.rows) + 1,
                **numbers,
                "lr": module.optimizers().param_groups[0]["lr"],
                "seconds": seconds,
            }
        )
        losses = sorted({name for row in self.rows for name in row} - {"epoch", "lr", "seconds"})
        # the losses of one kind side by side, also where the first epochs were not validated
        names = [name for kind in ("train_", "val_") for name in losses if name.startswith(kind)]
        if not trainer.is_global_zero:
            return
        write_csv(pd.DataFrame(self.rows)[["epoch", *names, "lr", "seconds"]], self.path)
        losses = {f"{kind}_{name}" for kind in ("train", "val") for name in (*module.loss_names, TOTAL)}
        shown = "  ".join(f"{name} {value:.3f}" for name, value in numbers.items() if name in losses)
        print(f"  epoch {len(self.rows):2d}/{self.epochs}  {shown}  {seconds:.0f} s", flush=True)
