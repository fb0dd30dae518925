"""What is seen of a picture: all of it, stretched to a square, or its centre in its own proportions.

Paper 004, section 3.1: "resize the image to have 256 pixels on the shorter side, perform a 224 x 224 crop in the
center". The cache holds pictures stretched to squares, so the same window is cut out of the stretched picture.
"""

import numpy as np

from cxr.images.resize import to_cache_size


def centre_window(height: float, width: float, size: int, resize: int) -> tuple[float, float, float, float]:
    """The window as shares of the picture: x, y of its corner, width, height; the whole picture where `resize` is 0.

    height, width: of the original, whose shorter side becomes `resize` px, of which the middle `size` px are seen.
    """
    if not resize:
        return 0.0, 0.0, 1.0, 1.0
    side = min(1.0, size / resize) * min(height, width)
    across, down = side / width, side / height
    return (1 - across) / 2, (1 - down) / 2, across, down


def see_centre(pixels: np.ndarray, window: tuple[float, float, float, float], size: int) -> np.ndarray:
    """uint8 [H x W], whole or stretched, to the window at [size x size]."""
    x, y, across, down = window
    rows, columns = pixels.shape
    left, top = round(x * columns), round(y * rows)
    right, bottom = max(left + 1, round((x + across) * columns)), max(top + 1, round((y + down) * rows))
    return to_cache_size(pixels[top:bottom, left:right], size)


def around_centre(heat: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """A map float [S x S] of the window in the frame of the whole picture, as coarse; 0 where nothing was seen."""
    x, y, across, down = window
    height, width = round(heat.shape[0] / down), round(heat.shape[1] / across)
    top, left = round(y * height), round(x * width)
    whole = np.zeros((max(height, top + heat.shape[0]), max(width, left + heat.shape[1])), heat.dtype)
    whole[top : top + heat.shape[0], left : left + heat.shape[1]] = heat
    return whole


def boxes_in_window(boxes_xyxy: np.ndarray, window: tuple[float, float, float, float], size: int) -> np.ndarray:
    """Boxes [N x 4] as shares of the picture to pixels of the window at `size`; what lies outside stays outside."""
    x, y, across, down = window
    return (boxes_xyxy - np.array([x, y, x, y])) / np.array([across, down, across, down]) * size
