"""The compiled part of weighted box fusion: boxes join clusters one by one, the best score first.

Rounding is that of ensemble-boxes 1.0.9: sums of weighted corners, and corners and scores of a cluster of two boxes or
more, are kept as float32; everything between is float64.
"""

import numpy as np

from cxr.compiled import compiled

AVG, MAX, BOX_AND_MODEL, ABSENT_AWARE = range(4)  # as in `wbf.CONF_TYPES`
BLOCK = 32  # clusters that are looked at together before any is looked at closely


@compiled
def fuse_groups(corners, scores, models, labels, starts, weights, total, highest, iou_thr, conf_type, overflow):
    """Clusters of each group: rows (corners, score, label) [N x 6], how many a group has [G], False after a 0 / 0."""
    size, groups = len(scores), len(starts) - 1
    found, shape = np.empty((size, 6)), np.empty((5, size))  # shape: corners and area, a row each, to search along
    sums, weighed = np.empty((size, 4), np.float32), np.empty((size, 3))  # score, weight, highest score
    members, seen = np.empty(size, np.int64), np.zeros((size, len(weights)), np.bool_)
    counts, last, divided = np.zeros(groups, np.int64), 0, True
    for group in range(groups):
        first = last
        for row in range(starts[group], starts[group + 1]):
            box, score, model = corners[row], scores[row], models[row]
            index = _nearest(shape, found, first, last, box, labels[row], iou_thr)
            if index < 0:
                index, last = last, last + 1
                members[index], sums[index], weighed[index] = 0, 0.0, 0.0
                weighed[index, 2] = score
                found[index, :4], found[index, 4], found[index, 5] = box, score, labels[row]
            members[index] += 1
            seen[index, model] = True
            for corner in range(4):
                sums[index, corner] += score * box[corner]
            weighed[index, 0] += score
            weighed[index, 1] += weights[model]
            weighed[index, 2] = max(weighed[index, 2], score)
            if members[index] > 1:
                divided &= weighed[index, 0] != 0
                _settle(found[index], sums[index], weighed[index], members[index], conf_type)
            shape[:4, index] = found[index, :4]
            shape[4, index] = (found[index, 2] - found[index, 0]) * (found[index, 3] - found[index, 1])
        counts[group] = last - first
    for index in range(last):
        found[index, 4] = _rescaled(
            found[index, 4],
            members[index],
            weighed[index, 1],
            seen[index],
            weights,
            total,
            highest,
            conf_type,
            overflow,
        )
    return found[:last], counts, divided


@compiled
def _nearest(shape, found, first, last, box, label, iou_thr):
    """The cluster of highest IoU above the threshold, the first of equals; -1 for none."""
    best, nearest = iou_thr, -1
    own = (box[2] - box[0]) * (box[3] - box[1])
    bound = iou_thr * (1 - 1e-12) if iou_thr > 0 else iou_thr - 1e-12  # a bit lower, for what rounding may do
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        if not _any_near(shape, np.uint64(begin), np.uint64(end), box[0], box[1], box[2], box[3], own, bound):
            continue
        for index in range(begin, end):
            width = min(found[index, 2], box[2]) - max(found[index, 0], box[0])
            height = min(found[index, 3], box[3]) - max(found[index, 1], box[1])
            overlap = max(width, 0.0) * max(height, 0.0)
            union = shape[4, index] + own - overlap
            # a fused label is a float32, which beyond 2 ** 24 is another label
            if overlap > bound * union and overlap / union > best and found[index, 5] == label:
                best, nearest = overlap / union, index
    return nearest


@compiled
def _any_near(shape, begin, end, left, top, right, bottom, own, bound):
    """Whether some IoU may lie above `bound`. No branch and no division: the compiler takes several boxes at a time."""
    near = 0
    for place in range(begin, end):  # unsigned, or each look-up asks whether to count from the end
        x_min, y_min, x_max, y_max = shape[0, place], shape[1, place], shape[2, place], shape[3, place]
        width = (x_max if x_max < right else right) - (x_min if x_min > left else left)
        height = (y_max if y_max < bottom else bottom) - (y_min if y_min > top else top)
        overlap = (width if width > 0 else 0.0) * (height if height > 0 else 0.0)
        near += overlap > bound * (shape[4, place] + own - overlap)
    return near > 0


@compiled
def _settle(found, sums, weighed, members, conf_type):
    """Equations 3 to 5: mean score (or the highest) and mean corners of two boxes or more, rounded to float32."""
    for corner in range(4):
        found[corner] = np.float32(sums[corner] / weighed[0])
    found[4] = np.float32(weighed[2] if conf_type == MAX else weighed[0] / members)
    found[5] = np.float32(found[5])


@compiled
def _rescaled(score, members, weight, seen, weights, total, highest, conf_type, overflow):
    """Equation 6 and its kin: a cluster that few models found loses score."""
    if conf_type == MAX:
        return score / highest
    if conf_type == AVG:
        return score * (members if overflow else min(len(weights), members)) / total
    summed = weight if members == 1 else np.float64(np.float32(weight))
    if conf_type == BOX_AND_MODEL:
        return score * members / summed * _numpy_sum(weights[seen].astype(np.float64)) / total
    return score * members / (summed + _numpy_sum(weights[~seen]))


@compiled
def _numpy_sum(values):
    """`values.sum()` to the bit: numpy adds eight running sums pairwise, and halves what is longer than 128."""
    if len(values) > 128:
        half = len(values) // 2
        half -= half % 8
        return _numpy_sum(values[:half]) + _numpy_sum(values[half:])
    sums, whole = np.zeros(8, values.dtype), len(values) - len(values) % 8
    for index in range(whole):
        sums[index % 8] += values[index]
    sums[0] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    for index in range(whole, len(values)):
        sums[0] += values[index]
    return sums[0]
