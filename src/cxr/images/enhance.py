"""Contrast of gray pictures uint8 [H x W], as papers 001 and 002 change it before a network sees them.

| name | what | paper |
|---|---|---|
| `equalise` | histogram equalisation (HE) | 001, figure 2; a step of 002 |
| `adaptive` | HE of tiles (AHE) | 001, figure 2 |
| `clahe` | HE of tiles, contrast limited | 001, figure 2 and section 3.2 |
| `beasf` | bi-histogram equalisation with adaptive sigmoid functions | 001, section 3.2, figure 3 |
| `match_histogram` | the histogram of another picture | 001, section 5.3 |
| `normalise_contrast` | HE, then gamma .5 | 002, section II-A |

Limit and tiles of CLAHE are ours, and with them those of AHE: the paper names none.
"""

import cv2
import numpy as np

from cxr.faults import DataFault

CLIP, TILES = 2.0, 8  # limit of a tile's histogram, in its even share; tiles along a side
SLOPE = 5.0  # of the sigmoids of BEASF, beside gamma
GAMMA = 0.5  # paper 002
LEVELS = 256


def equalise(picture: np.ndarray) -> np.ndarray:
    """Gray values spread so that each is as frequent as the others."""
    return cv2.equalizeHist(np.ascontiguousarray(picture))


def adaptive(picture: np.ndarray, tiles: int = TILES) -> np.ndarray:
    """`equalise` by tiles, blended between their centres."""
    return cv2.createCLAHE(clipLimit=0, tileGridSize=(tiles, tiles)).apply(np.ascontiguousarray(picture))


def clahe(picture: np.ndarray, clip: float = CLIP, tiles: int = TILES) -> np.ndarray:
    """`adaptive` whose contrast is limited: no gray value counts for more than `clip` times its even share."""
    return cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles)).apply(np.ascontiguousarray(picture))


def beasf(picture: np.ndarray, gamma: float) -> np.ndarray:
    """The histogram is split at the picture's mean m, and each half goes through a sigmoid of its own,

        1 / (1 + exp(-gamma 5 (x - median) / range)),

    whose values are stretched to [0, m] below and to [m, 255] above. median and range are those of the half's pixels; a
    half of one gray value stays as it is. gamma: slope, above 0. Raises DataFault for another one.
    """
    if not gamma > 0:
        raise DataFault(f"gamma={gamma}: the slope of BEASF must be above 0; paper 001 takes 1.5")
    if not picture.size:
        return picture.copy()
    mean = float(picture.mean())
    table = np.arange(LEVELS, dtype=float)
    for half, (low, high) in ((picture <= mean, (0.0, mean)), (picture > mean, (mean, LEVELS - 1.0))):
        values = picture[half]
        if values.size and values.max() > values.min():
            first, last = int(values.min()), int(values.max())
            levels = np.arange(first, last + 1)
            curve = 1 / (1 + np.exp(-gamma * SLOPE * (levels - np.median(values)) / (last - first)))
            table[levels] = low + (high - low) * (curve - curve[0]) / (curve[-1] - curve[0])
    return np.rint(table).astype(np.uint8)[picture]


def match_histogram(picture: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Each gray value becomes that of `base` which as large a share of pixels lies below."""
    counts, wanted = (np.bincount(each.ravel(), minlength=LEVELS).astype(float) for each in (picture, base))
    shares, aims = (np.cumsum(each) / max(1.0, each.sum()) for each in (counts, wanted))
    levels = np.flatnonzero(wanted)  # between gray values that `base` has: elsewhere its shares stand still
    return np.rint(np.interp(shares, aims[levels], levels)).astype(np.uint8)[picture]


def normalise_contrast(picture: np.ndarray, gamma: float = GAMMA) -> np.ndarray:
    """The normalisation of paper 002: histogram equalisation to 0..255, then (x / 255)^gamma; its size comes later."""
    table = 255 * (np.arange(LEVELS, dtype=np.float32) / 255) ** np.float32(gamma)
    return np.rint(table).astype(np.uint8)[equalise(picture)]
