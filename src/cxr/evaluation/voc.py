"""Average precision as the competition counts it: PASCAL VOC 2010, all-point interpolation.

Two steps: `match_detections` decides once which detections are correct, `average_precision` adds them up with a weight
for each image. A bootstrap resample is such a weight (how often the image was drawn), so it repeats the second step
only; weights of 0 and 1 score a subset.

Rules (VOC 2010 development kit, `VOCevaldet.m`, section 3.4 of its manual; the competition's "Evaluation" page):

- detections of a class are ranked by score over the whole set; ties keep the order in which they are given;
- a detection belongs to the true box of its image with the highest IoU (the first of equals); it is correct if that IoU
  is *strictly* greater than .5 and no detection before it took the box; it does not turn to the second-best box;
- precision is replaced by its envelope, the highest precision at this or any higher recall; AP is the area below.
"""

from typing import NamedTuple

import numpy as np

from cxr.boxes import area_xyxy

IOU_THRESHOLD = 0.5


class Matches(NamedTuple):
    """The detections of one class, ranked by score, D in number, on I images."""

    scores: np.ndarray  # float [D], falling
    image: np.ndarray  # int [D], index of the detection's image, 0..I-1
    hits: np.ndarray  # int [H], ranks of the correct detections, rising
    truths: np.ndarray  # int [I], number of true boxes of each image


class Curve(NamedTuple):
    """Precision over recall at each rank, for figures. All float [D]."""

    scores: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    envelope: np.ndarray


def match_detections(
    image: np.ndarray,
    scores: np.ndarray,
    boxes_xyxy: np.ndarray,
    true_image: np.ndarray,
    true_boxes_xyxy: np.ndarray,
    images: int,
    iou_threshold: float = IOU_THRESHOLD,
) -> Matches:
    """Rank the detections of one class and decide which are correct.

    `image` [D] and `true_image` [T] are image indices in 0..images-1; scores [D]; boxes [D x 4] and [T x 4] in the same
    unit. Classes without a place carry the unit box (0, 0, 1, 1), whose IoU with itself is 1. Raises ValueError for
    scores that are NaN, since they have no rank.
    """
    scores = np.asarray(scores, dtype=float)
    if np.isnan(scores).any():
        raise ValueError("a score is NaN; check predictions before they are matched")
    order = np.argsort(-scores, kind="stable")
    image = np.asarray(image, dtype=np.intp)[order]
    true_image = np.asarray(true_image, dtype=np.intp)
    by_image = np.argsort(true_image, kind="stable")
    truths = np.bincount(true_image, minlength=images)
    boxes = np.asarray(boxes_xyxy, dtype=float).reshape(-1, 4)[order]
    true_boxes = np.asarray(true_boxes_xyxy, dtype=float).reshape(-1, 4)[by_image]
    box, iou = _nearest_truth(image, boxes, true_boxes, truths)
    candidates = np.flatnonzero(iou > iou_threshold)
    # Which box a detection belongs to does not depend on what is taken, so the first candidate of each box is its owner
    _, first = np.unique(box[candidates], return_index=True)
    return Matches(scores[order], image, np.sort(candidates[first]), truths)


def _nearest_truth(
    image: np.ndarray, boxes_xyxy: np.ndarray, true_boxes_xyxy: np.ndarray, truths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Index [D] and IoU [D] of the best true box of each detection's image; -1 and 0 where there is none.

    True boxes are sorted by image, truths [I] counts them. The loop runs over the position of a box within its image
    (at most eight in the real data); each turn handles all detections at once.
    """
    best, best_iou = np.full(len(image), -1), np.zeros(len(image))
    first_box = np.cumsum(truths) - truths
    area, true_area = area_xyxy(boxes_xyxy), area_xyxy(true_boxes_xyxy)
    left = np.flatnonzero(truths[image] > 0)
    position = 0
    while len(left):
        candidate = first_box[image[left]] + position
        one, other = boxes_xyxy[left], true_boxes_xyxy[candidate]
        sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
        overlap = np.prod(np.clip(sides, 0, None), axis=1)
        union = area[left] + true_area[candidate] - overlap
        iou = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
        better = iou > best_iou[left]
        best[left[better]], best_iou[left[better]] = candidate[better], iou[better]
        position += 1
        left = left[truths[image[left]] > position]
    return best, best_iou


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> float:
    """AP in 0..1, or NaN where no true box has weight: the class is absent and has no AP.

    weights [I], one for each image, none negative: its detections and true boxes count that many times. A weight of n
    equals n copies of the image that stand next to each other in the ranking. Without weights each image counts once.
    """
    weights = np.ones(len(matches.truths), dtype=int) if weights is None else np.asarray(weights)
    positives = matches.truths @ weights
    if not positives > 0:
        return float("nan")
    if not len(matches.hits):
        return 0.0
    # Between two hits precision only falls, so its envelope is decided at the hits
    seen = np.cumsum(weights[matches.image[: matches.hits[-1] + 1]])[matches.hits]
    gained = weights[matches.image[matches.hits]]
    precision = np.divide(np.cumsum(gained), seen, out=np.zeros(len(seen)), where=seen > 0)
    return float(gained @ _envelope(precision) / positives)


def precision_recall(matches: Matches) -> Curve:
    """The curve below which `average_precision` is the area. Recall is NaN for a class that is absent."""
    correct = np.zeros(len(matches.scores))
    correct[matches.hits] = 1
    found, positives = np.cumsum(correct), matches.truths.sum()
    precision = found / np.arange(1, len(correct) + 1)
    recall = found / positives if positives else np.full(len(correct), np.nan)
    return Curve(matches.scores, recall, precision, _envelope(precision))


def _envelope(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]


def mean_average_precision(values: np.ndarray) -> np.ndarray | float:
    """Mean over the last axis, [... x classes] to [...]: every class weighs the same, whatever its number of boxes.

    Classes that are absent (NaN) are left out of the mean; where all are absent the mean is NaN.
    """
    values = np.asarray(values, dtype=float)
    present = ~np.isnan(values)
    count = present.sum(axis=-1)
    total = np.where(present, values, 0).sum(axis=-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)[()]
