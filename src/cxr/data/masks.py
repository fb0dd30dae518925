"""Lung masks: pictures with their masks as arrays, and masks of our own on disk."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cxr.data.mask_sets.examine import load_picture
from cxr.data.mask_sets.parts import load_parts
from cxr.images.lungs import BACKGROUND, HEART, LEFT_LUNG, RIGHT_LUNG, UNKNOWN
from cxr.images.resize import to_cache_size


def load_lungs(row: object, shape: tuple[int, int]) -> np.ndarray:
    """Both lungs of a row of pairs as one mask, uint8 [H x W]: 1, 0, or UNKNOWN."""
    return load_parts(row.lungs or (*row.right, *row.left), shape)


def load_structures(row: object, shape: tuple[int, int]) -> np.ndarray:
    """The map of structures of a row that has right and left, uint8 [H x W]. The heart lies over the lungs, as it does
    in SCR's masks; a row without one has none in its map."""
    found = np.full(shape, BACKGROUND, np.uint8)
    for parts, number in ((row.right, RIGHT_LUNG), (row.left, LEFT_LUNG), (row.heart, HEART)):
        mask = load_parts(parts, shape) if parts else np.zeros(shape, np.uint8)
        found[mask == 1] = number
        found[(mask == UNKNOWN) & (found == BACKGROUND)] = UNKNOWN
    return found


def load_pairs(pairs: pd.DataFrame, size: int, structures: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 and their masks, uint8 0, 1 or UNKNOWN, both [N x size x size], sides stretched as in every cache.

    pairs: a table of `mask_sets`; structures: maps of structures in place of masks, for rows with right and left.
    """

    def load(row: object) -> tuple[np.ndarray, np.ndarray]:
        picture = load_picture(Path(row.path))
        mask = (load_structures if structures else load_lungs)(row, picture.shape)
        return to_cache_size(picture, size), shrink(mask, size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        loaded = list(pool.map(load, pairs.itertuples()))
    return np.stack([picture for picture, _ in loaded]), np.stack([mask for _, mask in loaded])


def shrink(mask: np.ndarray, size: int) -> np.ndarray:
    """A mask or map of a few values to [size x size]: each pixel gets the value that covers most of it."""
    values = np.unique(mask)
    shares = [to_cache_size((mask == value).astype(np.uint8) * 255, size) for value in values]
    return values[np.argmax(shares, axis=0)].astype(np.uint8)


def mask_file(folder: Path, image_id: str) -> Path:
    """Where the mask of an image lies."""
    return folder / f"{image_id}.png"


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a bool mask [H x W] as a PNG of one bit a pixel, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        partial.write_bytes(cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])[1])
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_masks(folder: Path, image_ids: list[str]) -> np.ndarray:
    """Masks bool [N x S x S] of these images, as `segment_training` wrote them."""
    return np.stack(
        [cv2.imread(str(mask_file(folder, image_id)), cv2.IMREAD_GRAYSCALE) > 127 for image_id in image_ids]
    )
