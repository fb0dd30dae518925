"""Figures of the papers' systems. Each function returns a figure that shows itself."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cxr.figures.charts import draw_confusion
from cxr.figures.pictures import PREDICTED, WIDTH, Picture, plain

WORDS = {"F1": "macro F1", "AUC": "mean AUC"}


def system_bars(table: pd.DataFrame, figures: Sequence[str]) -> Picture:
    """A panel a figure with its interval, a row a system; heat beside what even heat would have, as a mark."""
    figures = [name for name in figures if name in table]
    figure = Picture(WIDTH, 0.8 + 0.34 * len(table))
    for number, name in enumerate(figures):
        axes = figure.add_subplot(1, len(figures), number + 1)
        places = np.arange(len(table))[::-1]
        ends = [table[name] - table[f"{name}_low"], table[f"{name}_high"] - table[name]]
        axes.errorbar(table[name], places, xerr=np.abs(ends), fmt="o", markersize=4, linewidth=1.2, capsize=2)
        if name == "heat in lungs":
            axes.plot(table["even"], places, "|", color="#888", markersize=10)
        axes.set_title(WORDS.get(name, name), fontsize=9)
        axes.set_ylim(-0.6, len(table) - 0.4)
        axes.set_yticks(places, [plain(title) for title in table["title"]] if number == 0 else [])
        axes.grid(axis="x", alpha=0.3)
    return figure


def confusion_pair(pairs: Mapping[str, pd.DataFrame]) -> Picture:
    """Confusion matrices side by side."""
    figure = Picture(min(WIDTH, 3.6 * len(pairs)), 3.0)
    for number, (title, counts) in enumerate(pairs.items()):
        axes = figure.add_subplot(1, len(pairs), number + 1)
        draw_confusion(axes, counts)
        axes.set_title(plain(title), fontsize=9)
    return figure


def picture_rows(rows: Mapping[str, Sequence[np.ndarray]], titles: Sequence[str] = (), edge: float = 1.45) -> Picture:
    """Gray pictures uint8 in rows with a name each: `titles` over the first row."""
    figure = Picture(*_grid(len(rows), max(len(pictures) for pictures in rows.values()), edge))
    _draw_rows(figure, rows, titles)
    return figure


def heat_rows(
    pictures: Sequence[np.ndarray],
    rows: Mapping[str, np.ndarray],
    titles: Sequence[str] = (),
    masks: Sequence[np.ndarray | None] = (),
) -> Picture:
    """Pictures uint8 [S x S], below them each row's heat [N x S x S] in 0..1 over them; outlines of lungs in yellow."""
    across = len(pictures)
    figure = Picture(*_grid(1 + len(rows), across, 1.6))
    _draw_rows(figure, dict.fromkeys(("picture", *rows), pictures), titles)
    for number, axes in enumerate(figure.axes):
        row, place = divmod(number, across)
        if row:
            axes.imshow(list(rows.values())[row - 1][place], cmap="jet", vmin=0, vmax=1, alpha=0.45)
        if place < len(masks) and masks[place] is not None and masks[place].any():
            axes.contour(masks[place], levels=[0.5], colors=PREDICTED, linewidths=0.8)
    return figure


def _grid(rows: int, across: int, edge: float) -> tuple[float, float]:
    """Width and height of a figure of so many squares with an edge of at most `edge` inches."""
    edge = min(edge, (WIDTH - 0.6) / across)
    return edge * across + 0.6, (edge + 0.05) * rows + 0.3


def _draw_rows(figure: Picture, rows: Mapping[str, Sequence[np.ndarray]], titles: Sequence[str]) -> None:
    across = max(len(pictures) for pictures in rows.values())
    for number, (name, pictures) in enumerate(rows.items()):
        for place, picture in enumerate(pictures):
            axes = figure.add_subplot(len(rows), across, number * across + place + 1)
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            if place == 0:
                axes.set_ylabel(plain(name), fontsize=8)
            if number == 0 and place < len(titles):
                axes.set_title(plain(titles[place]), fontsize=8)


def marker_panels(markers: Mapping[str, np.ndarray], labels: Sequence[str], classes: Sequence[str]) -> Picture:
    """Each marker by class: its pictures as dots, mean and deviation beside them (paper 002, figures 4 and 5)."""
    figure = Picture(min(WIDTH, 2.9 * len(markers)), 2.6)
    labels, spread = np.asarray(labels), np.random.default_rng(0)
    for number, (name, values) in enumerate(markers.items()):
        axes = figure.add_subplot(1, len(markers), number + 1)
        for place, kind in enumerate(classes):
            own = values[(labels == kind) & ~np.isnan(values)]
            axes.plot(
                place + spread.uniform(-0.22, 0.1, len(own)), own, ".", markersize=3, alpha=0.5, color=f"C{place}"
            )
            if len(own):
                axes.errorbar(place + 0.28, own.mean(), own.std(), fmt="D", markersize=4, capsize=3, color="black")
        axes.set_xticks(range(len(classes)), classes, rotation=25, fontsize=8)
        axes.set_title(plain(name), fontsize=9)
    return figure


def histograms(rows: Mapping[str, Mapping[str, np.ndarray]]) -> Picture:
    """A panel a row: densities of gray values of each part, as curves (paper 002, figure 11)."""
    figure = Picture(min(WIDTH, 3.0 * len(rows)), 2.4)
    for number, (title, parts) in enumerate(rows.items()):
        axes = figure.add_subplot(1, len(rows), number + 1)
        for name, values in parts.items():
            counts, edges = np.histogram(values, bins=64, range=(0, 256), density=True)
            axes.plot((edges[:-1] + edges[1:]) / 2, counts, label=plain(name))
        axes.set_title(plain(title), fontsize=9)
        axes.set_xlabel("gray value")
        axes.set_yticks([])
        axes.legend(frameon=False, fontsize=7)
    return figure


def rate_curve(rates: np.ndarray, losses: np.ndarray, chosen: float) -> Picture:
    """Loss over the learning rate of a range test, and the rate that was chosen."""
    figure = Picture(4.2, 2.5)
    axes = figure.add_subplot()
    axes.plot(rates, losses)
    axes.axvline(chosen, color=PREDICTED, linewidth=1.2)
    axes.set_xscale("log")
    axes.set(xlabel="learning rate", ylabel="loss, smoothed", title=f"steepest fall at {chosen:.1g}")
    return figure
