"""What stage 02 shows of headers: values and missing tags by class. A value that goes with one class is a shortcut."""

import pandas as pd
from matplotlib.axes import Axes

from cxr.data.counts import study_class
from cxr.data.headers import header_values
from cxr.figures.axes import CLASS_COLORS, QUIET, caption, clean
from cxr.figures.pictures import Picture


def header_by_class(images: pd.DataFrame, most: int = 7) -> Picture:
    """Images by value of each header field, divided by class: a value that goes with one class is a shortcut.

    `most`: as many values a field; the rest are one bar.
    """
    kinds, groups = study_class(images).fillna("unknown"), {}
    for field, values in header_values(images).items():
        counts = values.value_counts()
        kept = values.where(values.isin(counts.index[:most]), f"(other, {len(counts) - most} values)")
        numbers = pd.crosstab(kept, kinds)
        groups[field] = numbers.loc[numbers.sum(axis=1).sort_values(ascending=False).index]
    figure = Picture(9.5, 0.6 + 0.19 * sum(len(numbers) + 1.4 for numbers in groups.values()))
    axes, place, names = figure.add_subplot(), 0.0, {}
    for field, numbers in groups.items():
        axes.text(0, place, f" {field.replace('_', ' ')}", va="center", color="#555", style="italic")
        for value, row in numbers.iterrows():
            place += 1
            names[place] = value
            _stack(axes, place, row)
        place += 1.4
    axes.set_yticks(list(names), list(names.values()))
    axes.set_ylim(place - 0.8, -0.6)
    clean(axes, len(images))
    for name in [name for name in (*CLASS_COLORS, "unknown") if (kinds == name).any()]:
        axes.bar(0, 0, color=CLASS_COLORS.get(name, QUIET), label=name)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    caption(axes, f"{len(images)} converted images by header value and class")
    return figure


def _stack(axes: Axes, place: float, row: pd.Series) -> None:
    left = 0
    for name in [*CLASS_COLORS, "unknown"]:
        axes.barh(place, row.get(name, 0), 0.8, left=left, color=CLASS_COLORS.get(name, QUIET))
        left += row.get(name, 0)
    axes.text(left, place, f" {left}", va="center", fontsize=8)
