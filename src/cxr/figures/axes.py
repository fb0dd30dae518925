"""What many figures of stage 02 do to their axes, and the colours of the classes."""

import pandas as pd
from matplotlib.axes import Axes

PLAIN, QUIET = "#5b7fa6", "#b9c2cc"  # bars of counts; bars of what is absent or unknown
CLASS_COLORS = {"negative": "#7fb069", "typical": "#c8553d", "indeterminate": "#e6aa4f", "atypical": "#7a6bb0"}
MOST_COLUMNS = 12  # upright bars of a figure


def columns(axes: Axes, numbers: pd.Series) -> None:
    """Upright bars: how often each whole number occurs, those from MOST_COLUMNS on in one bar."""
    counts = numbers.clip(upper=MOST_COLUMNS).value_counts()
    axes.bar(counts.index, counts, 0.8, color=PLAIN)
    for number, count in counts.items():
        axes.text(number, count, count, ha="center", va="bottom", fontsize=8)
    ticks = range(int(counts.index.min()), int(counts.index.max()) + 1)
    last = "+" if (numbers > MOST_COLUMNS).any() else ""
    axes.set_xticks(ticks, [*map(str, ticks[:-1]), f"{ticks[-1]}{last}"])
    axes.margins(y=0.12)


def caption(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9)


def clean(axes: Axes, longest: float) -> None:
    """Numbers stand at the bars: no axis is needed, but room for them."""
    axes.set_xlim(0, max(longest, 1) * 1.15)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def absent(axes: Axes, title: str, reason: str) -> None:
    caption(axes, title)
    axes.text(0.5, 0.5, reason, ha="center", va="center", color="#777")
    axes.set_axis_off()
