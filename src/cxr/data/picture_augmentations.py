"""How the papers move and disturb pictures while a classifier learns. Images uint8 [S x S] or [S x S x channels].

What they leave open is ours: what comes in from outside is black, and Keras' generator moves every picture.
"""

import math
from collections.abc import Callable

import albumentations as A
import cv2

from cxr.data.paper_augmentations import unet_hrnet

SLOPE = math.degrees(math.atan(0.15))


def covid_cxnet(seed: int) -> A.Compose:
    """Paper 001, section 5.3: zoom in and out, brightness. Ranges and the flip of "augmentation" in 3.2 are ours."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.9, 1.1), border_mode=cv2.BORDER_CONSTANT, p=0.8),
            A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0, p=0.8),
        ],
        seed=seed,
    )


def patch_vote(seed: int) -> A.Compose:
    """Paper 002 names none: the place of a patch is random, which is enough of it. A flip is ours."""
    return A.Compose([A.HorizontalFlip(p=0.5)], seed=seed)


def resunet_ensemble(seed: int) -> A.Compose:
    """Paper 003, section 3.3: rotation 15 (degrees, as Keras counts), shifts, shear and zoom 15 %, horizontal flip."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=(0.85, 1.15),
                translate_percent={"x": (-0.15, 0.15), "y": (-0.15, 0.15)},
                rotate=(-15, 15),
                shear={"x": (-SLOPE, SLOPE), "y": (0, 0)},
                border_mode=cv2.BORDER_CONSTANT,
                p=1,
            ),
        ],
        seed=seed,
    )


PICTURE_AUGMENTATIONS: dict[str, Callable[[int], A.Compose]] = {
    "unet_hrnet": unet_hrnet,
    "covid_cxnet": covid_cxnet,
    "patch_vote": patch_vote,
    "resunet_ensemble": resunet_ensemble,
}
