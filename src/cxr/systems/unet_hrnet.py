"""Paper 000: Ahmed et al., "Automated COVID-19 detection from chest X-ray images: a high resolution network (HRNet)
approach", 2020. A U-Net covers all but the lungs, HRNet and a head of connected layers tell COVID-19 from normal.

Comparison networks (table 7) and the same without segmentation (figures 9 and 12) are values of the same config.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from cxr.data.picture_batches import LungSight, See
from cxr.data.tasks import Pictures
from cxr.explain.pictures import picture_heat
from cxr.images.lungs import LEAST_GROWN, grow_mask, rejection
from cxr.images.resize import to_cache_size
from cxr.models.picture_nets import build_picture_net
from cxr.prediction.pictures import chances, load_network
from cxr.profiles import Lungs
from cxr.profiles import UnetHrnet as Config
from cxr.training.lung_recipes import PAPERS, resized
from cxr.training.pictures import Course, Part, learn, plain_recipe
from cxr.training.start import find_start

NAME, TITLE, PAPER = "unet_hrnet", "U-Net + HRNet", "000"
OWN = ("two",)
CODE = ("cxr.systems.unet_hrnet",)
COMPARED = {"ResNet-152": "resnet152", "DenseNet-121": "densenet121", "EfficientNet-B4": "efficientnet_b4"}


def lung_settings(c: Config) -> Lungs:
    """The segmenter of section 4.2."""
    return resized(PAPERS[NAME], c.lungs_size, c.lungs_epochs)


def rejected(mask: np.ndarray) -> str:
    """Why a mask is not believed, empty when it is: as stage 06, and by the paper's least area after dilation."""
    usual = rejection(float(mask.mean()), Lungs.min_area, Lungs.max_area)
    grown = float(grow_mask(mask).mean())
    return usual or (f"covers {grown:.0%} when grown, less than {LEAST_GROWN:.0%}" if grown < LEAST_GROWN else "")


def see(c: Config) -> See:
    """The lungs, black around them, at the network's size."""

    def one(pictures: Pictures, index: int, _: int) -> np.ndarray:
        return to_cache_size(sight(c).of(pictures, index), c.size)

    return one


def sight(c: Config) -> LungSight:
    return LungSight(c.lungs)


def build(c: Config, classes: int) -> nn.Module:
    return build_picture_net(c.network, classes, c.size, c.hidden, c.dropout)


def train(part: Part, c: Config) -> None:
    drops = tuple(int(epoch) for epoch in c.drops.split(",") if epoch)
    recipe = plain_recipe(c, c.epochs, schedule="steps", drops=drops, momentum=c.momentum, nesterov=False)
    course = Course(partial(build, c), see(c), recipe, c.batch, c.augmentation)
    learn(part, c, course, find_start(part.workspace, c.weights))


def predict(folder: Path, c: Config, pictures: Pictures, half: bool = False) -> np.ndarray:
    """Probabilities [N x classes]."""
    return chances(load_network(folder, partial(build, c)), pictures, see(c), half)


def heat(folder: Path, c: Config, pictures: Pictures, targets: np.ndarray) -> np.ndarray:
    """Grad-CAM [N x S x S] of a class each."""
    return picture_heat(load_network(folder, partial(build, c)), pictures, see(c), sight(c), targets)


def variants(c: Config) -> dict[str, tuple[str, Config]]:
    """What the paper compares it with: task and config by name."""
    compared = {name: (OWN[0], replace(c, network=net, weights=net)) for name, net in COMPARED.items()}
    return {**compared, "without segmentation": (OWN[0], replace(c, lungs="whole", reject=False))}


def networks(c: Config, classes: int) -> dict[str, nn.Module]:
    return {c.network: build(c, classes)}
