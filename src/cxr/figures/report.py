"""Figures that only the report shows: precision and recall, gains with intervals, single radiographs.

Names in them come from files; `plain` keeps them from being read as formulas.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cxr.figures.pictures import DPI, PREDICTED, TRUE, WIDTH, Picture, draw_boxes, plain

LUNGS = "#4fc3f7"
GUESSING = {"color": "0.5", "linewidth": 0.8, "linestyle": ":"}
LEGEND = {"fontsize": 7, "edgecolor": "none", "framealpha": 0.7}


class Panel(NamedTuple):
    """One class: named lines (x [H], y [H]: recall and precision, or the two rates of ROC), and what guessing gets."""

    title: str
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]]
    chance: float | None = None


class View(NamedTuple):
    """One radiograph: cache pixels uint8 [S x S], original size (height, width), boxes in original pixels."""

    pixels: np.ndarray
    size: tuple[float, float]
    true_xyxy: np.ndarray
    found_xyxy: np.ndarray
    scores: Sequence[float]
    lungs: np.ndarray | None = None  # bool [S x S]


def look_of(index: int, count: int) -> dict[str, object]:
    """Lines that cover each other stay visible: the last of several is thin and black, the others broad and colored."""
    last = index == count - 1 and count > 1
    return {"linewidth": 1.0, "color": "black"} if last else {"linewidth": 2.0, "color": f"C{index}"}


def _unit_panels(titles: Sequence[str], across: str, up: str, columns: int) -> Picture:
    """A figure with a panel a title, both axes from 0 to 1."""
    rows = -(-len(titles) // columns)
    figure = Picture(WIDTH, 2.75 * rows)
    for index, title in enumerate(titles):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=across, ylabel=up)
        axes.set_title(plain(title))
    return figure


def precision_recall(panels: Sequence[Panel], columns: int = 3) -> Picture | None:
    """Precision envelopes, a panel a class; the area below a line is its average precision, dotted is guessing.

    None without any panel.
    """
    if not panels:
        return None
    figure = _unit_panels([panel.title for panel in panels], "recall", "precision", columns)
    for axes, panel in zip(figure.axes, panels, strict=True):
        for place, (name, (recall, precision)) in enumerate(panel.lines.items()):
            look = look_of(place, len(panel.lines))
            first = precision[0] if len(precision) else 0.0  # a model without a single hit has a curve on the floor
            axes.step(np.append(0, recall), np.append(first, precision), label=plain(name), **look)
        if panel.chance is not None:
            axes.axhline(panel.chance, **GUESSING)
        axes.legend(loc="best", **LEGEND)
    return figure


def roc_curves(panels: Sequence[Panel], columns: int = 3) -> Picture | None:
    """Sensitivity over false alarms, a panel a class: lines (false positive rate, true positive rate); dotted is
    guessing. None without any panel.
    """
    if not panels:
        return None
    figure = _unit_panels([panel.title for panel in panels], "false alarms", "sensitivity", columns)
    for axes, panel in zip(figure.axes, panels, strict=True):
        for place, (name, (alarms, sensitivity)) in enumerate(panel.lines.items()):
            axes.plot(alarms, sensitivity, label=plain(name), **look_of(place, len(panel.lines)))
        axes.plot([0, 1], [0, 1], **GUESSING)
        axes.legend(loc="lower right", **LEGEND)
    return figure


def reliability_diagrams(panels: Mapping[str, Mapping[str, pd.DataFrame]], columns: int = 3) -> Picture | None:
    """Share of right scores over mean score: panels by class, lines by model.

    Tables have columns mean_score, share, share_low, share_high (`evaluation.calibration.reliability`). None without
    any panel.
    """
    if not panels:
        return None
    figure = _unit_panels(list(panels), "mean score", "share right", columns)
    for axes, lines in zip(figure.axes, panels.values(), strict=True):
        axes.plot([0, 1], [0, 1], **GUESSING)
        for place, (name, table) in enumerate(lines.items()):
            ends = [table["share"] - table["share_low"], table["share_high"] - table["share"]]
            look = {**look_of(place, len(lines)), "elinewidth": 0.7, "marker": "o", "markersize": 3}
            axes.errorbar(table["mean_score"], table["share"], np.clip(ends, 0, None), label=plain(name), **look)
        axes.legend(loc="best", **LEGEND)
    return figure


def gains(rows: pd.DataFrame) -> Picture:
    """A point and its interval a row: columns name, gain, low, high. Pale where the interval contains 0."""
    figure = Picture(WIDTH, 0.3 * len(rows) + 0.8)
    axes = figure.add_subplot()
    for place, row in enumerate(rows.itertuples()):
        alpha = 0.45 if row.low <= 0 <= row.high else 1.0
        ends, color = [row.low, row.high], "#0b5cad"
        axes.plot(ends, [place, place], color=color, linewidth=2, alpha=alpha, solid_capstyle="round")
        axes.plot(row.gain, place, "o", markersize=5, color=color, alpha=alpha)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [plain(name, 60) for name in rows["name"]])
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="gain in average precision, 95 % interval")
    return figure


def radiograph(view: View, edge: float = 2.6) -> Picture:
    """One radiograph in its true proportions: lungs blue, true boxes green, predicted boxes amber with scores."""
    height, width = view.size
    figure = Picture(edge, edge * min(max(height / width, 0.5), 2.0))
    figure.set_layout_engine("none")
    draw_view(figure.add_axes((0, 0, 1, 1)), view)
    return figure


def draw_view(axes, view: View) -> None:
    """What `radiograph` shows, on an axes that is stretched to the picture's proportions."""
    height, width = view.size
    axes.imshow(view.pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), aspect="auto")
    if view.lungs is not None and view.lungs.any() and not view.lungs.all():
        axes.contour(view.lungs, levels=[0.5], colors=LUNGS, linewidths=0.9, extent=(0, width, 0, height))
    draw_boxes(axes, view.true_xyxy, TRUE)
    draw_boxes(axes, view.found_xyxy, PREDICTED)
    for (x_min, y_min, *_), score in zip(view.found_xyxy, view.scores, strict=True):
        behind = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 0.8}
        axes.text(x_min, y_min, f"{score:.2f}", color=PREDICTED, fontsize=8, va="top", bbox=behind)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")


def drawn(figure: Picture) -> np.ndarray:
    """The figure's pixels, uint8 [H x W x 3], at the size of its PNG; drawn once, where saving a file draws twice."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
