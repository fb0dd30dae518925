"""How much of a heat map lies where it should: inside the lungs, inside the boxes.

Papers 001 and 003 stress it: high accuracy with heat outside of the lungs is worthless. A share is read beside the
area: heat that is spread evenly over the picture has just that share inside.
"""

import numpy as np

from cxr.faults import DataFault


def heat_shares(heat: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of each picture's heat inside its mask, float [N] in 0..1; NaN where there is no heat at all.

    heat: float [N x S x S], not negative; masks: bool of the same shape. Raises DataFault where they do not fit.
    """
    if heat.shape != masks.shape:
        raise DataFault(f"heat maps of {heat.shape} and masks of {masks.shape} do not fit; resize the masks")
    total = heat.sum((1, 2), dtype=float)
    inside = np.where(masks, heat, 0).sum((1, 2), dtype=float)
    return np.divide(inside, total, out=np.full(len(heat), np.nan), where=total > 0)


def even_shares(masks: np.ndarray) -> np.ndarray:
    """What evenly spread heat would have inside: the share of the area, float [N]."""
    return masks.mean((1, 2))


def box_heat(boxes_xyxy: np.ndarray, scores: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A detector's heat: each box as a sheet of its score, float32 [H x W], overlaps added.

    boxes_xyxy: float [M x 4] in pixels of `shape`; edges are rounded to whole pixels.
    """
    heat = np.zeros(shape, np.float32)
    for (x_min, y_min, x_max, y_max), score in zip(np.rint(boxes_xyxy).astype(int), scores, strict=True):
        heat[max(0, y_min) : max(0, y_max), max(0, x_min) : max(0, x_max)] += score
    return heat


def box_masks(boxes_xyxy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """bool [H x W]: inside of any box."""
    return box_heat(boxes_xyxy, np.ones(len(boxes_xyxy)), shape) > 0
