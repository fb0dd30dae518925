"""Stored values to 8-bit grey, bright = dense: the grayscale pipeline of DICOM (PS3.4 N.2) as one look-up table.

    stored value > Modality LUT or rescale > VOI LUT or window > MONOCHROME1 inverted > minimum..maximum to 0..255

Everything is computed in float64 on the values that occur, at most 65 536 of them, and applied to the pixels in one
step, so no float picture is ever made and the result is the same, bit for bit, as that of the usual recipe

    x = apply_voi_lut(apply_modality_lut(pixel_array)); x = x.max() - x if MONOCHROME1
    x = x - x.min(); x = x / x.max(); (x * 255).astype(uint8)        # rounds down: 255 is the maximum alone

Where pydicom's functions fail or leave the standard, this follows the standard: see `window` and `apply_lut`.
"""

from typing import NamedTuple

import cv2
import numpy as np

from cxr.faults import DataFault
from cxr.images.stored import Stored, sample_values


class Lut(NamedTuple):
    """A look-up table of C.11.1.1.1 / C.11.2.1.1: values below `first` map to the first entry, above to the last."""

    first: int
    entries: np.ndarray  # integers [N]
    depth: int  # bits an entry


class Window(NamedTuple):
    """The first window of the file (C.11.2.1.2); the others are alternatives for the reader to choose."""

    center: float
    width: float
    function: str = "LINEAR"


class Display(NamedTuple):
    """What a header says about showing its stored values."""

    inverted: bool  # MONOCHROME1: the minimum is shown white (C.7.6.3.1.2)
    stored_range: tuple[int, int]  # of the samples, from BitsStored and PixelRepresentation
    modality: Lut | tuple[float, float] | None = None  # or rescale slope and intercept (C.11.1.1.2)
    voi: Lut | Window | None = None
    padding: tuple[int, int] | None = None  # first and last padding value, both included (C.7.5.1.1.2)


def apply_lut(values: np.ndarray, lut: Lut) -> np.ndarray:
    """Integers [N] out of the table. (pydicom wraps the index of 8-bit tables at 256; this does not.)"""
    return lut.entries[np.clip(np.floor(values).astype(np.int64) - lut.first, 0, len(lut.entries) - 1)]


def apply_window(values: np.ndarray, window: Window, low: float, high: float) -> np.ndarray:
    """Float64 [N] between `low` and `high`: LINEAR, LINEAR_EXACT (C.11.2.1.3.2) or SIGMOID (C.11.2.1.3.1)."""
    values = values.astype(np.float64)
    center, width, function = window
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # exp grows to infinity far below the window: the quotient is 0, as it should
            return (high - low) / (1 + np.exp(-4 * (values - center) / width)) + low
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    below, above = values <= center - width / 2, values > center + width / 2
    inside = ~below & ~above
    shown = np.where(below, low, high).astype(np.float64)
    shown[inside] = ((values[inside] - center) / width + 0.5) * (high - low) + low
    return shown


def apply_display(values: np.ndarray, display: Display) -> np.ndarray:
    """Modality and VOI transformation of sample values [N].

    The window maps to the range that the modality step can produce. With a negative slope that range is put in order
    first; pydicom does not, and turns such pictures over.
    """
    low, high = display.stored_range
    if isinstance(display.modality, Lut):
        values, low, high = apply_lut(values, display.modality), 0, 2**display.modality.depth - 1
    elif display.modality:
        slope, intercept = display.modality
        values = values.astype(np.float64) * slope + intercept
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    if isinstance(display.voi, Lut):
        return apply_lut(values, display.voi)
    return apply_window(values, display.voi, low, high) if display.voi else values


def stretch(values: np.ndarray, inverted: bool) -> np.ndarray:
    """Minimum..maximum to 0..255, uint8 [N], rounded down; a constant picture becomes black."""
    if len(values) == 0:
        return np.zeros(0, np.uint8)
    values = values.max() - values if inverted else values
    values = values - values.min()
    return (values / (values.max() or 1) * 255).astype(np.uint8)


def is_padding(codes: np.ndarray, values: np.ndarray, stored: Stored, padding: tuple[int, int] | None) -> np.ndarray:
    """Which codes [N] mean "no tissue was there". Padding is written over the whole word as well as in sample width."""
    if padding is None:
        return np.zeros(len(codes), bool)
    words = sample_values(codes, Stored(codes, stored.signed, codes.dtype.itemsize * 8))
    return ((values >= padding[0]) & (values <= padding[1])) | ((words >= padding[0]) & (words <= padding[1]))


def grey_levels(codes: np.ndarray, stored: Stored, display: Display) -> np.ndarray:
    """uint8 [N] for the distinct codes [N] of a picture. Padding is black and has no say in minimum and maximum."""
    values = sample_values(codes, stored)
    tissue = ~is_padding(codes, values, stored, display.padding)
    shown = apply_display(values[tissue], display)
    if not np.isfinite(shown).all():
        raise DataFault("its rescale or window values are so large that no grey levels are left; correct the header")
    levels = np.zeros(len(codes), np.uint8)
    levels[tissue] = stretch(shown, display.inverted)
    return levels


def to_grey(stored: Stored, display: Display) -> np.ndarray:
    """The picture, uint8 [H x W]."""
    codes = stored.codes
    if codes.dtype.itemsize > 2:  # too many possible codes for a table over all of them
        occurring, place = np.unique(codes, return_inverse=True)
        return grey_levels(occurring, stored, display)[place].reshape(codes.shape)
    table = np.zeros(256**codes.dtype.itemsize, np.uint8)
    occurring = codes_to_map(stored, display)
    table[occurring] = grey_levels(occurring, stored, display)
    return cv2.LUT(codes, table)


def codes_to_map(stored: Stored, display: Display) -> np.ndarray:
    """Codes [N] of a picture of 8 or 16 bits, ascending: all that occur, or a range that begins and ends with them.

    The range will do, and is found five times as fast, where values between the smallest and the largest code cannot
    leave the range of what is shown: no padding to leave out, and nothing but a rescale (a window may leave it by a
    rounding error).
    """
    codes = stored.codes
    kind, size = codes.dtype, 256**codes.dtype.itemsize
    if display.padding is None and display.voi is None and not isinstance(display.modality, Lut):
        last = int(codes.max())
        if not stored.signed and stored.shift == 0 and last < 1 << stored.bits:
            return np.arange(int(codes.min()), last + 1).astype(kind)
    return np.flatnonzero(cv2.calcHist([codes], [0], None, [size], [0, size])).astype(kind)
