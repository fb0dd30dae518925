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

from cxr.faults import DataFault

# a map of structures, uint8 [H x W], holds these numbers; right is the patient's right, left in the picture (paper 002)
STRUCTURES = ("background", "heart", "right lung", "left lung")
BACKGROUND, HEART, RIGHT_LUNG, LEFT_LUNG = range(4)
UNKNOWN = 255  # what nobody annotated, in maps and masks
SMALLEST_PART = 0.05  # of the largest; less is a speck, not a lung
DILATIONS, CLOSINGS, OF_SIDE = 8, 2, 512  # paper 000
LEAST_GROWN = 50_000 / OF_SIDE**2  # of the picture (paper 000)
UNDER_SEGMENTED = 0.25  # of the lungs (paper 002)
INVERTED = 0.5  # of the picture's border: lungs hardly touch it, what is outside of them always does


def check_mask(mask: np.ndarray, shape: tuple[int, int], origin: str) -> np.ndarray:
    """A mask with two values as bool [H x W] of this shape; raises DataFault for what is no mask of this picture."""
    if mask.shape != tuple(shape):
        raise DataFault(
            f"{origin}: a mask of {size_words(mask.shape)} for a picture of {size_words(shape)}; resize one of them"
        )
    values = np.unique(mask)
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        shown = ", ".join(map(str, values[:5].tolist()))
        raise DataFault(
            f"{origin}: a mask has the values 0 and one other, here are {len(values)} ({shown}); name the one of lungs"
        )
    if not mask.any():
        raise DataFault(f"{origin}: the mask is empty, no pixel is lung; leave this picture out")
    found = mask > 0
    if is_inverted(found):
        raise DataFault(f"{origin}: the mask covers most of the picture's border, so it seems inverted; turn it round")
    return found


def size_words(shape: tuple[int, ...]) -> str:
    """`512 x 640`."""
    return " x ".join(map(str, shape))


def is_inverted(mask: np.ndarray) -> bool:
    """Whether the background was marked in place of the lungs: most of the picture's border is set."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(border.mean() > INVERTED)


def clean_mask(mask: np.ndarray) -> np.ndarray:
    """The two largest connected parts of a mask, without specks, holes filled; an empty mask stays empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    if count == 1:
        return np.zeros(mask.shape, bool)
    largest = [index for index in np.argsort(-sizes, kind="stable")[:2] if sizes[index] >= SMALLEST_PART * sizes.max()]
    kept = np.zeros(count, np.uint8)
    kept[[index + 1 for index in largest]] = 1
    return _without_holes(kept[labels])


def _without_holes(mask: np.ndarray) -> np.ndarray:
    """uint8 0 or 1 to bool: what the background cannot reach from outside belongs to the mask."""
    framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(framed, None, (0, 0), 2, flags=4)
    return framed[1:-1, 1:-1] != 2


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


def keep_heart(mask: np.ndarray) -> np.ndarray:
    """The mask and what lies between its two largest parts, in the rows in which both are: mediastinum and heart.

    A mask with one part stays as it is: there is nothing between.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 3:
        return mask.copy()
    largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:2]
    one, other = (labels == part for part in sorted(largest, key=lambda part: stats[part, cv2.CC_STAT_LEFT]))
    columns = np.arange(mask.shape[1])
    begins = np.where(one, columns, -1).max(1)  # the last column of the lung on the left of the picture
    ends = np.where(other, columns, mask.shape[1]).min(1)
    both = (begins >= 0) & (ends < mask.shape[1])
    between = (columns > begins[:, None]) & (columns < ends[:, None]) & both[:, None]
    return mask | between


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

    With the truth: pixels in which the two differ, by those of the truth. Without: what the two lungs lack to their
    convex hulls, by the hulls, which is an estimate (a sound lung lacks a tenth or so at heart and diaphragm); a lung
    that is missing counts as large as the other one. Only the two largest parts count. NaN for an empty mask.
    """
    if truth is not None:
        return float((mask ^ truth).sum() / truth.sum()) if truth.any() else float("nan")
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return float("nan")
    hulls = sorted(((cv2.contourArea(cv2.convexHull(c)), cv2.contourArea(c)) for c in contours), reverse=True)[:2]
    hull, area = (sum(values) for values in zip(*hulls, strict=True))
    if len(hulls) == 1:
        hull *= 2
    return float(1 - area / hull) if hull else 1.0
