"""Pictures for notebooks and reports. Each function returns a matplotlib figure; true boxes are green."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cxr.boxes import scale_xyxy
from cxr.tables import BOX_COLUMNS, read_csv

matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
DPI = 110
TRUE, PREDICTED = "#4caf50", "#ffb300"


class Picture(Figure):
    """A figure that shows itself in any notebook: no pyplot, no global state, no backend to choose."""

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), layout="constrained")

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=DPI)
        return stream.getvalue()


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


def training_curves(tables: Mapping[str, Path]) -> Picture:
    """One panel a quantity of metrics.csv files, one line a run (usually a fold); the learning rate comes last."""
    runs = {name: read_csv(path) for name, path in tables.items()}
    first = next(iter(runs.values()))
    quantities = [name for name in first.columns if name not in ("epoch", "seconds", "lr")] + ["lr"]
    figure = Picture(2.6 * len(quantities), 2.4)
    for index, quantity in enumerate(quantities):
        axes = figure.add_subplot(1, len(quantities), index + 1)
        for name, table in runs.items():
            axes.plot(table["epoch"], table[quantity], label=name, linewidth=1.3)
        axes.set_title(quantity.replace("_", " "))
        axes.set_xlabel("epoch")
    figure.axes[0].legend(frameon=False)
    return figure


def fold_balance(balance: pd.DataFrame, classes: Sequence[str]) -> Picture:
    """Share of each class in each fold, in percent."""
    figure = Picture(5.5, 2.4)
    axes = figure.add_subplot()
    width = 0.8 / len(balance)
    for index, (fold, row) in enumerate(balance.iterrows()):
        axes.bar(np.arange(len(classes)) + index * width, row[list(classes)], width, label=f"fold {fold}")
    axes.set_xticks(np.arange(len(classes)) + 0.4 - width / 2, list(classes))
    axes.set_ylabel("% of the fold's studies")
    axes.legend(frameon=False)
    return figure


def score_bars(scores: Mapping[str, Mapping[str, float]] | None, keys: Sequence[str]) -> Picture | None:
    """Average precision by class of several submissions, with intervals `<key>_low`, `<key>_high`; None without any."""
    if not scores:
        return None
    figure = Picture(7.5, 2.8)
    axes = figure.add_subplot()
    width = 0.8 / len(scores)
    for index, (name, values) in enumerate(scores.items()):
        heights = np.array([values.get(key) or 0.0 for key in keys], float)
        ends = [
            [abs((values.get(f"{key}_{end}") or height) - height) for key, height in zip(keys, heights, strict=True)]
            for end in ("low", "high")
        ]
        places = np.arange(len(keys)) + index * width
        axes.bar(places, heights, width, yerr=ends, capsize=2, error_kw={"linewidth": 0.8}, label=name)
    axes.set_xticks(np.arange(len(keys)) + 0.4 - width / 2, list(keys))
    axes.set_ylabel("average precision")
    axes.set_ylim(0, 1)
    axes.legend(frameon=False)
    return figure


def confusion_matrix(counts: pd.DataFrame) -> Picture:
    """Numbers by true class (rows) and predicted class (columns); the shade is the share of the row."""
    figure = Picture(4.2, 3.4)
    axes = figure.add_subplot()
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(counts.to_numpy()):
        axes.text(
            column, row, int(number), ha="center", va="center", color="white" if shares[row, column] > 0.5 else "black"
        )
    axes.set_xticks(range(len(counts.columns)), counts.columns, rotation=20)
    axes.set_yticks(range(len(counts.index)), counts.index)
    axes.set_xlabel("most probable class")
    axes.set_ylabel("true class")
    return figure
