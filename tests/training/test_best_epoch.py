"""Schedules beside the cosine, stopping early, and the best epoch's weights; also after a kill."""

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from cxr.faults import DataFault
from cxr.training import checkpoint
from cxr.training.fit import fit
from cxr.training.plateau import STALLED
from cxr.training.recipe import Recipe, Stage


class Kill(BaseException):
    """Stands for kill -9: nothing catches it."""


class Scripted:
    """Losses as written down: `validation` of each epoch; the only weight grows by the rate in every step."""

    def __init__(self, validation, training=1.0, killed_in=0):
        self.validation, self.training, self.killed_in, self.epoch = validation, training, killed_in, 0

    def __call__(self, network, batch):
        if network.training:
            self.epoch += 1
            if self.epoch == self.killed_in:
                raise Kill
            # the gradient by the weight is -1, which plain momentum-free steps turn into +lr
            return {"loss": self.training - network.weight.sum() + network.weight.sum().detach()}
        return {"loss": torch.tensor(self.validation[round(network.weight.item()) - 1])}


def train(folder, losses, epochs, **changes):
    """One step an epoch, AdamW without decay: its first steps are of the size of the rate, 1."""
    folder.mkdir(exist_ok=True)
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    loader = DataLoader([{"image_id": "a", "pixels": torch.zeros(1)}], 1, collate_fn=lambda items: {"image_id": ["a"]})
    recipe = Recipe((Stage(epochs, 1.0),), 1, **{"weight_decay": 0.0, "schedule": "constant", **changes})
    return network, fit(network, losses, loader, loader, recipe, folder)


def rates(folder):
    return pd.read_csv(folder / "metrics.csv")["lr"].tolist()


def test_a_constant_rate_stays(tmp_path):
    network, record = train(tmp_path, Scripted([5.0] * 4), 4)
    assert rates(tmp_path) == [1.0] * 4 and network.weight.item() == pytest.approx(4, abs=1e-4)
    assert "best_epoch" not in record and "train_total" not in pd.read_csv(tmp_path / "metrics.csv")


def test_the_rate_falls_to_a_tenth_where_the_training_loss_stalls(tmp_path):
    train(tmp_path, Scripted([5.0] * 20), 2 * STALLED + 4, schedule="plateau")
    # the first epoch is the best; after STALLED more without a better one the next makes it stall
    first = STALLED + 2
    assert rates(tmp_path)[: first - 1] == [1.0] * (first - 1)
    assert rates(tmp_path)[first - 1 :][:1] == pytest.approx([0.1]) and min(rates(tmp_path)) == pytest.approx(0.01)


def test_the_best_epoch_is_kept_and_the_training_stops(tmp_path):
    network, record = train(tmp_path, Scripted([5.0, 3.0, 4.0, 4.0, 4.0, 1.0]), 6, patience=2)
    assert network.weight.item() == pytest.approx(2, abs=1e-4), "of the second epoch, not of the fourth"
    assert record["epochs"] == 4 and record["best_epoch"] == 2 and not record["clock_bound"]
    patient, record = train(tmp_path / "patient", Scripted([5.0, 3.0, 4.0, 4.0, 4.0, 1.0]), 6, patience=6)
    assert record["epochs"] == record["best_epoch"] == 6 and patient.weight.item() == pytest.approx(6, abs=1e-3)


def test_the_best_epoch_before_a_kill_is_not_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    validation = [5.0, 3.0, 4.0, 4.0, 4.0, 1.0]
    with pytest.raises(Kill):
        train(tmp_path, Scripted(validation, killed_in=4), 6, patience=2)
    network, record = train(tmp_path, Scripted(validation), 6, patience=2)
    assert record["resumed_after_epoch"] == 3 and record["epochs"] == 4 and record["best_epoch"] == 2
    assert network.weight.item() == pytest.approx(2, abs=1e-4)


def test_a_plateau_before_a_kill_is_not_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    train(tmp_path / "whole", Scripted([5.0] * 20), 10, schedule="plateau")
    with pytest.raises(Kill):
        train(tmp_path / "killed", Scripted([5.0] * 20, killed_in=5), 10, schedule="plateau")
    train(tmp_path / "killed", Scripted([5.0] * 20), 10, schedule="plateau")
    assert rates(tmp_path / "killed") == rates(tmp_path / "whole") and min(rates(tmp_path / "whole")) < 1


def test_recipes_that_cannot_be_are_refused():
    with pytest.raises(DataFault, match="schedule=stairs: not known; choose one of cosine, constant, plateau, steps"):
        Recipe((Stage(1, 1.0),), 1, schedule="stairs")
    with pytest.raises(DataFault, match="schedule=plateau: 2 stages"):
        Recipe((Stage(1, 1.0),) * 2, 1, schedule="plateau")
    with pytest.raises(DataFault, match="set one of them to 0"):
        Recipe((Stage(1, 1.0),), 1, ema=0.9, patience=3)
