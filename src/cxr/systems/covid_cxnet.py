"""Paper 001: Haghanifar et al., "COVID-CXNet: detecting COVID-19 in frontal chest X-ray images using deep learning",
2020. The picture, its CLAHE and its BEASF as three channels of CheXNet, fine-tuned with a small head.

Two classes; three flat, or by a hierarchy (normal or not, then which disease). The base model (4.1) and plain
DenseNet-121 and ResNet-50 (4.2) are values of the same config.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from cxr.data.picture_batches import LungSight, See
from cxr.data.tasks import Pictures
from cxr.explain.pictures import picture_heat
from cxr.faults import DataFault
from cxr.images.enhance import beasf, clahe
from cxr.images.lungs import rejection
from cxr.images.resize import to_cache_size
from cxr.models.picture_nets import BASE, build_picture_net
from cxr.prediction.pictures import chances, classes_of, load_network
from cxr.profiles import CovidCxnet as Config
from cxr.profiles import Lungs
from cxr.training.lung_recipes import PAPERS, resized
from cxr.training.pictures import Course, Part, learn, plain_recipe
from cxr.training.pretraining import NIH_NAME
from cxr.training.start import Start, find_start

NAME, TITLE, PAPER = "covid_cxnet", "COVID-CXNet", "001"
OWN = ("two", "three")
CODE = ("cxr.systems.covid_cxnet",)
ILL, WHICH = "ill", "which"  # the two levels of the hierarchy
CHANNELS = ("original", "clahe", "beasf")


def lung_settings(c: Config) -> Lungs:
    """The U-Net of section 3.2."""
    return resized(PAPERS[NAME], c.lungs_size, c.lungs_epochs)


def rejected(mask: np.ndarray) -> str:
    """Why a mask is not believed, empty when it is."""
    return rejection(float(mask.mean()), Lungs.min_area, Lungs.max_area)


def see(c: Config) -> See:
    """uint8 [S x S x channels]: lungs first, then their enhancements (section 5.3 masks before it enhances)."""
    makers = {CHANNELS[0]: lambda x: x, CHANNELS[1]: clahe, CHANNELS[2]: lambda x: beasf(x, c.gamma)}
    names = [name.strip() for name in c.channels.split(",")]
    unknown = [name for name in names if name not in makers]
    if unknown or len(names) not in (1, 3):
        raise DataFault(f"covid_cxnet.channels={c.channels}: take one or three of {', '.join(CHANNELS)}")

    def one(pictures: Pictures, index: int, _: int) -> np.ndarray:
        small = to_cache_size(np.ascontiguousarray(sight(c).of(pictures, index)), c.size)
        return np.stack([makers[name](small) for name in names], axis=-1)

    return one


def sight(c: Config) -> LungSight:
    return LungSight(c.lungs, c.margin)


def build(c: Config, classes: int) -> nn.Module:
    return build_picture_net(c.network, classes, c.size, c.hidden, c.dropout)


def start_of(part: Part, c: Config) -> Start:
    """CheXNet's weights by file; else the backbone of stage 04 where it is the same network (14 findings of NIH)."""
    file = find_start(part.workspace, c.weights)
    same = part.workspace.profile.nih.network == c.network
    return find_start(part.workspace, c.weights, NIH_NAME) if file.is_random and same else file


def train(part: Part, c: Config) -> None:
    classes = len(part.classes)
    if not c.hierarchical:
        return _learn(part, c, c.epochs if classes == 2 else c.more_epochs)
    levels = {ILL: ((part.classes[0], "ill"), c.epochs), WHICH: (part.classes[1:], c.second_epochs)}
    for name, (names, epochs) in levels.items():
        own = part._replace(
            task=part.task._replace(classes=names),
            training=level(part.training, name),
            validation=level(part.validation, name),
        )
        _learn(own, c, epochs, name)


def level(pictures: Pictures, name: str) -> Pictures:
    """The pictures of one level with its classes: all of them, ill or not; or the ill ones, by disease."""
    if name == ILL:
        return pictures.relabelled(np.minimum(pictures.targets, 1))
    ill = pictures.take(pictures.targets > 0)
    return ill.relabelled(ill.targets - 1)


def _learn(part: Part, c: Config, epochs: int, name: str = "") -> None:
    epochs = c.base_epochs if c.network == BASE else epochs
    course = Course(
        partial(build, c),
        see(c),
        plain_recipe(c, epochs),
        c.batch,
        c.augmentation,
        class_weights=c.class_weights,
        smoothing=c.smoothing,
    )
    learn(part, c, course, start_of(part, c), name)


def predict(folder: Path, c: Config, pictures: Pictures, half: bool = False) -> np.ndarray:
    """Probabilities [N x classes]; of a hierarchy the products along its branches."""
    if not c.hierarchical:
        return chances(load_network(folder, partial(build, c)), pictures, see(c), half)
    ill, which = (
        chances(load_network(folder / name, partial(build, c)), pictures, see(c), half) for name in (ILL, WHICH)
    )
    return np.concatenate([ill[:, :1], ill[:, 1:] * which], axis=1)


def heat(folder: Path, c: Config, pictures: Pictures, targets: np.ndarray) -> np.ndarray:
    """Grad-CAM [N x S x S] of a class each; of a hierarchy that of its first level."""
    if c.hierarchical:
        return heat(folder / ILL, replace(c, hierarchical=False), pictures, np.minimum(targets, 1))
    network = load_network(folder, partial(build, c))
    return picture_heat(network, pictures, see(c), sight(c), np.minimum(targets, len(classes_of(folder)) - 1))


def variants(c: Config) -> dict[str, tuple[str, Config]]:
    """What the paper compares it with: task and config by name. Other models see the whole picture at 224 of 320 px, 32
    at a time (figure 6, section 5.3)."""
    small = 2 * round(c.size * 224 / 320 / 2)
    plain = replace(c, hidden=0, dropout=0.0, channels=CHANNELS[0], lungs="whole", batch=2 * c.batch)
    return {
        "base model": ("two", replace(plain, network=BASE, weights=BASE)),
        "DenseNet-121 from ImageNet": ("two", replace(plain, weights="densenet121", size=small)),
        "ResNet-50 from ImageNet": ("two", replace(plain, network="resnet50", weights="resnet50", size=small)),
        "without lungs (v1)": ("two", replace(c, lungs="whole")),
        "hierarchical": ("three", replace(c, hierarchical=True)),
    }


def networks(c: Config, classes: int) -> dict[str, nn.Module]:
    if not c.hierarchical:
        return {c.network: build(c, classes)}
    return {ILL: build(c, 2), WHICH: build(c, classes - 1)}
