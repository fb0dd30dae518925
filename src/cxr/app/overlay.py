"""A picture with its boxes, drawn in pixels: what `cxr predict --overlay` writes. The page draws its own."""

from collections.abc import Sequence

import cv2
import numpy as np

from cxr.app.uploads import Upload
from cxr.tables import BOX_COLUMNS

AMBER = (0, 179, 255)  # blue, green, red; as predicted boxes are everywhere here
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(upload: Upload, boxes: Sequence[dict]) -> np.ndarray:
    """uint8 [H x W x 3], blue first: the preview with boxes and their scores. boxes: as `answers.ask` gives them."""
    grey = cv2.imdecode(np.frombuffer(upload.preview, np.uint8), cv2.IMREAD_GRAYSCALE)
    picture, scale = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), grey.shape[1] / upload.width
    thick = max(1, round(max(grey.shape) / 400))
    for box in boxes:
        x_min, y_min, x_max, y_max = (round(box[name] * scale) for name in BOX_COLUMNS)
        cv2.rectangle(picture, (x_min, y_min), (x_max, y_max), AMBER, thick)
        words, size = f"{box['score']:.2f}", max(0.4, thick * 0.28)
        (width, height), base = cv2.getTextSize(words, FONT, size, thick)
        top = max(y_min - height - base, 0)
        cv2.rectangle(picture, (x_min, top), (x_min + width, top + height + base), (0, 0, 0), cv2.FILLED)
        cv2.putText(picture, words, (x_min, top + height), FONT, size, AMBER, max(1, thick // 2), cv2.LINE_AA)
    return picture
