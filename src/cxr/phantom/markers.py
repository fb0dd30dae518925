"""Letters, words and arrows on the finished picture. They say nothing about the class, but for a planted shortcut."""

from collections.abc import Callable

import cv2
import numpy as np

from cxr.phantom.views import View


def burn_in(picture: np.ndarray, view: View) -> np.ndarray:
    """Letters and arrows that the console or a lead marker leaves on the picture [H x W], 0..1."""
    rng = np.random.default_rng([view.seed, 5])
    if "lead_letter" in view.devices:
        side = rng.choice(["L", "R"], p=[0.7, 0.3])
        x = rng.uniform(0.84, 0.95) if side == "L" else rng.uniform(0.05, 0.16)
        text = side + (str(rng.choice(["", " ", "HS", "MP", "7"])) if rng.random() < 0.4 else "")
        write_text(picture, text, (x, rng.uniform(0.04, 0.3)), rng.uniform(0.04, 0.075), rng.normal(0, 14), rng)
    if "burnt_text" in view.devices:
        x = float(rng.choice([rng.uniform(0.05, 0.2), rng.uniform(0.8, 0.93)]))
        words = rng.permutation(["PORTABLE", "AP", "SUPINE", "ERECT", "PA", "SITTING"])[: rng.integers(1, 4)]
        y, step = rng.uniform(0.03, 0.9), rng.uniform(0.03, 0.09)
        for row, text in enumerate(words):
            write_text(picture, str(text), (x, y + row * step), 0.018, 0, rng)
    if "arrow" in view.devices:
        height, width = picture.shape
        x, y = float(rng.choice([0.03, 0.9]) + rng.uniform(0, 0.07)) * width, rng.uniform(0.3, 0.95) * height
        r = 0.02 * height
        arrow = np.array([[0, -1.4], [1, 0], [0.4, 0], [0.4, 1.4], [-0.4, 1.4], [-0.4, 0], [-1, 0]]) * r + [x, y]
        corners = np.rint(arrow * 16).astype(np.int32)
        _stamp(picture, lambda layer: cv2.fillPoly(layer, [corners], 255, cv2.LINE_AA, 4), 1.0)
    return picture


def write_text(
    picture: np.ndarray, text: str, place: tuple[float, float], size: float, degrees: float, rng: np.random.Generator
) -> None:
    """Write text at `place` (shares of width and height), `size` its share of the height, in place."""
    height, width = picture.shape
    scale, thick = size * height / 22, max(1, round(size * height / 9 * rng.uniform(0.7, 1.2)))
    (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    centre = (place[0] * width, place[1] * height)

    def draw(layer: np.ndarray) -> None:
        origin = (round(centre[0] - w / 2), round(centre[1] + h / 2))
        cv2.putText(layer, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
        if degrees:
            turn = cv2.getRotationMatrix2D(centre, degrees, 1)
            layer[:] = cv2.warpAffine(layer, turn, layer.shape[::-1])

    _stamp(picture, draw, rng.uniform(0.75, 1.0))


def _stamp(picture: np.ndarray, draw: Callable[[np.ndarray], object], shade: float) -> None:
    layer = np.zeros(picture.shape, np.uint8)
    draw(layer)
    opacity = layer.astype(np.float32) / 255
    picture += opacity * np.maximum(shade - picture, 0)  # lead and light never darken
