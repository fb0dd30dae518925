"""What the papers' trainings need of the engine: frozen statistics, rates in steps, a measure to stop by."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxr.data.picture_augmentations import PICTURE_AUGMENTATIONS
from cxr.data.picture_batches import picture_loader
from cxr.data.tasks import Pictures
from cxr.faults import DataFault
from cxr.models.picture_nets import PictureNet
from cxr.training.fit import fit
from cxr.training.label_measures import ClassMeasures
from cxr.training.losses import picture_losses
from cxr.training.rate_test import range_test
from cxr.training.recipe import Recipe, Stage

SIZE = 32


@pytest.fixture
def pictures():
    """Twelve pictures of noise, every other one bright in the middle: class 1."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 90, (12, SIZE, SIZE), dtype=np.uint8)
    pixels[1::2, 8:24, 8:24] += 120
    ids = [f"i{n}" for n in range(12)]
    images = pd.DataFrame({"image_id": ids, "patient_id": ids, "height": SIZE, "width": SIZE})
    return Pictures(images, np.arange(12) % 2, pixels)


def see(pictures, index, _):
    return pictures.picture(index)


def loaders(pictures, batch=4):
    augment = PICTURE_AUGMENTATIONS["patch_vote"](1)
    return picture_loader(pictures, 2, see, batch, 1, augment), picture_loader(pictures, 2, see, batch, 1)


def train(tmp_path, pictures, stages, network=None, **more):
    torch.manual_seed(1)
    network = network or PictureNet("resnet18", 2)
    recipe = Recipe(stages, 1, "Adam", 0.0, schedule=more.pop("schedule", "constant"), **more)
    record = fit(network, picture_losses(), *loaders(pictures), recipe, tmp_path, [ClassMeasures()])
    return network, record


def norms(network):
    return {
        name: value.clone()
        for name, value in network.state_dict().items()
        if "running" in name or "num_batches" in name
    }


def test_frozen_statistics_do_not_move_while_weights_do(tmp_path, pictures):
    network = PictureNet("resnet18", 2)
    before, weight = norms(network), network.features[0].weight.detach().clone()
    train(tmp_path, pictures, (Stage(1, 1e-3, ("classifier", "features."), frozen_norms=True),), network)
    assert all(torch.equal(before[name], value) for name, value in norms(network).items())
    assert not torch.equal(weight, network.features[0].weight)
    train(tmp_path / "free", pictures, (Stage(1, 1e-3),), network)
    assert not all(torch.equal(before[name], value) for name, value in norms(network).items())


def test_a_stage_with_the_head_leaves_the_features(tmp_path, pictures):
    network = PictureNet("resnet18", 2)
    before = {name: value.clone() for name, value in network.features.state_dict().items()}
    train(tmp_path, pictures, (Stage(2, 1e-2, ("classifier",), frozen_norms=True),), network)
    assert all(torch.equal(before[name], value) for name, value in network.features.state_dict().items())


def test_rates_fall_to_a_tenth_in_steps(tmp_path, pictures):
    recipe = Recipe((Stage(4, 0.1),), 1, schedule="steps", drops=(1, 3))
    assert [round(recipe.rate(10 * epoch, 10), 6) for epoch in range(4)] == [0.1, 0.01, 0.01, 0.001]
    train(tmp_path, pictures, (Stage(3, 0.01),), schedule="steps", drops=(2,))
    # noted when an epoch ends: the rate that the next one begins with
    assert pd.read_csv(tmp_path / "metrics.csv")["lr"].round(6).tolist() == [0.01, 0.001, 0.001]


def test_the_best_epoch_by_a_measure_is_kept(tmp_path, pictures):
    network, record = train(tmp_path, pictures, (Stage(6, 3e-3),), patience=3, monitor="F1")
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert {"val_F1", "val_accuracy"} <= set(table.columns)
    assert record["best_epoch"] == table["val_F1"].idxmax() + 1
    found = network(torch.from_numpy(pictures.pixels.copy())[:, None]).argmax(1).numpy()
    assert (found == pictures.targets).mean() == pytest.approx(table["val_accuracy"].max(), abs=1e-4)


def test_a_resumed_training_of_patches_draws_the_same(pictures):
    """Seeds of what is seen come from torch, whose state a checkpoint keeps."""
    seeds = []

    def drawn(pictures, index, seed):
        seeds.append(seed)
        return pictures.picture(index)

    loader = picture_loader(pictures, 2, drawn, 4, 1, PICTURE_AUGMENTATIONS["patch_vote"](1))
    for _ in range(2):
        torch.manual_seed(7)
        list(loader)
    half = len(seeds) // 2
    assert seeds[:half] == seeds[half:] and len(set(seeds[:half])) == half


class Line(nn.Module):
    """A loss that falls fastest at one rate."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([4.0]))

    def forward(self, pixels):
        return torch.stack([self.weight.expand(len(pixels)), -self.weight.expand(len(pixels))], 1)


def test_the_range_test_finds_where_the_loss_falls(pictures):
    network = Line()
    found = range_test(network, picture_losses(), loaders(pictures.relabelled(np.ones(12, int)))[0])
    assert 1e-4 < found.best <= 1 and len(found.rates) == len(found.losses)
    assert float(network.weight.detach()) == 4.0, "the weights are as before"


def test_the_range_test_of_a_broken_loss_says_so(pictures):
    network = Line()
    with torch.no_grad():
        network.weight.fill_(float("nan"))
    with pytest.raises(DataFault, match="not finite at the lowest learning rate"):
        range_test(network, picture_losses(), loaders(pictures)[0])
