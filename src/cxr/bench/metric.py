"""The competition's metric and its bootstrap at the size of the visible test set."""

from collections.abc import Callable

import numpy as np

from cxr.bench.timing import median_ms
from cxr.evaluation.voc import average_precision, match_detections

IMAGES, BOXES, RESAMPLES = 1263, 100, 1000  # the visible test set, a generous detector, a usual bootstrap


def main(repeats: int) -> None:
    """Print a line a piece."""
    for name, piece in metric_pieces():
        print(f"{name:54}{median_ms(piece, repeats):10.1f}")


def metric_pieces() -> list[tuple[str, Callable]]:
    """The metric and a bootstrap at the size of the visible test set, one class."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(IMAGES), BOXES)
    corners = np.sort(rng.random((len(image), 2, 2)), axis=1).reshape(-1, 4) * 1000
    truth = np.repeat(np.arange(IMAGES), 2)
    true_corners = np.sort(rng.random((len(truth), 2, 2)), axis=1).reshape(-1, 4) * 1000
    arguments = (image, rng.random(len(image)), corners, truth, true_corners, IMAGES)
    matches = match_detections(*arguments)
    weights = rng.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), RESAMPLES)
    return [
        (f"AP, {IMAGES} images x {BOXES} boxes, ms", lambda: average_precision(match_detections(*arguments))),
        (f"{RESAMPLES} bootstrap resamples of it, ms", lambda: [average_precision(matches, w) for w in weights]),
    ]
