"""Random textures and small pieces of geometry that every part of the phantom shares. Lengths in cm unless said."""

import math

import cv2
import numpy as np


def plain(fields: dict) -> dict:
    """NumPy scalars as Python numbers: a float64 scalar would turn every float32 array that it touches into float64."""
    return {
        name: value.item()
        if isinstance(value, np.generic)
        else tuple(part.item() if isinstance(part, np.generic) else part for part in value)
        if isinstance(value, tuple)
        else value
        for name, value in fields.items()
    }


def smooth_step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a cubic between them; works for low > high too."""
    t = (values - low) * (1 / (high - low))
    np.clip(t, 0, 1, out=t)
    result = t * t
    t *= -2  # in place: the picture passes through here fifty times
    t += 3
    result *= t
    return result


def dome(squared: np.ndarray) -> np.ndarray:
    """sqrt(1 - r**2): the relative thickness of an ellipsoid at relative radius r; 0 outside."""
    return np.sqrt(np.maximum(1 - squared, 0))


def ellipse_r2(
    x: np.ndarray, y: np.ndarray, centre: tuple[float, float], axes: tuple[float, float], tilt: float = 0.0
) -> np.ndarray:
    """Squared relative radius of an ellipse with half axes `axes`, turned by `tilt` radians (clockwise on screen)."""
    dx, dy = x - float(centre[0]), y - float(centre[1])
    cos, sin = math.cos(tilt), math.sin(tilt)
    along, across = (dx * cos + dy * sin) / float(axes[0]), (dy * cos - dx * sin) / float(axes[1])
    return along * along + across * across


def noise(
    rng: np.random.Generator, shape: tuple[int, int], grain: float, octaves: int = 1, gain: float = 0.5
) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation about 1, float32 [H x W].

    `grain` is the size of the largest blobs in px; every further octave halves it and weighs `gain` times as much.
    """
    total, weights = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        step = max(grain / 2**octave, 1.0)
        weights += gain ** (2 * octave)
        if step < 1.5:  # as fine as the pixels: nothing to interpolate
            total += np.float32(0.85 * gain**octave) * rng.standard_normal(shape, dtype=np.float32)
            continue
        small = rng.standard_normal([int(extent / step) + 4 for extent in shape], dtype=np.float32)
        large = cv2.resize(small, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        top, left = rng.integers(0, int(step) + 1, 2)
        total += np.float32(gain**octave) * large[top : top + shape[0], left : left + shape[1]]
    return total / np.float32(0.85 * np.sqrt(weights))  # what cubic interpolation keeps of the spread
