"""Stopping a training when its validation loss falls no more, and the weights of its best epoch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping

from cxr.training.checkpoint import save_atomically

TOTAL = "total"  # the weighted sum of the losses, in `metrics.csv` where something depends on it


class BestEpoch(EarlyStopping):
    """Stops after `patience` validations without a lower loss, or a higher `measure`, and puts the best one's weights
    in place at the end."""

    def __init__(self, patience: int, measure: str = ""):
        # with the validation: what comes later may be a checkpoint already
        mode = "max" if measure else "min"
        super().__init__(f"val_{measure or TOTAL}", patience=patience, mode=mode, check_on_train_epoch_end=False)
        self.weights: dict[str, torch.Tensor] = {}
        self.epoch = 0  # counted from 1

    @property
    def stopped_early(self) -> bool:
        return self.stopped_epoch > 0

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        super().on_validation_end(trainer, module)
        if self.wait_count == 0:
            self.weights = {name: value.detach().cpu().clone() for name, value in module.network.state_dict().items()}
            self.epoch = trainer.current_epoch + 1

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.weights:
            module.network.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        # a training that goes on after a kill may have had its best epoch before
        return {**super().state_dict(), "weights": self.weights, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.weights, self.epoch = state["weights"], state["epoch"]


class BestFile(lightning.Callback):
    """Keeps the weights of the epoch with the lowest validation loss in their own file (averaged ones with `ema`).

    For people to try: what a run predicts with are the last weights, see `fit`. It must stand before the averaging in
    the list of callbacks, which puts the last weights back when a validation ends.
    """

    def __init__(self, path: Path, loss_weights: Mapping[str, float]):
        self.path, self.loss_weights = path, loss_weights
        self.lowest, self.epoch = math.inf, 0  # counted from 1

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        # other measures of the same epoch are no losses
        total = sum(
            self.loss_weights.get(name, 1.0) * float(trainer.callback_metrics[f"val_{name}"])
            for name in module.loss_names
        )
        if total < self.lowest:
            self.lowest, self.epoch = total, trainer.current_epoch + 1
            if trainer.is_global_zero:
                save_atomically({name: value.cpu() for name, value in module.network.state_dict().items()}, self.path)

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.lowest, self.epoch = state["lowest"], state["epoch"]
