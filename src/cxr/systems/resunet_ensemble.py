"""Paper 003: Hertel and Benlamri, "A deep learning segmentation-classification pipeline for X-ray-based COVID-19
diagnosis", 2022. ResUNet masks that keep the heart in, three classifiers, and an ensemble of them.

Each learns with its head alone, then ever more of its layers at a small rate, its batch norms' statistics standing
still. The ensemble's weights are found on the part that shows when to stop.
"""

import json
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from torch import nn

from cxr.data.picture_batches import LungSight, See
from cxr.data.tasks import Pictures
from cxr.explain.pictures import picture_heat
from cxr.faults import DataFault
from cxr.images.lungs import rejection
from cxr.images.resize import to_cache_size
from cxr.models.picture_nets import build_picture_net
from cxr.prediction.pictures import chances, load_network
from cxr.profiles import Lungs
from cxr.profiles import ResunetEnsemble as Config
from cxr.training.lung_recipes import PAPERS, resized
from cxr.training.pictures import Course, Part, learn
from cxr.training.recipe import Recipe, Stage
from cxr.training.start import find_start
from cxr.workspace import write_json

NAME, TITLE, PAPER = "resunet_ensemble", "ResUNet ensemble", "003"
OWN = ("three", "two")
CODE = ("cxr.systems.resunet_ensemble",)
WEIGHTED, MAJORITY = "weighted", "majority"
GRID = np.linspace(0, 1, 11)  # of the weights that are tried (ours)


def lung_settings(c: Config) -> Lungs:
    """The ResUNet of section 3.3."""
    return resized(PAPERS[NAME], c.lungs_size, c.lungs_epochs)


def rejected(mask: np.ndarray) -> str:
    """Why a mask is not believed, empty when it is."""
    return rejection(float(mask.mean()), Lungs.min_area, Lungs.max_area)


def see(c: Config) -> See:
    """Lungs and heart, black around them."""

    def one(pictures: Pictures, index: int, _: int) -> np.ndarray:
        return to_cache_size(sight(c).of(pictures, index), c.size)

    return one


def sight(c: Config) -> LungSight:
    return LungSight(c.lungs, keep_heart=True)


def members(c: Config) -> dict[str, int]:
    """Width of the further layer by network. Raises DataFault unless each has one."""
    names, widths = c.networks.split(","), c.hidden.split(",")
    if len(names) != len(widths) or not all(width.strip().isdecimal() for width in widths):
        raise DataFault(
            f"resunet_ensemble: {len(names)} networks ({c.networks}) need as many whole widths, found {c.hidden}"
        )
    return {name.strip(): int(width) for name, width in zip(names, widths, strict=True)}


def build(c: Config, name: str, classes: int) -> nn.Module:
    return build_picture_net(name, classes, c.size, members(c)[name], c.dropout, c.standardised)


def stages(c: Config, network: nn.Module, trained: bool = True) -> tuple[Stage, ...]:
    """The head alone; then, step by step from the last layers on, ever more of the features, all in the last step.

    trained: the network begins with weights, whose statistics are worth keeping. Random ones have none, and without any
    its layers would never learn: all of them do at once then, in as many epochs.
    """
    if not trained:
        return tuple(stage for stage in (Stage(c.head_epochs + c.steps * c.step_epochs, c.lr),) if stage.epochs)
    layers = [name for name, _ in network.features.named_children()]
    found = [Stage(c.head_epochs, c.head_lr, network.HEAD, frozen_norms=True)]
    for step in range(1, c.steps + 1):
        count = max(1, round(len(layers) * step / c.steps))
        # the dot keeps `features.1` from meaning `features.10`
        names = tuple(f"features.{name}." for name in layers[-count:])
        found.append(Stage(c.step_epochs, c.lr, (*network.HEAD, *names), frozen_norms=True))
    return tuple(stage for stage in found if stage.epochs)


def train(part: Part, c: Config) -> None:
    for name in members(c):
        start = find_start(part.workspace, name)
        if start.is_random:
            print(f"note: {name} begins with random weights: no statistics to freeze, all layers learn at once")
        recipe = Recipe(
            stages(c, build(c, name, len(part.classes)), not start.is_random),
            c.seed,
            c.optimizer,
            c.weight_decay,
            schedule="constant",
            patience=c.patience,
            monitor="accuracy",
        )
        course = Course(partial(build, c, name), see(c), recipe, c.batch, c.augmentation, class_weights=c.class_weights)
        learn(part, c, course, start, name)
    each = [member_chances(part.folder, c, name, part.validation) for name in members(c)]
    weights = best_weights(np.stack(each), part.validation.targets) if len(part.validation) else even(len(each))
    write_json({"weights": dict(zip(members(c), weights.tolist(), strict=True))}, part.folder / "ensemble.json")


def even(count: int) -> np.ndarray:
    return np.full(count, 1 / count)


def best_weights(each: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Weights of the members' probabilities [M x N x C], which sum to 1 and give the highest accuracy on `targets` [N].

    A grid of tenths; of equal ones the mean of all that are best, so that a small part to validate on favours nobody.
    """
    tried = np.array([one for one in product(GRID, repeat=len(each)) if np.isclose(sum(one), 1)])
    found = np.einsum("tm,mnc->tnc", tried, each).argmax(2)
    right = (found == targets).mean(1)
    return tried[right == right.max()].mean(0)


def member_chances(folder: Path, c: Config, name: str, pictures: Pictures, half: bool = False) -> np.ndarray:
    """Probabilities [N x classes] of one classifier."""
    return chances(load_network(folder / name, partial(build, c, name)), pictures, see(c), half)


def predict(folder: Path, c: Config, pictures: Pictures, half: bool = False) -> np.ndarray:
    """Probabilities [N x classes]: the weighted mean, or the share of the votes."""
    each = np.stack([member_chances(folder, c, name, pictures, half) for name in members(c)])
    if c.ensemble == MAJORITY:
        return majority(each)
    if c.ensemble != WEIGHTED:
        raise DataFault(f"resunet_ensemble.ensemble={c.ensemble}: not known; choose {WEIGHTED} or {MAJORITY}")
    weights = json.loads((folder / "ensemble.json").read_text())["weights"]
    return np.tensordot([weights[name] for name in members(c)], each, 1)


def majority(each: np.ndarray) -> np.ndarray:
    """Share of the members' votes [M x N x C] for each class; a tie falls to the larger mean probability."""
    votes = np.eye(each.shape[2])[each.argmax(2)].mean(0)
    close = 0.01 / len(each)
    return (votes + close * each.mean(0)) / (1 + close)


def heat(folder: Path, c: Config, pictures: Pictures, targets: np.ndarray) -> np.ndarray:
    """Grad-CAM [N x S x S] of a class each, of the first network (DenseNet-201, figure 11)."""
    name = next(iter(members(c)))
    network = load_network(folder / name, partial(build, c, name))
    return picture_heat(network, pictures, see(c), sight(c), targets)


def variants(c: Config) -> dict[str, tuple[str, Config]]:
    """What the paper compares it with: task and config by name (figure 11)."""
    first, width = next(iter(members(c).items()))
    alone = replace(c, networks=first, hidden=str(width))
    return {"DenseNet-201 alone": ("two", alone), "alone, without segmentation": ("two", replace(alone, lungs="whole"))}


def networks(c: Config, classes: int) -> dict[str, nn.Module]:
    return {name: build(c, name, classes) for name in members(c)}
