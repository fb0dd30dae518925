"""Class names of the challenge, and its two text formats: `boxes` of the training labels and PredictionString.

A PredictionString is a row of groups of six tokens, `class confidence xmin ymin xmax ymax`. Study classes and the image
class `none` have no place on the image: they carry the unit box `0 0 1 1`. `opacity` boxes are pixels of the original
DICOM image (competition page, "Evaluation").
"""

import ast
import math
from typing import NamedTuple

import numpy as np

from cxr.faults import DataFault

STUDY_COLUMNS = {
    "Negative for Pneumonia": "negative",
    "Typical Appearance": "typical",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}  # column of train_study_level.csv -> class name in a submission
STUDY_CLASSES = tuple(STUDY_COLUMNS.values())
IMAGE_CLASSES = ("none", "opacity")
CLASSES = (*STUDY_CLASSES, *IMAGE_CLASSES)  # the six of the metric, in the order every table shows them
UNIT_BOX = (0, 0, 1, 1)
STUDY_SUFFIX, IMAGE_SUFFIX = "_study", "_image"


class Prediction(NamedTuple):
    """One group of a PredictionString. The box is in original pixels, or the unit box."""

    label: str
    score: float
    x_min: float
    y_min: float
    x_max: float
    y_max: float


def parse_boxes(text: object) -> np.ndarray:
    """Read the `boxes` column of train_image_level.csv: a Python literal, not JSON. Returns boxes_xywh, float [N x 4].

    Empty text and NaN mean no box. Raises DataFault for anything else that is not a list of
    {'x', 'y', 'width', 'height'} with finite numbers.
    """
    if text is None or (isinstance(text, float) and math.isnan(text)) or not str(text).strip():
        return np.empty((0, 4))
    try:
        rows = [[float(box[key]) for key in ("x", "y", "width", "height")] for box in ast.literal_eval(str(text))]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise DataFault(
            f"boxes {str(text)[:60]!r} cannot be read; expected a list of {{'x', 'y', 'width', 'height'}} or nothing"
        ) from None
    boxes_xywh = np.array(rows, dtype=float).reshape(-1, 4)
    if not np.isfinite(boxes_xywh).all():
        raise DataFault(f"boxes {str(text)[:60]!r} hold a number that is not finite; correct or remove that box")
    return boxes_xywh


def parse_prediction_string(text: object) -> list[Prediction]:
    """Split a PredictionString into its groups. Raises DataFault for a bad count of tokens or a bad number."""
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return []
    tokens = str(text).split()
    if len(tokens) % 6:
        raise DataFault(f"{len(tokens)} tokens; a PredictionString is groups of six: class confidence x1 y1 x2 y2")
    groups = []
    for start in range(0, len(tokens), 6):
        label, *numbers = tokens[start : start + 6]
        try:
            if "_" in "".join(numbers):  # Python reads 1_000 as a number, other readers do not
                raise ValueError
            groups.append(Prediction(label, *map(float, numbers)))
        except ValueError:
            raise DataFault(
                f"group {' '.join(tokens[start : start + 6])!r} holds something that is no number"
            ) from None
    return groups


def format_prediction_string(predictions: list[Prediction]) -> str:
    """The reverse of `parse_prediction_string`.

    Scores get six decimals, because ties make average precision depend on row order; coordinates get two, the unit box
    stays `0 0 1 1`.
    """
    groups = []
    for label, score, *box in predictions:
        corners = "0 0 1 1" if tuple(box) == UNIT_BOX else " ".join(f"{value:.2f}" for value in box)
        groups.append(f"{label} {score:.6f} {corners}")
    return " ".join(groups)
