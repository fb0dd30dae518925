"""Augmentations (albumentations): gray pictures with their boxes or masks, before anything else is done to them."""

from collections.abc import Callable, Mapping

import albumentations as A
import cv2
import numpy as np

from cxr.faults import DataFault

MEAN_GRAY = 114  # of ImageNet; 0 once a picture is normalised, as torchvision's erasing has it
BOXES = A.BboxParams("pascal_voc", min_visibility=0.33, clip=True, filter_invalid_bboxes=True)


def study_augmentation(seed: int) -> A.Compose:
    """For the study classifier: flip, shift, zoom, rotate, contrast. Image uint8 [S x S], mask float32 [S x S].

    Left and right may be exchanged: no class of the challenge knows a side, and the heart's side is no finding.
    """
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=(0.88, 1.12),
                translate_percent=(-0.06, 0.06),
                rotate=(-10, 10),
                border_mode=cv2.BORDER_CONSTANT,
                p=0.8,
            ),
            A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.7),
            A.RandomGamma(gamma_limit=(70, 140), p=0.5),
        ],
        seed=seed,
    )


def paper_004_backbone(seed: int) -> A.Compose:
    """As paper 004 trains its backbone and its study classifier (sections 3.1, 3.4): flip p .5, blur p .3, rotation up
    to 20 degrees p 1, erasing 1 to 10 % p .3. Image uint8 [S x S], maybe with a mask.

    Kernel of the blur, fill and proportions of the erased rectangle are ours.
    """
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Blur(blur_limit=(3, 5), p=0.3),
            A.Rotate(limit=(-20, 20), border_mode=cv2.BORDER_CONSTANT, fill=0, p=1.0),
            A.Erasing(scale=(0.01, 0.1), ratio=(0.5, 2.0), fill=MEAN_GRAY, p=0.3),
        ],
        seed=seed,
    )


def detection_augmentation(seed: int) -> A.Compose:
    """For detectors: flip, shift, zoom, turn a little, contrast. Image uint8 [S x S], boxes_xyxy in its pixels.

    Turned boxes grow to the upright box around them, so the angle stays small. A box of which less than a third is left
    in the picture is dropped.
    """
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=(0.85, 1.15),
                translate_percent=(-0.08, 0.08),
                rotate=(-5, 5),
                border_mode=cv2.BORDER_CONSTANT,
                p=0.8,
            ),
            A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.7),
            A.RandomGamma(gamma_limit=(70, 140), p=0.3),
        ],
        bbox_params=BOXES,
        seed=seed,
    )


def paper_004_detection(seed: int) -> A.Compose:
    """As paper 004 trains its Faster R-CNN (section 3.1): flip p .3; shift with rotation up to 20 degrees p .3; one of
    sharpen p .5 or blur p .25; brightness and contrast p .3; up to 6 circular cut-outs p .3.

    How far is shifted, kernels and the size of the cut-outs are ours, and boxes go as in `detection_augmentation`.
    """
    return A.Compose(
        [
            A.HorizontalFlip(p=0.3),
            A.Affine(translate_percent=(-0.0625, 0.0625), rotate=(-20, 20), border_mode=cv2.BORDER_CONSTANT, p=0.3),
            A.OneOf([A.Sharpen(p=0.5), A.Blur(blur_limit=(3, 5), p=0.25)], p=0.75),  # so that each has its own share
            A.RandomBrightnessContrast(p=0.3),
            CircularCutouts(p=0.3),
        ],
        bbox_params=BOXES,
        seed=seed,
    )


class CircularCutouts(A.ImageOnlyTransform):
    """Up to `most` discs of mean gray; radii are shares of the picture's width. albumentations has rectangles alone."""

    def __init__(self, most: int = 6, radius: tuple[float, float] = (0.02, 0.06), p: float = 0.5):
        super().__init__(p=p)
        self.most, self.radius = most, radius

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        height, width = params["shape"][:2]
        draw = self.py_random
        return {
            "discs": [
                (draw.randrange(width), draw.randrange(height), max(1, round(draw.uniform(*self.radius) * width)))
                for _ in range(draw.randint(1, self.most))
            ]
        }

    def apply(self, img: np.ndarray, discs: list[tuple[int, int, int]], **_: object) -> np.ndarray:
        img = img.copy()
        for x, y, radius in discs:
            cv2.circle(img, (x, y), radius, MEAN_GRAY, thickness=-1)
        return img


STUDY_AUGMENTATIONS = {"ours": study_augmentation, "paper_004": paper_004_backbone}
DETECTION_AUGMENTATIONS = {"ours": detection_augmentation, "paper_004": paper_004_detection}


def find_augmentation(
    name: str, known: Mapping[str, Callable[[int], A.Compose]], key: str
) -> Callable[[int], A.Compose]:
    """An augmentation by name; DataFault for another name, which `key` of a profile holds."""
    if name not in known:
        raise DataFault(f"{key}={name}: not known; choose one of {', '.join(known)}")
    return known[name]
