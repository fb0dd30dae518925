"""A GPU that is full: the batch is halved, and a step still learns from as many pictures."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxr.data.datasets import study_loader
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.profiles import ours
from cxr.training.fit import fit
from cxr.training.recipe import Recipe, Stage

SETTINGS = dataclasses.replace(ours.STUDY, size=16, batch=6, seed=1)


class Net(nn.Module):
    """Stands for a network on a GPU that holds so many pictures."""

    def __init__(self, room):
        super().__init__()
        self.head, self.room, self.batches = nn.Linear(256, 4), room, []

    def forward(self, pixels):
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.batches.append(len(pixels))
        return self.head(pixels.flatten(1).float() / 255)


def losses(network, batch):
    return {"class": nn.functional.cross_entropy(network(batch["pixels"]).float(), batch["target"])}


def train(room, folder):
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(12)], "height": 16, "width": 16})
    for column, name in enumerate(STUDY_CLASSES):
        images[name] = [float(n % 4 == column) for n in range(12)]
    pixels = np.random.default_rng(0).integers(0, 255, (12, 16, 16), dtype=np.uint8)
    boxes = pd.DataFrame(columns=["image_id", "label", "score", "x_min", "y_min", "x_max", "y_max"])
    torch.manual_seed(0)
    network = Net(room)
    loaders = [study_loader(images, boxes, pixels, SETTINGS, 8, training) for training in (False, False)]
    return network, fit(network, losses, *loaders, Recipe((Stage(2, 0.1),), 1, optimizer="SGD"), folder)


def test_the_batch_is_halved_and_gradients_add_up_to_the_nominal_one(tmp_path, capsys):
    _, plain = train(6, tmp_path / "a")
    network, record = train(3, tmp_path / "b")
    assert (record["batch"], record["accumulate"]) == (3, 2) and "batch" not in plain
    assert "b: the GPU has too little memory; the batch is 3 now, and a step takes 2 of them" in capsys.readouterr().out
    assert set(network.batches) == {3}
    whole, halved = (pd.read_csv(tmp_path / name / "metrics.csv") for name in ("a", "b"))
    assert halved["val_class"].to_numpy() == pytest.approx(whole["val_class"].to_numpy(), rel=0.02)
    assert list(halved["lr"]) == list(whole["lr"]), "as many steps as before"


def test_a_gpu_without_room_for_one_picture_is_told(tmp_path):
    with pytest.raises(DataFault, match=r"too little memory for a batch of 1 \(CUDA out of memory.*choose a smaller"):
        train(0, tmp_path / "c")
