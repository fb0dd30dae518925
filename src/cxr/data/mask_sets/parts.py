"""Where the mask of a structure is written, and reading it: files, values of a file, polygons of a JSON.

A structure may have several parts, whose union it is; no part means that nobody annotated it.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from cxr.data.mask_sets.darwin_json import read_polygons
from cxr.data.pictures import load_gray
from cxr.faults import DataFault
from cxr.images.lungs import UNKNOWN


class Part(NamedTuple):
    """One file with a mask: what reaches half of its brightest value, or has `value`, or the polygons called `name`."""

    path: str
    value: int | None = None
    unknown: int | None = None  # the value of pixels that nobody annotated
    name: str = ""
    legend: tuple[int, ...] = ()  # all values that the file may hold, where somebody said so


Parts = tuple[Part, ...]


def load_parts(parts: Parts, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Their union, uint8 [H x W]: 1, 0, or UNKNOWN where no part is and one of them is unknown.

    shape: resized to it, NEAREST; polygons need it. Raises DataFault when a file cannot be read, or when it holds other
    values than a mask of this kind may.
    """
    found = None
    for part in parts:
        mask = load_part(part, shape)
        if found is None:
            found = mask
            continue
        if mask.shape != found.shape:
            mask = cv2.resize(mask, found.shape[::-1], interpolation=cv2.INTER_NEAREST)
        found = np.where((found == 1) | (mask == 1), 1, np.maximum(found, mask)).astype(np.uint8)
    return found


def load_part(part: Part, shape: tuple[int, int] | None = None) -> np.ndarray:
    """One part, uint8 [H x W]: 1, 0, or UNKNOWN."""
    if part.name:
        return _drawn(part, shape)
    gray = load_gray(Path(part.path))
    strange = np.setdiff1d(gray, part.legend) if part.legend else ()
    if len(strange):
        shown = ", ".join(map(str, strange[:3])) + (", ..." if len(strange) > 3 else "")
        raise DataFault(f"{part.path}: holds values that nobody named ({shown}); name them, or was it saved as JPEG?")
    if shape is not None and gray.shape != tuple(shape):
        gray = cv2.resize(gray, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    mask = (gray >= max(1, gray.max() / 2) if part.value is None else gray == part.value).astype(np.uint8)
    if part.unknown is not None:
        mask[gray == part.unknown] = UNKNOWN
    return mask


def _drawn(part: Part, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    for outline in read_polygons(Path(part.path), part.name, shape):
        cv2.fillPoly(mask, outline, 1)  # even and odd: a path inside of another is a hole
    return mask
