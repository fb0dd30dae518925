"""Stopping a training when its validation loss falls no more, and the weights of its best epoch."""

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping

TOTAL = "total"  # the weighted sum of the losses, in `metrics.csv` where something depends on it


class BestEpoch(EarlyStopping):
    """Stops after `patience` validations without a lower loss, and puts the best one's weights in place at the end."""

    def __init__(self, patience: int):
        # with the validation: what comes later may be a checkpoint already
        super().__init__(f"val_{TOTAL}", patience=patience, mode="min", check_on_train_epoch_end=False)
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
