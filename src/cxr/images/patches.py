"""Patches of a radiograph at random places of the lungs, and maps of patches put together again (paper 002).

Section III-B: picture and mask at 1024 px, patches of 224 px whose centres are drawn among the lungs' pixels, as many
of them that they cover the lungs several times (K = 100). The paper is silent on patches that reach over the border;
here what lies outside is black, like all that the mask takes away.
"""

from typing import NamedTuple

import cv2
import numpy as np

from cxr.faults import DataFault

SIDE, PATCH, COUNT = 1024, 224, 100  # paper 002


class Patches(NamedTuple):
    """pixels: uint8 [K x p x p]; centres: int [K x 2], row and column in the picture."""

    pixels: np.ndarray
    centres: np.ndarray


def draw_patches(
    picture: np.ndarray, mask: np.ndarray, seed: int, count: int = COUNT, size: int = PATCH, masked: bool = True
) -> Patches:
    """`count` patches of `size` px, their centres drawn evenly among the pixels of `mask`, the same for a seed.

    picture: uint8 [H x W]; mask: bool [H x W]; masked: black outside of the mask, as in the paper. Raises DataFault for
    a mask without lungs or of another size.
    """
    if mask.shape != picture.shape:
        raise DataFault(f"a mask of {mask.shape} does not fit a picture of {picture.shape}; resize it first")
    lungs = np.flatnonzero(mask)
    if not len(lungs):
        raise DataFault("no pixel of the mask is lung, so there is no place for a patch; leave the picture out")
    drawn = np.random.default_rng(seed).choice(lungs, count)
    centres = np.stack(np.unravel_index(drawn, mask.shape), axis=1)
    before = size // 2
    shown = np.where(mask, picture, np.uint8(0)) if masked else picture
    framed = cv2.copyMakeBorder(shown, before, size - before, before, size - before, cv2.BORDER_CONSTANT, value=0)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (size, size))
    return Patches(windows[centres[:, 0], centres[:, 1]], centres)


def put_together(maps: np.ndarray, centres: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Maps of patches as one map of the picture: the sum over all patches, float32 [H x W], and how many cover a pixel.

    maps: float [K x p x p]; centres: as `draw_patches` gives them. Sum by count is equation 5 of paper 002 where the
    maps are weighted with their class probability, and 0 where no patch fell.
    """
    size = maps.shape[-1]
    before = size // 2
    total = np.zeros((shape[0] + size, shape[1] + size), np.float32)
    for one, (row, column) in zip(np.asarray(maps, np.float32), centres, strict=True):
        total[row : row + size, column : column + size] += one
    return total[before : before + shape[0], before : before + shape[1]], coverage(centres, size, shape)


def coverage(centres: np.ndarray, size: int, shape: tuple[int, int]) -> np.ndarray:
    """How many patches of `size` px cover each pixel, int32 [H x W]: K_i of equation 5."""
    return _spread(np.ones(len(centres), np.int32), centres, size, shape)


def place_back(values: np.ndarray, centres: np.ndarray, size: int, shape: tuple[int, int]) -> np.ndarray:
    """A number a patch, such as its class probability, as a map: the mean over the patches that cover a pixel.

    values: float [K], finite; float32 [H x W] comes back, 0 where no patch fell. Raises DataFault for other values.
    """
    values = np.asarray(values, float)
    if values.shape != (len(centres),) or not np.isfinite(values).all():
        raise DataFault(f"{len(centres)} patches need as many finite numbers, here is {values.shape}; one a patch")
    count = coverage(centres, size, shape)
    if not len(values):
        return np.zeros(shape, np.float32)
    mean = _spread(values, centres, size, shape) / np.maximum(count, 1)
    # a mean lies between the values; the sum may leave that by a rounding
    return np.where(count > 0, mean.clip(values.min(), values.max()), 0).astype(np.float32)


def _spread(values: np.ndarray, centres: np.ndarray, size: int, shape: tuple[int, int]) -> np.ndarray:
    """The sum of the values of all patches over each pixel."""
    # patch by patch: sums of differences at the corners take three times as long for the paper's hundred patches
    before, total = size // 2, np.zeros((shape[0] + size, shape[1] + size), values.dtype)
    for value, (row, column) in zip(values, np.asarray(centres, int).reshape(-1, 2), strict=True):
        total[row : row + size, column : column + size] += value
    return total[before : before + shape[0], before : before + shape[1]]


def mean_map(maps: np.ndarray, centres: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`put_together`, the sum divided by the count: float32 [H x W], 0 where no patch fell."""
    total, count = put_together(maps, centres, shape)
    return total / np.maximum(count, 1)
