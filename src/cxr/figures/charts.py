"""Curves, bars and matrices of trainings and scores. Each function returns a figure that shows itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cxr.figures.pictures import WIDTH, Picture, plain
from cxr.tables import read_csv


def training_curves(tables: Mapping[str, Path], at_most: int = 4) -> Picture:
    """A panel a loss of metrics.csv files, a color a run: training drawn through, validation dashed; last the rate."""
    runs = {name: read_csv(path, ["epoch"]) for name, path in tables.items()}
    named = pd.unique(np.array([_quantity(c) for t in runs.values() for c in t.select_dtypes("number").columns]))
    quantities = [*(name for name in named if name not in ("epoch", "seconds", "lr")), "lr"]
    rows = -(-len(quantities) // at_most)
    columns = -(-len(quantities) // rows)
    figure = Picture(min(WIDTH, 2.9 * columns), 2.0 * rows + 0.2)
    for index, quantity in enumerate(quantities):
        axes = figure.add_subplot(rows, columns, index + 1)
        for number, (name, table) in enumerate(runs.items()):
            for column, style in ((f"train_{quantity}", "-"), (quantity, "-"), (f"val_{quantity}", "--")):
                if column in table:
                    known = table[["epoch", column]].dropna()
                    label = plain(name) if style == "-" else "_"
                    mark = "o" if len(known) == 1 else None  # a line of one point would not show
                    look = {"color": f"C{number}", "linewidth": 1.2, "marker": mark, "label": label}
                    axes.plot(known["epoch"], known[column], style, **look)
        axes.set_title("learning rate" if quantity == "lr" else plain(quantity.replace("_", " ")))
        axes.set_xlabel("epoch")
        axes.ticklabel_format(axis="y", scilimits=(-2, 4))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if len(runs) > 1:
        figure.axes[0].legend(frameon=False, fontsize=7)
    return figure


def _quantity(column: str) -> str:
    return column.removeprefix("train_").removeprefix("val_")


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
    draw_confusion(figure.add_subplot(), counts)
    return figure


def draw_confusion(axes: Axes, counts: pd.DataFrame) -> None:
    """`confusion_matrix` on axes of a figure that has more."""
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
