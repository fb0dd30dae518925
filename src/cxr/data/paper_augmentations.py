"""How the papers move and disturb pictures while a lung segmenter learns. Image uint8 [S x S], mask uint8 [S x S].

What the papers leave open is ours: what comes in from outside is black, and a shear of .2 is a slope, 11.3 degrees.
"""

import math

import albumentations as A
import cv2

SLOPE = math.degrees(math.atan(0.2))


def unet_hrnet(seed: int, sides: bool = False) -> A.Compose:
    """Paper 000, table 3. Padding and centre crop to 512 px keep the size, as the moves here do. No flip, so `sides`
    changes nothing. The unit of "random noise .5" is not stated: a deviation of up to .05 of the range is ours."""
    return A.Compose(
        [
            A.Affine(scale={"x": (0.8, 1.1), "y": (1, 1)}, border_mode=cv2.BORDER_CONSTANT, p=1),
            A.Affine(rotate=(-45, 45), border_mode=cv2.BORDER_CONSTANT, p=1),
            A.Affine(shear={"x": (-SLOPE, SLOPE), "y": (0, 0)}, border_mode=cv2.BORDER_CONSTANT, p=0.7),
            A.RandomGamma(gamma_limit=(50, 300), p=1),
            A.SaltAndPepper(amount=(0.01, 0.01), p=0.3),
            A.GaussianBlur(blur_limit=(11, 11), sigma_limit=(0.5, 3), p=0.5),
            A.GaussNoise(std_range=(0, 0.05), p=0.3),
        ],
        seed=seed,
    )


def resunet_ensemble(seed: int, sides: bool = False) -> A.Compose:
    """Paper 003, section 3.3: rotation 180 degrees, shifts 30 %, shear and zoom 20 %, horizontal flip, but not with
    `sides`, where right and left are told apart. How often is not stated: always, as Keras' generator does."""
    return A.Compose(
        [
            *([] if sides else [A.HorizontalFlip(p=0.5)]),
            A.Affine(
                scale=(0.8, 1.2),
                translate_percent={"x": (-0.3, 0.3), "y": (-0.3, 0.3)},
                rotate=(-180, 180),
                shear={"x": (-SLOPE, SLOPE), "y": (0, 0)},
                border_mode=cv2.BORDER_CONSTANT,
                p=1,
            ),
        ],
        seed=seed,
    )
