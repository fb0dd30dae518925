"""Lung masks after the network: cleaned, grown, boxed, filled up with the heart, and judged. Arrays bool [H x W].

| step | from | here |
|---|---|---|
| two largest parts, no specks, no holes | ours | `clean_mask` |
| 8 dilations, 2 closings | paper 000, at 512 px | `grow_mask`, the same share of any picture; a 3x3 element is ours |
| total area of at least 50 000 px | paper 000, at 512 px | `LEAST_GROWN`, as a share, of the grown mask |
| dilation and margins around the lungs | paper 001, section 3.2 | `grow_mask`, `lung_box_xyxy` |
| the heart is kept in | paper 003, section 3.1 | `keep_heart` |
| over a quarter of the lungs deformed: under-segmented | paper 002 | `deformed_share`, `UNDER_SEGMENTED` |

Measured on masks alone, without the picture: what a mask misses shows in its outline or not at all.
"""

import cv2
import numpy as np

from cxr.images.regions import fill_holes, find_parts, row_ends

# a map of structures, uint8 [H x W], holds these numbers; right is the patient's right, left in the picture (paper 002)
STRUCTURES = ("background", "heart", "right lung", "left lung")
BACKGROUND, HEART, RIGHT_LUNG, LEFT_LUNG = range(4)
UNKNOWN = 255  # what nobody annotated, in maps and masks
SMALLEST_PART = 0.05  # of the largest; less is a speck, not a lung
DILATIONS, CLOSINGS, OF_SIDE = 8, 2, 512  # paper 000
LEAST_GROWN = 50_000 / OF_SIDE**2  # of the picture (paper 000)
UNDER_SEGMENTED = 0.25  # of the lungs (paper 002)
JOINED = 0.8  # width by height of a part that is both lungs: of real square masks one has at most .75, both .83 or more
INWARDS = 0.5  # what inwards counts beside down where a lung's corner is looked for: at 1 a large heart is cut
STACKED = 0.5  # of the narrower part's columns that both parts have: two pieces of one lung lie above each other
MIRROR = 0.8  # of the larger lung's hull that the other has at least; of real masks nine in ten do
INVERTED = 0.5  # of the picture's border: lungs hardly touch it, what is outside of them always does


def is_inverted(mask: np.ndarray) -> bool:
    """Whether the background was marked in place of the lungs: most of the picture's border is set."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(border.mean() > INVERTED)


def clean_mask(mask: np.ndarray) -> np.ndarray:
    """The two largest connected parts of a mask, without specks, holes filled; an empty mask stays empty."""
    parts = find_parts(mask)
    if not len(parts.areas):
        return np.zeros(mask.shape, bool)
    return fill_holes(parts.only(np.flatnonzero(parts.areas[:2] >= SMALLEST_PART * parts.areas[0])))


def grow_mask(mask: np.ndarray) -> np.ndarray:
    """Dilated and closed as paper 000 does at 512 px: outlines run outside of the lungs, small gaps are closed."""
    scale = max(mask.shape) / OF_SIDE
    grown = _dilate(mask.astype(np.uint8), max(1, round(DILATIONS * scale)))
    reach = max(1, round(CLOSINGS * scale))
    # beside the picture there is no lung and no background: a frame keeps the closing from eating at the border
    framed = cv2.copyMakeBorder(grown, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    closed = cv2.erode(_dilate(framed, reach), _square(reach))
    return closed[reach:-reach, reach:-reach].astype(bool)


def _dilate(mask: np.ndarray, reach: int) -> np.ndarray:
    # so many dilations by a 3x3 square are one by the square of that reach
    return cv2.dilate(mask, _square(reach))


def _square(reach: int) -> np.ndarray:
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def lungs_apart(mask: np.ndarray) -> list[np.ndarray]:
    """The lungs of a mask, bool [H x W] each, from left to right in the picture: two, one or none.

    The two largest parts are the lungs, unless they lie above each other: those are pieces of one. A single part that
    is nearly as wide as high is both lungs grown together and is cut in its middle. Specks are for `clean_mask`.
    """
    parts = find_parts(mask)
    boxes_xyxy = parts.boxes_xyxy[:2]
    if len(boxes_xyxy) == 2:
        shared = boxes_xyxy[:, 2].min() - boxes_xyxy[:, 0].max()
        if shared <= STACKED * (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]).min():
            return [parts.only(np.array([index])) for index in np.argsort(boxes_xyxy[:, ::2].sum(1), kind="stable")]
    if not len(boxes_xyxy):
        return []
    whole, (x_min, y_min) = parts.only(np.arange(len(boxes_xyxy))), boxes_xyxy[:, :2].min(0)
    x_max, y_max = boxes_xyxy[:, 2:].max(0)
    if len(boxes_xyxy) == 2 or x_max - x_min < max(2, JOINED * (y_max - y_min)):  # one column has no halves
        return [whole]
    left, right = whole.copy(), whole.copy()
    left[:, (x_min + x_max) // 2 :] = right[:, : (x_min + x_max) // 2] = False
    return [left, right]


def keep_heart(mask: np.ndarray) -> np.ndarray:
    """The mask and what lies between its two lungs: mediastinum and heart, down to the lower of their inner corners.

    Only rows in which both lungs are count. Without that floor the space under both diaphragms would come along, for
    the outer ends of the lungs reach below the heart. With one lung there is nothing between: the mask stays as it is.
    """
    lungs = lungs_apart(mask)
    if len(lungs) < 2:
        return mask.copy()
    (_, inner, here), (outer, _, there) = (row_ends(lung) for lung in lungs)
    floor = max(_lower_inner_corner(inner, here, +1), _lower_inner_corner(outer, there, -1))
    rows, columns = np.arange(mask.shape[0]), np.arange(mask.shape[1])
    between = (columns > inner[:, None]) & (columns < outer[:, None])
    return mask | (between & (here & there & (rows <= floor))[:, None])


def _lower_inner_corner(inner: np.ndarray, there: np.ndarray, side: int) -> int:
    """The row in which a lung reaches farthest down and inwards at once, both by its own size.

    inner: its inner end in each row; there: the rows that it has; side: 1 where inwards is to the right, else -1.
    """
    rows = np.flatnonzero(there)
    ends = side * inner[rows]
    reach = INWARDS * (ends - ends.min()) / max(1, np.ptp(ends)) + (rows - rows[0]) / len(rows)
    return int(rows[len(rows) - 1 - reach[::-1].argmax()])


def lung_box_xyxy(mask: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """The box around a mask, float [4], right and lower edge behind the last pixel; the whole picture if it is empty.

    margin: share of the box's width and height that is added at each side, as far as the picture goes.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    if not len(rows):
        return np.array([0, 0, width, height], float)
    box_xyxy = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    more = margin * (box_xyxy[2:] - box_xyxy[:2])
    return np.clip(box_xyxy + np.concatenate([-more, more]), 0, [width, height, width, height])


def rejection(area: float, least: float, most: float) -> str:
    """Why a mask that covers this share of the picture is not believed; empty when it is."""
    if area == 0:
        return "no lung found"
    if area < least:
        return f"covers {area:.1%} of the picture, less than {least:.0%}"
    if area > most:
        return f"covers {area:.1%} of the picture, more than {most:.0%}"
    return ""


def deformed_share(mask: np.ndarray, truth: np.ndarray | None = None) -> float:
    """How much of the lungs is deformed, as a share of them; above `UNDER_SEGMENTED` paper 002 counts the mask.

    With the truth: pixels in which the two differ, by those of the truth. Without it an estimate, ours: what the lungs
    lack to their convex hulls, by the hulls, where each counts at least `MIRROR` of the other's, so that a lung of
    which much is missing, or all, shows beside the other. What both lungs lack alike at an end does not show. Masks
    that people drew reach .17. NaN for an empty mask, and for an empty truth.
    """
    if truth is not None:
        return float((mask ^ truth).sum() / truth.sum()) if truth.any() else float("nan")
    outlines = [_hull_and_area(lung) for lung in lungs_apart(mask)]
    if not outlines:
        return float("nan")
    hulls, areas = (
        np.array(values) for values in zip(*outlines, (0, 0), strict=True)
    )  # (0, 0): a lung that is missing
    expected = np.maximum(hulls, MIRROR * hulls.max())[:2].sum()
    return float(1 - areas.sum() / expected)


def _hull_and_area(lung: np.ndarray) -> tuple[int, int]:
    """Pixels of a lung's convex hull, and of the lung."""
    contours, _ = cv2.findContours(lung.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.fillConvexPoly(np.zeros(lung.shape, np.uint8), cv2.convexHull(np.concatenate(contours)), 1)
    return int(np.count_nonzero(hull)), int(np.count_nonzero(lung))
