"""Weighted box fusion on arrays, many images in one call: the numbers of ensemble-boxes to the bit, far sooner.

Solovyev, Wang and Gabruseva, "Weighted boxes fusion", Image and Vision Computing 2021; its `avg` is paper 004's
equations 3 to 6. The reference, ensemble-boxes 1.0.9, sums a whole cluster again at each box that joins it; its sums
run in the order of joining, so a running sum that is rounded alike gives the same bits (`wbf_loops`). Ties are ranked
by numpy's own argsort, turned round, as there.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cxr.prediction.wbf_loops import fuse_groups

CONF_TYPES = ("avg", "max", "box_and_model_avg", "absent_model_aware_avg")


class Fused(NamedTuple):
    """Fused boxes of many images: image i owns rows starts[i] to starts[i + 1], the best score first."""

    corners: np.ndarray  # float [N x 4], xyxy as shares of width and height, 0..1
    scores: np.ndarray  # float [N]
    labels: np.ndarray  # float [N]
    starts: np.ndarray  # int [I + 1]


def weighted_boxes_fusion(
    boxes_list: Sequence,
    scores_list: Sequence,
    labels_list: Sequence,
    weights: Sequence[float] | None = None,
    iou_thr: float = 0.55,
    skip_box_thr: float = 0.0,
    conf_type: str = "avg",
    allows_overflow: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One image's boxes of several models, in place of `ensemble_boxes.weighted_boxes_fusion`.

    boxes_list: [n x 4] xyxy in 0..1 a model; scores_list, labels_list: [n] a model. Boxes below `skip_box_thr` are left
    out, reversed corners are swapped, boxes are cut at 0 and 1 and left out where nothing remains of them. Returns
    corners [N x 4], scores [N] and labels [N], all float64, best score first. With `avg` scores above 1 are possible.
    Raises ValueError where the reference ends the program, prints or returns NaN.
    """
    if not len(boxes_list) == len(scores_list) == len(labels_list):
        counts = f"{len(boxes_list)}, {len(scores_list)} and {len(labels_list)}"
        raise ValueError(f"boxes, scores and labels are of {counts} models; give one list of each for every model")
    weights = np.ones(len(boxes_list)) if weights is None else np.asarray(weights)
    if weights.shape != (len(boxes_list),):
        raise ValueError(f"{weights.size} weights for {len(boxes_list)} models; give one a model")
    parts = [
        _model_rows(number, *(np.asarray(values) for values in lists))
        for number, lists in enumerate(zip(boxes_list, scores_list, labels_list, strict=True))
    ]
    # before the models' scores become one type of number: a float32 score meets a float32 threshold
    kept = np.concatenate([np.empty(0, bool), *(~(scores < skip_box_thr) for _, scores, _ in parts)])
    models = np.repeat(np.arange(len(parts)), [len(scores) for _, scores, _ in parts])[kept]
    columns = zip((np.empty((0, 4)), np.empty(0), np.empty(0)), *parts, strict=True)
    corners, scores, labels = (np.concatenate(column, dtype=float) for column in columns)
    if not (np.isfinite(corners).all() and np.isfinite(scores).all() and np.isfinite(labels).all()):
        raise ValueError("a box, a score or a label is not finite, among those to be skipped too; leave such boxes out")
    if not kept.all():
        corners, scores, labels = corners[kept], scores[kept], labels[kept]
    fused = fuse_arrays(
        corners, scores, labels, models, [0, len(models)], weights, iou_thr, -np.inf, conf_type, allows_overflow
    )
    return fused.corners, fused.scores, fused.labels


def _model_rows(
    number: int, corners: np.ndarray, scores: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One model's arrays, checked to belong together."""
    if not len(corners) == len(scores) == len(labels):
        counts = f"{len(corners)} boxes, {len(scores)} scores, {len(labels)} labels"
        raise ValueError(f"model {number} has {counts}; give a score and a label for every box")
    if not len(scores):
        return np.empty((0, 4)), np.empty(0), np.empty(0)
    if corners.shape != (len(scores), 4) or scores.ndim != 1 or labels.ndim != 1:
        raise ValueError(
            f"model {number}: boxes of shape {corners.shape}, scores of shape {scores.shape}, labels of shape "
            f"{labels.shape}; give [n x 4], [n] and [n]"
        )
    return corners, scores, labels


def fuse_arrays(
    corners: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    models: np.ndarray,
    starts: np.ndarray,
    weights: np.ndarray,
    iou_thr: float = 0.55,
    skip_box_thr: float = 0.0,
    conf_type: str = "avg",
    allows_overflow: bool = False,
) -> Fused:
    """`weighted_boxes_fusion` of many images at once.

    corners [D x 4] xyxy in 0..1, scores [D], labels int [D], models [D] index into weights [M]; image i owns rows
    starts[i] to starts[i + 1], and the models of an image stand in rising order, as ties are ranked by position.
    """
    if conf_type not in CONF_TYPES:
        raise ValueError(f"conf_type {conf_type!r}: choose one of {', '.join(CONF_TYPES)}")
    corners, scores, labels = np.asarray(corners, float), np.asarray(scores, float), np.asarray(labels, np.int64)
    models, starts, weights = np.asarray(models, np.int64), np.asarray(starts), _check_weights(weights, models)
    if not (np.isfinite(corners).all() and np.isfinite(scores).all()):
        raise ValueError("a box or a score is not finite; leave such boxes out")
    corners = _mended(corners)
    kept = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]) != 0
    kept = np.flatnonzero(kept & ~(scores < skip_box_thr))
    image = np.repeat(np.arange(len(starts) - 1), np.diff(starts))[kept]
    rows, groups, image_of_group = _by_label(image, labels[kept], len(starts) - 1)
    rows = kept[rows]
    # a plain number is rounded to the type of the weights before the two are multiplied, as numpy does in the reference
    weighted = (scores[rows].astype(weights.dtype) * weights[models[rows]]).astype(float)
    order = _ranked(weighted, groups)
    rows, weighted = rows[order], weighted[order]
    found, counts, divided = fuse_groups(
        corners[rows], weighted, models[rows], labels[rows], groups, weights, float(weights.sum()),
        float(weights.max(initial=0)), float(iou_thr), CONF_TYPES.index(conf_type), bool(allows_overflow),
    )  # fmt: skip
    if not (divided and np.isfinite(found).all()):
        raise ValueError("boxes that overlap have scores or weights of 0 alone, and so no mean; skip scores of 0")
    ends = np.concatenate([[0], np.cumsum(counts)])[np.searchsorted(image_of_group, np.arange(len(starts)))]
    found = found[_ranked(found[:, 4], ends)]
    return Fused(found[:, :4], found[:, 4], found[:, 5], ends)


def _check_weights(weights: np.ndarray, models: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights)
    if weights.ndim != 1 or models.max(initial=-1) >= len(weights) or models.min(initial=0) < 0:
        raise ValueError(f"{weights.size} weights for {models.max(initial=-1) + 1} models; give one a model")
    if not np.isfinite(weights).all() or (len(weights) and not weights.sum()):
        raise ValueError(f"weights {weights.tolist()}: each must be finite, and one above 0")
    return np.ascontiguousarray(weights, weights.dtype if weights.dtype == np.float32 else float)


def _mended(corners: np.ndarray) -> np.ndarray:
    """Corners in order and within 0..1."""
    low, high = corners[:, :2], corners[:, 2:]
    if corners.min(initial=0) >= 0 and corners.max(initial=1) <= 1 and (low <= high).all():
        return corners
    ordered = np.concatenate([np.where(high < low, high, low), np.where(high < low, low, high)], axis=1)
    return np.where(ordered < 0, 0.0, np.where(ordered > 1, 1.0, ordered))


def _by_label(image: np.ndarray, labels: np.ndarray, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted into groups of one image and label, the groups' starts [G + 1] and images [G].

    An image's labels follow each other as they first appear: its fused boxes of equal score are ranked by that.
    """
    if not len(labels) or (labels == labels[0]).all():
        return np.arange(len(image)), np.searchsorted(image, np.arange(images + 1)), np.arange(images)
    names, code = np.unique(labels, return_inverse=True)
    _, first, group = np.unique(image * len(names) + code, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[group]
    rows = np.argsort(place, kind="stable")
    return rows, np.searchsorted(place[rows], np.arange(len(first) + 1)), image[np.sort(first)]


def _ranked(scores: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Rows of each group, the highest score first; equal ones as numpy's default argsort leaves them, turned round."""
    order = np.empty(len(scores), np.intp)
    bounds = starts.tolist()
    for begin, end in pairwise(bounds):
        order[begin:end] = begin + scores[begin:end].argsort()[::-1]
    return order
