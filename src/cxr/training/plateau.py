"""A learning rate that falls to a tenth whenever the training loss stalls (paper 002)."""

from typing import Any

import lightning
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cxr.training.best_epoch import TOTAL

STALLED = 5  # epochs without a lower loss; the next one is a plateau (ours, the paper has "a certain criterion")


class Plateau(lightning.Callback):
    """Lightning would step such a schedule after its callbacks, and after a checkpoint: a resumed training lagged."""

    def __init__(self) -> None:
        self.schedule: ReduceLROnPlateau | None = None
        self.kept: dict[str, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.schedule = ReduceLROnPlateau(trainer.optimizers[0], factor=0.1, patience=STALLED)
        self.schedule.load_state_dict(self.kept)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.schedule.step(float(trainer.callback_metrics[f"train_{TOTAL}"]))

    def state_dict(self) -> dict[str, Any]:
        return self.schedule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = state
