"""How much of a heat map lies where it should: inside the lungs, inside the boxes.

Papers 001 and 003 stress it: high accuracy with heat outside of the lungs is worthless. A share is read beside the
area: heat that is spread evenly over what a model was shown has just that share inside.
"""

import numpy as np

from cxr.faults import DataFault


def heat_shares(heat: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of each picture's heat inside its mask, float [N] in 0..1; NaN where there is no heat at all.

    heat: float [N x S x S], not negative; masks: bool of the same shape. Raises DataFault where they do not fit, and
    where heat is negative or not finite.
    """
    if heat.shape != masks.shape:
        raise DataFault(f"heat maps of {heat.shape} and masks of {masks.shape} do not fit; resize the masks")
    if heat.size and not (np.isfinite(heat).all() and heat.min() >= 0):
        raise DataFault("heat is negative or not finite somewhere, so it has no shares; keep what speaks for the class")
    total = heat.sum((1, 2), dtype=float)
    inside = np.where(masks, heat, 0).sum((1, 2), dtype=float)
    return np.divide(inside, total, out=np.full(len(heat), np.nan), where=total > 0)


def even_shares(masks: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """What evenly spread heat would have inside, float [N]: the share of the area that the model was shown.

    masks, shown: bool [N x S x S]; NaN where nothing was shown.
    """
    return heat_shares(shown.astype(np.float32), masks)


def box_heat(boxes_xyxy: np.ndarray, scores: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A detector's heat: each box's score spread evenly over its area, float32 [H x W], overlaps added.

    So a share of this heat is a share of the scores, to which a large box adds no more than a small one. boxes_xyxy:
    float [M x 4] in pixels of `shape`; a box that is cut by the border has all of its score inside.
    """
    heat = np.zeros(shape, np.float32)
    for box_xyxy, score in zip(boxes_xyxy, scores, strict=True):
        part = heat[_pixels(box_xyxy)]
        part += score / max(part.size, 1)
    return heat


def box_masks(boxes_xyxy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """bool [H x W]: inside of any box."""
    mask = np.zeros(shape, bool)
    for box_xyxy in boxes_xyxy:
        mask[_pixels(box_xyxy)] = True
    return mask


def _pixels(box_xyxy: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a box: edges are rounded to whole pixels, but at least one is left."""
    x_min, y_min, x_max, y_max = np.rint(box_xyxy).astype(int)
    rows, columns = (y_min, max(y_max, y_min + 1)), (x_min, max(x_max, x_min + 1))
    return slice(max(0, rows[0]), max(0, rows[1])), slice(max(0, columns[0]), max(0, columns[1]))
