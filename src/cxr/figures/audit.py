"""Figures of the audit: shortcuts and groups of patients, a dot and its 95 % interval each. Names come from files."""

import numpy as np
import pandas as pd

from cxr.figures.pictures import WIDTH, Picture, plain

USUAL, STRIKING = "#7aa7d6", "#c62828"
TITLES = {"studies": "study classes, mean AUC", "none": "none, AUC", "opacity": "opacity, AP"}


def shortcut_dots(table: pd.DataFrame, columns: int = 3) -> Picture | None:
    """A panel a target of `tables/shortcuts.csv`: AUC of each clue, red where it was found; dashed is guessing.

    None where nothing was tested. Clues that could not be tested are left out.
    """
    tested = table[table["AUC"].notna()]
    if tested.empty:
        return None
    targets, clues = list(tested["target"].unique()), list(tested["clue"].unique())
    rows = -(-len(targets) // columns)
    figure = Picture(WIDTH, rows * (0.19 * len(clues) + 0.75))
    low = min(0.4, tested["low"].min())
    for index, target in enumerate(targets):
        axes = figure.add_subplot(rows, columns, index + 1)
        part = tested[tested["target"] == target].set_index("clue").reindex(clues)
        for place, row in enumerate(part.itertuples()):
            _dot(axes, place, row.AUC, row.low, row.high, STRIKING if row.found is True else USUAL)
        axes.axvline(0.5, color="0.4", linewidth=0.8, linestyle="--")
        axes.set_yticks(range(len(clues)), [plain(str(clue)) for clue in clues] if index % columns == 0 else [])
        axes.set(xlim=(low - 0.02, 1.02), ylim=(len(clues) - 0.5, -0.5))
        axes.set_title(plain(str(target)))
        if index + columns >= len(targets):
            axes.set_xlabel("AUC, 95 % interval")
    return figure


def subgroup_dots(table: pd.DataFrame) -> Picture | None:
    """A panel a key of `tables/subgroups.csv`: AUC of each group (AP of opacity), red where it differs from all others.

    The line is everybody. Groups too small for a score are left out; None where no score is known.
    """
    keys = [key for key in TITLES if table.loc[table["key"] == key, _figure_of(key)].notna().any()]
    if not keys:
        return None
    scored = table[table["AUC"].notna() | table["AP"].notna()]
    names = scored[["field", "group"]].drop_duplicates()
    figure = Picture(WIDTH, 0.2 * len(names) + 0.9)
    for index, key in enumerate(keys):
        axes = figure.add_subplot(1, len(keys), index + 1)
        shown = _figure_of(key)
        part = names.merge(scored[scored["key"] == key], on=["field", "group"], how="left")
        values = part[[shown, f"{shown}_low", f"{shown}_high", "differs"]].itertuples(index=False)
        for place, (value, low, high, differs) in enumerate(values):
            _dot(axes, place, value, low, high, STRIKING if differs is True else USUAL)
        axes.axvline(part[shown].iat[0], color="0.4", linewidth=0.8)
        axes.set_yticks(range(len(names)), _labels(names) if index == 0 else [])
        axes.set(ylim=(len(names) - 0.5, -0.5), title=TITLES[key], xlabel="95 % interval")
    return figure


def _figure_of(key: str) -> str:
    return "AP" if key == "opacity" else "AUC"


def _labels(names: pd.DataFrame) -> list[str]:
    pairs = names.itertuples(index=False)
    return [plain(f"{pair.field}: {pair.group}" if pair.field != pair.group else str(pair.group)) for pair in pairs]


def _dot(axes, place: int, value: float, low: float, high: float, color: str) -> None:
    if np.isnan(value):
        return
    axes.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="round")
    axes.plot(value, place, "o", markersize=5, color=color)
