"""The time line of a run: its stages along the clock, what happened when, and what the budget had left."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxr.budget import SACRIFICE, SUBMISSION, TRAINING
from cxr.figures.pictures import WIDTH, Picture, plain
from cxr.profiles import Budget

BAR, RESERVED, FORBIDDEN = "#7aa7d6", "#f3d9a4", "#e3a9a0"
MARKS = {  # of each kind of event: its row's name, marker, colour
    SUBMISSION: ("submission in place", "^", "#2e7d32"),
    SACRIFICE: ("left out for time", "v", "#c62828"),
    TRAINING: ("training cut or resumed", "D", "#b36b00"),
}
FARTHEST = 2.5  # times what was used: a budget beyond that is told in words, not drawn


class Span(NamedTuple):
    """A stage on the clock, in seconds, with its peak memory in GB."""

    stage: str
    start: float
    end: float
    memory: float


def timeline(spans: Sequence[Span], events: pd.DataFrame, budget: Budget) -> Picture | None:
    """A bar a stage, below it a row a kind of event (columns seconds, kind), and the end of the budget shaded.

    Where the budget is many times what was used it is told in words, since all bars would be slivers. None without any
    stage and any event.
    """
    if not spans and events.empty:
        return None
    used = max([span.end for span in spans] + [*events["seconds"]])
    allowed = budget.hours * 3600
    far = allowed > FARTHEST * used
    end = used if far else max(used, allowed)
    unit, name = (3600, "hours") if end > 3 * 3600 else (60, "minutes")
    kinds = [kind for kind in MARKS if (events["kind"] == kind).any()]
    figure = Picture(WIDTH, 0.3 * (len(spans) + len(kinds)) + 1.0)
    axes = figure.add_subplot()
    for place, span in enumerate(spans):
        draw_span(axes, place, span, unit, end)
    for place, kind in enumerate(kinds, len(spans)):
        _, marker, color = MARKS[kind]
        seconds = events.loc[events["kind"] == kind, "seconds"].to_numpy(float)
        axes.plot(
            seconds / unit, np.full(len(seconds), place), marker, color=color, markersize=6, alpha=0.8, clip_on=False
        )
    names = [plain(span.stage) for span in spans] + [MARKS[kind][0] for kind in kinds]
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(0, end * 1.02 / unit or 1), ylim=(len(names) - 0.4, -0.6), xlabel=f"{name} on the run's clock")
    if kinds and spans:
        axes.axhline(len(spans) - 0.5, color="0.8", linewidth=0.8)
    draw_budget(axes, budget, used, unit, far)
    return figure


def draw_span(axes: Axes, place: int, span: Span, unit: float, end: float) -> None:
    """One bar with its words beside it: to the right, or to the left where there is more room."""
    axes.barh(place, (span.end - span.start) / unit, left=span.start / unit, color=BAR, height=0.7)
    late = span.start > 0.5 * end
    axes.annotate(
        f"{duration(span.end - span.start)}, {span.memory:.1f} GB",
        ((span.start if late else span.end) / unit, place),
        (-4 if late else 4, 0),
        textcoords="offset points",
        va="center",
        ha="right" if late else "left",
        fontsize=8,
    )


def draw_budget(axes: Axes, budget: Budget, used: float, unit: float, far: bool) -> None:
    """Reserve and margin as shaded ends of the hours allowed; one sentence where those are far away."""
    allowed = budget.hours * 3600
    if far:
        words = f"{(allowed - used) / 3600:.1f} of {budget.hours:g} hours left →"
        axes.set_title(words, loc="right", fontsize=9, color="#555")
        return
    reserve, margin = (allowed * (1 - part) / unit for part in (budget.reserve, budget.margin))
    axes.axvspan(reserve, margin, color=RESERVED, alpha=0.5, linewidth=0, zorder=0)
    axes.axvspan(margin, allowed / unit, color=FORBIDDEN, alpha=0.6, linewidth=0, zorder=0)
    axes.axvline(allowed / unit, color="0.3", linewidth=1)
    words = f"{budget.hours:g} hours allowed; yellow: kept for the submission, red: used by nothing"
    axes.set_title(words, loc="right", fontsize=9, color="#555")


def duration(seconds: float) -> str:
    """`45 s`, `35 min`, `2.1 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
