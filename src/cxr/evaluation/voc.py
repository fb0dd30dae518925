"""Average precision as the competition counts it: PASCAL VOC 2010, all-point interpolation.

Two steps: `match_detections` decides once which detections are correct, `average_precision` adds them up with a weight
for each image. A bootstrap resample is such a weight (how often the image was drawn), so it repeats the second step
only; weights of 0 and 1 score a subset.

Rules (VOC 2010 development kit, `VOCevaldet.m`, section 3.4 of its manual; the competition's "Evaluation" page):

- detections of a class are ranked by score over the whole set; ties keep the order in which they are given, which for a
  submission is that of the file: row by row, and within a row by position (a stable sort, the same on every machine);
- a detection belongs to the true box of its image with the highest IoU (the first of equals); it is correct if that IoU
  is *strictly* greater than .5 and no detection before it took the box; it does not turn to the second-best box;
- precision is replaced by its envelope, the highest precision at this or any higher recall; AP is the area below.
"""

from typing import NamedTuple

import numpy as np

from cxr.compiled import compiled

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
    scores that are NaN, since they have no rank, for boxes that are not finite and for image numbers out of range.
    """
    scores = np.asarray(scores, dtype=float)
    if np.isnan(scores).any():
        raise ValueError("a score is NaN; check predictions before they are matched")
    image, true_image = (_image_numbers(each, images) for each in (image, true_image))
    by_image = np.argsort(true_image, kind="stable")
    truths = np.bincount(true_image, minlength=images)
    nearest = _nearest_truth(
        image, _corners(boxes_xyxy), _corners(true_boxes_xyxy)[by_image], truths, float(iou_threshold)
    )
    order = np.argsort(-scores, kind="stable")
    box = nearest[order]
    candidates = np.flatnonzero(box >= 0)
    # Which box a detection belongs to does not depend on what is taken, so the first candidate of each box is its owner
    _, first = np.unique(box[candidates], return_index=True)
    return Matches(scores[order], image[order], np.sort(candidates[first]), truths)


def _image_numbers(image: np.ndarray, images: int) -> np.ndarray:
    image = np.ascontiguousarray(image, dtype=np.intp)
    if len(image) and not 0 <= image.min() <= image.max() < images:
        raise ValueError(f"an image number is outside 0..{images - 1}; give positions among the images")
    return image


def _corners(boxes_xyxy: np.ndarray) -> np.ndarray:
    boxes_xyxy = np.ascontiguousarray(boxes_xyxy, dtype=float).reshape(-1, 4)
    if not np.isfinite(boxes_xyxy).all():
        raise ValueError("a box is not finite; check predictions before they are matched")
    return boxes_xyxy


@compiled
def _nearest_truth(image, boxes_xyxy, true_boxes_xyxy, truths, threshold):
    """Index [D] of the true box with the highest IoU on each detection's image, -1 where that IoU is not above.

    True boxes are sorted by image, truths [I] counts them. The arithmetic is that of `boxes.iou_xyxy`, to the bit.
    """
    nearest = np.full(len(image), -1)
    last = np.cumsum(truths)
    for at in range(len(image)):
        x_min, y_min, x_max, y_max = boxes_xyxy[at]
        area = max(x_max - x_min, 0.0) * max(y_max - y_min, 0.0)
        best = threshold
        for box in range(last[image[at]] - truths[image[at]], last[image[at]]):
            left, top, right, bottom = true_boxes_xyxy[box]
            overlap = max(min(x_max, right) - max(x_min, left), 0.0) * max(min(y_max, bottom) - max(y_min, top), 0.0)
            union = area + max(right - left, 0.0) * max(bottom - top, 0.0) - overlap
            if union > 0 and overlap / union > best:
                best, nearest[at] = overlap / union, box
    return nearest


def restrict(matches: Matches, rows: np.ndarray) -> Matches:
    """What concerns these images (bool [I]). A detection takes boxes of its own image only, so hits stay hits."""
    kept = rows[matches.image]
    hits = matches.hits[kept[matches.hits]]
    rank = np.cumsum(kept) - 1
    return Matches(matches.scores[kept], matches.image[kept], rank[hits], np.where(rows, matches.truths, 0))


def boxed_only(matches: Matches) -> Matches:
    """What concerns images that hold a true box, for the easier figure that leaves the others out."""
    return restrict(matches, matches.truths > 0)


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
