"""Radiographs in rows, with boxes on them. Each function returns a figure that shows itself; true boxes are green."""

from collections.abc import Sequence
from io import BytesIO

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cxr.boxes import scale_xyxy
from cxr.tables import BOX_COLUMNS

matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
DPI = 110
WIDTH = 8.9  # inches; at 110 dots an inch the full width of a notebook or of the report
TRUE, PREDICTED = "#4caf50", "#ffb300"


class Picture(Figure):
    """A figure that shows itself in any notebook: no pyplot, no global state, no backend to choose."""

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), layout="constrained")

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=DPI)
        return stream.getvalue()


def plain(text: str, length: int = 40) -> str:
    """Text that matplotlib draws as it stands: no formulas, no leading underscore (it hides legend entries)."""
    text = text if len(text) <= length else text[: length - 1] + "…"
    return text.replace("\\", "/").replace("$", r"\$").lstrip("_")


def contact_sheet(pixels: Sequence[np.ndarray], titles: Sequence[str], columns: int = 6, edge: float = 2.0) -> Picture:
    """Gray pictures uint8 [H x W] side by side; widths follow the cache, which is square."""
    rows = -(-len(pixels) // columns)
    figure = Picture(columns * edge, rows * (edge + 0.25))
    for index, (picture, title) in enumerate(zip(pixels, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    return figure


def draw_boxes(axes, boxes_xyxy: np.ndarray, color: str, scores: Sequence[float] | None = None) -> None:
    """Outlines on an axes, with scores where given."""
    for index, (x_min, y_min, x_max, y_max) in enumerate(boxes_xyxy):
        axes.add_patch(
            Rectangle((x_min, y_min), x_max - x_min, y_max - y_min, fill=False, edgecolor=color, linewidth=1.4)
        )
        if scores is not None:
            axes.text(x_min + 2, y_min + 2, f"{scores[index]:.2f}", color=color, fontsize=7, va="top")


def predictions_beside_truth(
    images: pd.DataFrame,
    pixels: np.ndarray,
    truth: pd.DataFrame,
    boxes: pd.DataFrame,
    titles: Sequence[str],
    columns: int = 4,
    at_most: int = 3,
) -> Picture:
    """Cache pictures [N x S x S] with true boxes (green) and each image's best predicted ones (amber, score)."""
    figure = contact_sheet(list(pixels), titles, columns, edge=3.0)
    for axes, row in zip(figure.axes, images.itertuples(), strict=True):
        size = (pixels.shape[1], pixels.shape[2])
        true = truth.loc[truth["image_id"] == row.image_id, BOX_COLUMNS].to_numpy(float)
        draw_boxes(axes, scale_xyxy(true, (row.height, row.width), size), TRUE)
        best = boxes[boxes["image_id"] == row.image_id].nlargest(at_most, "score")
        corners = scale_xyxy(best[BOX_COLUMNS].to_numpy(float), (row.height, row.width), size)
        draw_boxes(axes, corners, PREDICTED, best["score"].to_list())
    return figure
