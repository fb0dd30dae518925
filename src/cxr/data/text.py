"""Burned-in text and signs painted over (paper 001, section 5.3, figure 17)."""

import cv2
import numpy as np

from cxr.data.markers_seen import spots_of

REACH = 5  # px around a pixel that painting over looks at
GROWN = 1 / 64  # of the side: strokes are covered with their blurred edges


def without_text(picture: np.ndarray) -> np.ndarray:
    """uint8 [S x S] with its bright, sharp strokes painted over from what lies around them; others stay as they are."""
    spots = spots_of(picture)
    if not spots.any():
        return picture.copy()
    covered = cv2.resize(spots.astype(np.uint8), picture.shape[::-1], interpolation=cv2.INTER_NEAREST)
    covered = cv2.dilate(covered, np.ones((2 * max(1, round(GROWN * len(picture))) + 1,) * 2, np.uint8))
    return cv2.inpaint(np.ascontiguousarray(picture), covered, REACH, cv2.INPAINT_TELEA)
