"""Box arithmetic. Formats stand in names: `boxes_xyxy` are corners, `boxes_xywh` corner and size, in pixels."""

import numpy as np


def xywh_to_xyxy(boxes_xywh: np.ndarray) -> np.ndarray:
    """[N x 4] x, y, width, height to x_min, y_min, x_max, y_max. No +1 anywhere: width = x_max - x_min."""
    boxes = np.asarray(boxes_xywh, dtype=float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """[N x 4] corners to x, y, width, height."""
    boxes = np.asarray(boxes_xyxy, dtype=float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def scale_xyxy(boxes_xyxy: np.ndarray, from_size: tuple[float, float], to_size: tuple[float, float]) -> np.ndarray:
    """Move boxes between two sizes of the same picture; sizes are (height, width) like array shapes."""
    y, x = to_size[0] / from_size[0], to_size[1] / from_size[1]
    return np.asarray(boxes_xyxy, dtype=float).reshape(-1, 4) * [x, y, x, y]


def clip_xyxy(boxes_xyxy: np.ndarray, height: float, width: float) -> np.ndarray:
    """Cut boxes at the image border. A box that lies outside ends up with zero area; the count stays the same."""
    boxes = np.asarray(boxes_xyxy, dtype=float).reshape(-1, 4)
    return np.clip(boxes, 0, [width, height, width, height])


def area_xyxy(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Areas [N] in square pixels; inverted boxes count as empty."""
    boxes = np.asarray(boxes_xyxy, dtype=float).reshape(-1, 4)
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)


def iou_xyxy(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair, [N x M]; 0 where both boxes are empty."""
    one, other = np.asarray(one, float).reshape(-1, 4), np.asarray(other, float).reshape(-1, 4)
    corner_low = np.maximum(one[:, None, :2], other[None, :, :2])
    corner_high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    overlap = np.prod(np.clip(corner_high - corner_low, 0, None), axis=2)
    union = area_xyxy(one)[:, None] + area_xyxy(other)[None] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
