"""The one resize of training, prediction and app: OpenCV's INTER_AREA to the bit, three to eight times as fast.

Averaging over areas is two small matrix products. OpenCV sums along rows first, which gathers single pixels; summing
whole rows first is the same sum in an order that the processor likes. The order changes float32 sums by less than
1e-3, so only pixels that lie that close to a rounding border are computed again in OpenCV's own order.
"""

from functools import lru_cache

import cv2
import numpy as np

from cxr.compiled import compiled

NEAR = np.float32(1e-3)  # bound on the difference of the two orders: sums of at most 255, float32, few terms


def to_cache_size(pixels: np.ndarray, size: int) -> np.ndarray:
    """Pictures for networks: uint8 [H x W] to [size x size], INTER_AREA, sides stretched."""
    return resize_area(pixels, size, size)


def fit_within(pixels: np.ndarray, size: int) -> np.ndarray:
    """Shrink so that the long side is at most `size` pixels, keeping proportions; never enlarges."""
    height, width = pixels.shape
    scale = size / max(height, width)
    if scale >= 1:
        return pixels
    return resize_area(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def resize_area(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """`cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)` for uint8 [H x W]."""
    rows, columns = pixels.shape
    whole = rows % height == 0 and columns % width == 0  # OpenCV sums such blocks as integers
    if whole or rows < height or columns < width:
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return _resize(_read_only(pixels), *_overlaps(rows, height), *_overlaps(columns, width), NEAR)


def _read_only(pixels: np.ndarray) -> np.ndarray:
    """One kind of array, whether it comes from a file or from memory: numba compiles for each kind anew."""
    view = np.ascontiguousarray(pixels).view(np.ndarray)
    view.flags.writeable = False
    return view


@lru_cache(maxsize=256)
def _overlaps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First source pixel [target], count of source pixels [target] and their shares, float32 [taps x target].

    Overlaps below a thousandth of a pixel do not count, as in OpenCV.
    """
    scale = source / target
    begins = np.arange(target) * scale
    ends = begins + scale
    cells = np.minimum(scale, source - begins)
    lasts = np.minimum(np.floor(ends).astype(np.int32), source - 1)
    firsts = np.minimum(np.ceil(begins).astype(np.int32), lasts)  # of the pixels that lie wholly in the cell
    before, after = firsts - begins > 1e-3, ends - lasts > 1e-3  # parts of a pixel at either end
    whole = before + (lasts - firsts)
    counts = whole + after
    tap = np.arange(counts.max())[:, None]
    shares = np.where(
        tap < whole, 1.0, np.where((tap == whole) & after, np.minimum(ends - lasts, np.fmin(1, cells)), 0)
    )
    shares = np.where((tap == 0) & before, firsts - begins, shares)
    return (firsts - before).astype(np.int32), counts.astype(np.int32), (shares / cells).astype(np.float32)


@compiled
def _resize(pixels, tops, heights, row_shares, lefts, widths, column_shares, near):
    """uint8 [rows x columns] out of uint8 [H x W] and two results of `_overlaps`."""
    rows, columns, taps, width = len(tops), len(lefts), column_shares.shape[0], pixels.shape[1]
    out = np.empty((rows, columns), np.uint8)
    line = np.zeros(width + taps, np.float32)  # the taps at the end have share 0
    sums = np.empty(columns, np.float32)
    for i in range(rows):
        _add_rows(pixels, tops[i], heights[i], row_shares[:, i], line)
        for j in range(columns):
            sums[j] = line[lefts[j]] * column_shares[0, j]
        for k in range(1, taps):
            for j in range(columns):
                sums[j] += line[lefts[j] + k] * column_shares[k, j]
        close = 0
        for j in range(columns):
            out[i, j] = np.uint8(sums[j] + np.float32(0.5))
            close += abs(sums[j] - np.floor(sums[j]) - np.float32(0.5)) < near
        if close:
            for j in range(columns):
                if abs(sums[j] - np.floor(sums[j]) - np.float32(0.5)) < near:
                    rows_of_cell = pixels[tops[i] : tops[i] + heights[i], lefts[j] : lefts[j] + widths[j]]
                    out[i, j] = _in_cv2_order(rows_of_cell, row_shares[:, i], column_shares[:, j])
    return out


@compiled
def _add_rows(pixels, top, height, shares, line):
    """line[:W] = the weighted sum of `height` rows, two at a time to halve the traffic."""
    width = pixels.shape[1]
    if height == 1:
        for x in range(width):
            line[x] = pixels[top, x] * shares[0]
        return
    for x in range(width):
        line[x] = pixels[top, x] * shares[0] + pixels[top + 1, x] * shares[1]
    for k in range(2, height - 1, 2):
        for x in range(width):
            line[x] += pixels[top + k, x] * shares[k] + pixels[top + k + 1, x] * shares[k + 1]
    if height % 2:
        for x in range(width):
            line[x] += pixels[top + height - 1, x] * shares[height - 1]


@compiled
def _in_cv2_order(cell, row_shares, column_shares):
    """One pixel as OpenCV's ResizeArea computes it: along each row, then down, rounded half to even."""
    total = np.float32(0)
    for k in range(cell.shape[0]):
        along = np.float32(0)
        for q in range(cell.shape[1]):
            along += np.float32(cell[k, q]) * column_shares[q]
        total = row_shares[k] * along if k == 0 else total + row_shares[k] * along
    return np.uint8(np.rint(total))
