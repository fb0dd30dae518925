"""Connected parts of masks bool [H x W], what lies enclosed in them, and squares moved over them; nothing about lungs.

Parts are joined over the four sides of a pixel. OpenCV labels them in a millisecond at 1024 px but needs fifteen more
for their statistics, so areas and boxes are counted here.
"""

from typing import NamedTuple

import cv2
import numpy as np

from cxr.compiled import compiled


class Parts(NamedTuple):
    """The connected parts of a mask, largest first; of equal ones the one that begins higher up, then further left."""

    labels: np.ndarray  # int32 [H x W], 0 where the mask is not
    numbers: np.ndarray  # int [N], of the parts in `labels`
    areas: np.ndarray  # int [N], px
    boxes_xyxy: np.ndarray  # int [N x 4], right and lower edge behind the last pixel

    def only(self, chosen: np.ndarray) -> np.ndarray:
        """bool [H x W]: the parts at these places of the order."""
        kept = np.zeros(len(self.numbers) + 1, bool)
        kept[self.numbers[chosen]] = True
        return kept[self.labels]


def find_parts(mask: np.ndarray) -> Parts:
    """All parts of a mask bool [H x W]."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    areas, boxes_xyxy = _measure(labels, count)
    order = np.argsort(-areas[1:], kind="stable") + 1
    return Parts(labels, order, areas[order], boxes_xyxy[order])


@compiled
def _measure(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    height, width = labels.shape
    areas, boxes_xyxy = np.zeros(count, np.int64), np.zeros((count, 4), np.int64)
    boxes_xyxy[:, 0], boxes_xyxy[:, 1] = width, height
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label:
                areas[label] += 1
                box = boxes_xyxy[label]
                box[0], box[1] = min(box[0], x), min(box[1], y)
                box[2], box[3] = max(box[2], x + 1), max(box[3], y + 1)
    return areas, boxes_xyxy


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """The mask and what the background cannot reach from outside of the picture over the sides of its pixels."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(framed, None, (0, 0), 2, flags=4)
    return framed[1:-1, 1:-1] != 2


def dilate(mask: np.ndarray, reach: tuple[int, int]) -> np.ndarray:
    """So many dilations by a 3x3 square, up and down and sideways: one by the rectangle of that reach."""
    return cv2.dilate(mask.astype(np.uint8), _rectangle(reach)).astype(bool)


def close(mask: np.ndarray, reach: tuple[int, int]) -> np.ndarray:
    """The closing by that rectangle. The border of the picture is no background: it eats nothing."""
    y, x = reach
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), y, y, x, x, cv2.BORDER_REPLICATE)
    closed = cv2.erode(cv2.dilate(framed, _rectangle(reach)), _rectangle(reach))
    return closed[y : y + mask.shape[0], x : x + mask.shape[1]].astype(bool)


def _rectangle(reach: tuple[int, int]) -> np.ndarray:
    return np.ones((2 * reach[0] + 1, 2 * reach[1] + 1), np.uint8)


def row_ends(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last column of the mask in each row, int [H] both, and whether there is any, bool [H]."""
    return mask.argmax(1), mask.shape[1] - 1 - mask[:, ::-1].argmax(1), mask.any(1)
