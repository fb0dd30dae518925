"""The part on time and memory: stages along the clock, what happened when, what the clock cut."""

import re
from datetime import timedelta

import pandas as pd

from cxr.budget import TIMELINE
from cxr.evaluation.run_files import RunFiles, read_json, title_of
from cxr.figures.timeline import Span, timeline
from cxr.report.page import Html, Number, absent, bullets, figure, folded, heading, paragraph, table
from cxr.report.trainings import cut_folds
from cxr.tables import read_csv

MOST = 12  # events that stand open on the page
PATH = re.compile(r"/(?:[^/\s:]+/)+")


def times(files: RunFiles) -> list[Html]:
    """Seconds and peak memory of each stage along the clock, events in words, and the budget."""
    if not files.stages:
        return absent("No stage has left its record in runs/.")
    events = read_events(files)
    picture = timeline(spans(files), events, files.profile.budget)
    alt = f"Stages one after the other; {len(events)} events, which stand in words below."
    caption = "Pauses between stages are left out, and so is this stage: its record is written at its end."
    return [
        figure(picture, alt, caption),
        heading("events"),
        *event_blocks(files, events),
        heading("stages"),
        stage_table(files),
        budget(files),
    ]


def spans(files: RunFiles) -> list[Span]:
    """Each stage where the one before ended, as long as the clock counted: each time, if it ran several times."""
    counted, start, found = read_json(files.places.budget) or {}, 0.0, []
    for record in files.stages:
        seconds = float(counted.get(record["stage"], record["seconds"]))
        found.append(Span(str(record["stage"]), start, start + seconds, float(record["peak_memory_gb"])))
        start += seconds
    return found


def read_events(files: RunFiles) -> pd.DataFrame:
    """seconds (float), kind, text of `timeline.csv`; empty where there is none. A line that a kill cut off is left out.

    The page may leave this machine: files are called by their last name.
    """
    if not files.places.timeline.is_file():
        return pd.DataFrame({"seconds": pd.Series(dtype=float), "kind": [], "text": []})
    rows = read_csv(files.places.timeline, list(TIMELINE))
    rows["seconds"] = pd.to_numeric(rows["seconds"], errors="coerce")
    rows = rows.dropna(subset=list(TIMELINE)).reset_index(drop=True)
    folders = [f"{folder}/" for folder in (files.places.root, files.places.working, files.places.submissions)]
    for folder in sorted(folders, key=len, reverse=True):
        rows["text"] = rows["text"].astype(str).str.replace(folder, "", regex=False)
    return rows.assign(text=[PATH.sub("", text) for text in rows["text"].astype(str)], kind=rows["kind"].astype(str))


def event_blocks(files: RunFiles, events: pd.DataFrame) -> list[Html]:
    """The events as a table, folded where they are many."""
    if events.empty:
        kept = files.places.timeline.is_file()
        return [paragraph("None." if kept else "This run kept no time line (timeline.csv is not there).")]
    rows = [[str(timedelta(seconds=int(row.seconds))), row.kind, row.text] for row in events.itertuples()]
    block = table(["clock", "what", "in words"], rows)
    counts = ", ".join(f"{count} {kind}" for kind, count in events["kind"].value_counts(sort=False).items())
    return [block] if len(rows) <= MOST else [folded(f"All {len(rows)} events: {counts}", block)]


def stage_table(files: RunFiles) -> Html:
    """Seconds, share and peak memory of each stage's last run, and of all."""
    seconds = sum(record["seconds"] for record in files.stages)
    everything = {
        "stage": "all",
        "seconds": seconds,
        "peak_memory_gb": max(record["peak_memory_gb"] for record in files.stages),
    }
    rows = [
        [
            record["stage"],
            Number(f"{record['seconds']:.1f}"),
            Number(f"{100 * record['seconds'] / max(seconds, 1e-9):.0f}"),
            Number(f"{record['peak_memory_gb']:.2f}"),
        ]
        for record in [*files.stages, everything]
    ]
    return table(["stage", "seconds", "% of all", "peak GB"], rows)


def budget(files: RunFiles) -> Html:
    """Hours allowed, hours used, and what was cut."""
    spent = sum((read_json(files.places.budget) or {}).values())
    hours = files.profile.budget.hours
    cut = [
        f"Cut short by the clock: {title_of(model)}, {', '.join(folds)}."
        for model, runs in files.trainings.items()
        if (folds := cut_folds(runs))
    ]
    used = f"Budget {hours:g} hours, used {spent / 3600:.2f}; a stage that ran again counts each time."
    return bullets([used, *(cut or ["The clock cut no training short."])])
