"""Paper 002: Oh, Park, Ye, "Deep learning COVID-19 features on CXR using limited training data sets", 2020. ResNet-18
looks at patches from random places of the lungs, and a hundred of them vote.

Its baseline, the global approach, sees the whole masked picture at the patch's size. Patch sizes, the classifier of
masks alone and other segmenters are values of the same config.
"""

from collections import OrderedDict
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cxr.data.picture_batches import LungSight, See
from cxr.data.tasks import Pictures
from cxr.explain.patches import probabilistic_cam
from cxr.explain.pictures import picture_heat
from cxr.faults import DataFault
from cxr.images.enhance import normalise_contrast
from cxr.images.patches import Patches, draw_patches
from cxr.images.resize import resize_area, to_cache_size
from cxr.models.picture_nets import build_picture_net
from cxr.models.precision import best_device
from cxr.prediction.half import ready
from cxr.prediction.pictures import chances, load_network, patch_chances
from cxr.profiles import Lungs
from cxr.profiles import PatchVote as Config
from cxr.training.lung_recipes import PAPERS, resized
from cxr.training.pictures import Course, Part, learn, plain_recipe
from cxr.training.start import find_start

NAME, TITLE, PAPER = "patch_vote", "patch voting", "002"
OWN = ("four",)
CODE = ("cxr.systems.patch_vote", "cxr.images.patches")
LOCAL, GLOBAL, MAJORITY, MEAN = "local", "global", "majority", "mean"
KEPT = 64  # pictures at their large size that are remembered: patches of one are drawn one after another


def lung_settings(c: Config) -> Lungs:
    """The segmenter of section II-A; other networks (table XIV) by the same recipe."""
    more = {"network": c.lungs_network, "lr": c.lungs_lr, "structures": c.lungs_structures}
    return resized(PAPERS[NAME], c.lungs_size, c.lungs_epochs, **more)


def rejected(mask: np.ndarray) -> str:
    """Why a mask is not believed: only an empty one is not, since under-segmented pictures stay (section V-F.3)."""
    return "no lung found" if not mask.any() else ""


def sight(c: Config) -> LungSight:
    return LungSight(c.lungs if c.masked else "whole")


def large(c: Config, pictures: Pictures, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The normalised picture uint8 and its lungs bool, [side x side]; all of it where no lungs are known."""
    mask = pictures.mask(index)
    picture = normalise_contrast(to_side(pictures.picture(index), c.side), c.gamma)
    mask = np.ones(picture.shape, bool) if mask is None else to_side(mask.astype(np.uint8) * 255, c.side) > 127
    if c.mask_only:
        picture = np.where(mask, np.uint8(255), np.uint8(0))
    return picture, mask if mask.any() else np.ones_like(mask)


def to_side(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 [S x S] to [side x side], smaller or larger."""
    return resize_area(picture, side, side)


def patches_of(c: Config, pictures: Pictures, index: int, seed: int, count: int) -> Patches:
    """Patches of one picture."""
    return draw_patches(*large(c, pictures, index), seed, count, c.patch, c.masked)


def see(c: Config) -> See:
    """One patch, by the seed; or the whole picture at the size of one."""
    if c.approach not in (LOCAL, GLOBAL):
        raise DataFault(f"patch_vote.approach={c.approach}: not known; choose {LOCAL} or {GLOBAL}")
    kept: OrderedDict[str, tuple] = OrderedDict()

    def remembered(pictures: Pictures, index: int) -> tuple[np.ndarray, np.ndarray]:
        name = pictures.ids[index]
        if name not in kept:
            kept[name] = large(c, pictures, index)
            if len(kept) > KEPT:
                kept.popitem(last=False)
        return kept[name]

    def patch(pictures: Pictures, index: int, seed: int) -> np.ndarray:
        return draw_patches(*remembered(pictures, index), seed, 1, c.patch, c.masked).pixels[0]

    def whole(pictures: Pictures, index: int, _: int) -> np.ndarray:
        picture, mask = remembered(pictures, index)
        return to_cache_size(np.where(mask, picture, np.uint8(0)) if c.masked else picture, c.patch)

    return patch if c.approach == LOCAL else whole


def build(c: Config, classes: int) -> nn.Module:
    return build_picture_net(c.network, classes, c.patch, hidden=0, dropout=0.0)


def train(part: Part, c: Config) -> None:
    recipe = plain_recipe(c, c.epochs, patience=c.patience, monitor="F1")
    times = c.patches_an_epoch if c.approach == LOCAL else 1
    course = Course(partial(build, c), see(c), recipe, c.batch, c.augmentation, l1=c.l1, times=times)
    learn(part, c, course, find_start(part.workspace, c.weights))


def predict(folder: Path, c: Config, pictures: Pictures, half: bool = False) -> np.ndarray:
    """Share of the votes for each class [N x classes]; of the global approach, probabilities."""
    network = load_network(folder, partial(build, c))
    if c.approach == GLOBAL:
        return chances(network, pictures, see(c), half)
    network, found = ready(network, best_device()), []
    for index in range(len(pictures)):
        patches = patches_of(c, pictures, index, index, c.votes)
        found.append(vote(patch_chances(network, patches.pixels, half), c.voting))
    return np.stack(found) if found else np.empty((0, 0))


def vote(each: np.ndarray, voting: str) -> np.ndarray:
    """What patches [K x classes] say together, [classes]: the share that each class wins, or the mean probability.

    A tie of votes falls to the class with the larger mean probability: a hundredth of a vote says which.
    """
    mean = each.mean(0)
    if voting == MEAN:
        return mean
    if voting != MAJORITY:
        raise DataFault(f"patch_vote.voting={voting}: not known; choose {MAJORITY} or {MEAN}")
    votes = np.bincount(each.argmax(1), minlength=each.shape[1]) / len(each)
    close = 0.01 / len(each)
    return (votes + close * mean) / (1 + close)


def heat(folder: Path, c: Config, pictures: Pictures, targets: np.ndarray) -> np.ndarray:
    """Probabilistic Grad-CAM [N x S x S] of a class each; of the global approach, Grad-CAM."""
    network = load_network(folder, partial(build, c))
    if c.approach == GLOBAL:
        return picture_heat(network, pictures, see(c), sight(c), targets)
    found = []
    for index, target in enumerate(targets):
        patches = patches_of(c, pictures, index, index, c.votes)
        whole = probabilistic_cam(network, patches, int(target), (c.side, c.side))
        found.append(np.clip(_shrink(whole, pictures.side), 0, 1))
    return np.stack(found) if found else np.empty((0, pictures.side, pictures.side), np.float32)


def _shrink(heat: np.ndarray, side: int) -> np.ndarray:
    scaled = torch.from_numpy(heat)[None, None]
    return nn.functional.interpolate(scaled, (side, side), mode="bilinear", antialias=True)[0, 0].numpy()


def variants(c: Config) -> dict[str, tuple[str, Config]]:
    """What the paper compares it with: task and config by name (tables X, XIV, XVI and XVII, section V-F.3)."""
    changes = {
        "global approach": {"approach": GLOBAL},
        f"patches of {c.patch // 2} px": {"patch": c.patch // 2},
        f"patches of {c.patch * 2} px": {"patch": c.patch * 2},
        "without mask": {"masked": False},
        "mask only": {"mask_only": True, "approach": GLOBAL},
        "lungs by U-Net": {"lungs_network": "unet"},
        "lungs by FC-DenseNet67": {"lungs_network": "fc_densenet67"},
    }
    return {name: (OWN[0], replace(c, **values)) for name, values in changes.items()}


def networks(c: Config, classes: int) -> dict[str, nn.Module]:
    return {c.network: build(c, classes)}
