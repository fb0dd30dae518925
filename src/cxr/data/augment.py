"""Augmentations (albumentations): gray pictures and their box masks, small before anything else is done to them."""

import albumentations as A
import cv2


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
        bbox_params=A.BboxParams("pascal_voc", min_visibility=0.33, clip=True, filter_invalid_bboxes=True),
        seed=seed,
    )
