"""From attenuation to the stored picture: scatter, photon noise, the console's processing and its window."""

import cv2
import numpy as np

from cxr.phantom.textures import noise, smooth_step
from cxr.phantom.views import Frame, View


def expose(attenuation: np.ndarray, view: View, frame: Frame, focus: np.ndarray) -> np.ndarray:
    """Picture float32 [height x width] in 0..1, bright = dense, from attenuation mu * t [H x W] on the working grid.

    `focus`: bool [H x W], the body region whose range sets the window, as automatic exposure does.
    """
    rng = np.random.default_rng(view.seed + 7)
    field = _uneven(frame.shape, view.gradient)
    primary = np.exp(-(attenuation + field))
    scattered = _blur(np.minimum(primary, 0.12), 3.5 * frame.px_per_cm)  # the body scatters, the open beam does not
    signal = -np.log(primary + view.scatter * 0.35 * scattered + 1e-3)
    signal = cv2.GaussianBlur(signal, (0, 0), max(0.03 * frame.px_per_cm, 0.3))
    signal += np.float32(0.5 * view.sharpen) * (signal - cv2.GaussianBlur(signal, (0, 0), 0.35 * frame.px_per_cm))
    signal -= np.float32(0.25 * view.sharpen) * (_blur(signal, 4 * frame.px_per_cm) - signal.mean())
    low, high = np.percentile(signal[focus] if focus.sum() > 100 else signal, [4, 97])
    size = (view.width, view.height)
    signal = cv2.resize(signal, size, interpolation=cv2.INTER_CUBIC)
    grains = noise(rng, (view.height, view.width), 1.0) + 0.6 * noise(rng, (view.height, view.width), 2.3)
    signal += grains * np.float32(0.010 / np.sqrt(view.exposure)) * np.exp(np.clip(signal, 0, 6) / 4)
    return _window((signal - low) / (high - low), view)


def _window(relative: np.ndarray, view: View) -> np.ndarray:
    """Black and white points, gamma, and a toe and shoulder that keep the ends from clipping hard; by a table."""
    black, white = view.window
    tone = black + (white - black) * np.arange(-1.5, 2.5, 1 / 16000)
    over, under = np.maximum(tone - 0.8, 0), np.maximum(0.08 - tone, 0)
    tone = np.clip(tone, 0.08, 0.8) + over / (1 + 5 * over) - under / (1 + 12.5 * under)  # slope 1, then flat
    table = np.clip(tone, 0, 1).astype(np.float32) ** view.gamma
    return table[np.clip((relative + 1.5) * 16000, 0, len(table) - 1).astype(np.uint16)]


def _uneven(shape: tuple[int, int], gradient: tuple[float, float]) -> np.ndarray:
    down, across = np.ogrid[-0.5 : 0.5 : shape[0] * 1j, -0.5 : 0.5 : shape[1] * 1j]
    return (gradient[0] * across + gradient[1] * down).astype(np.float32)


def _blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Wide Gaussian blur, on an eighth of the resolution."""
    small = cv2.resize(picture, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma / 8, 0.3))
    return cv2.resize(small, picture.shape[::-1], interpolation=cv2.INTER_LINEAR)


def collimate(picture: np.ndarray, border: tuple[float, float, float, float]) -> np.ndarray:
    """Darken what the collimator cut off; shares of the width (left, right) and height (top, bottom)."""
    height, width = picture.shape
    x, y = np.arange(width, dtype=np.float32) / width, np.arange(height, dtype=np.float32) / height
    left, top, right, bottom = border
    across = smooth_step(x, left - 0.004, left + 0.004) * smooth_step(1 - x, right - 0.004, right + 0.004)
    down = smooth_step(y, top - 0.004, top + 0.004) * smooth_step(1 - y, bottom - 0.004, bottom + 0.004)
    return picture * (0.03 + 0.97 * down[:, None] * across[None]).astype(np.float32)
