"""Sources in, one table out: the rules in their order, what each drops, copies once, patients in one part."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cxr.data.collections.adapters import Place, read_places
from cxr.data.collections.copies import look_at_pictures
from cxr.data.collections.label_maps import Patterns, mapped_labels
from cxr.data.collections.repeats import mark_repeats, repeat_notes
from cxr.data.collections.rules import Verdict, adults, frontal, paediatric_names, radiographs
from cxr.data.collections.split import split_notes, split_patients
from cxr.data.nih import some
from cxr.faults import DataFault

DROPPED = ["image_id", "path", "label", "source", "rule", "copy_of"]


@dataclass(frozen=True)
class Wanted:
    """What to keep; every field is a choice of the command line."""

    frontal: bool = False
    known_views: bool = False
    adults: bool = False
    known_ages: bool = False
    label_map: Patterns = ()  # empty: labels stay as the sources write them
    copies: bool = False  # keep them, and look at no picture
    split: tuple[float, float, float] | None = None  # shares of train, validation, test
    seed: int = 0


class Collected(NamedTuple):
    """found: all rows of the sources; dropped: those that a rule dropped, with its name.

    table: what remains, with the columns group (patients that share a picture are one) and, if asked for, split.
    """

    found: pd.DataFrame
    table: pd.DataFrame
    dropped: pd.DataFrame
    lines: list[str]  # one a rule: what it dropped
    notes: list[str]


def collect(places: list[Place], wanted: Wanted, cache_file: Path, workers: int = 1) -> Collected:
    """Read the places and apply the rules. cache_file: where thumbnails of the pictures are kept, 64 px.

    Raises DataFault for sources that cannot be read or are refused, and where nothing remains.
    """
    found, notes = read_places(places)
    found = mark_repeats(found)
    table, dropped, lines = found, [], []
    for rule in _rules(wanted):
        verdict = rule(table)
        table = _apply(verdict, table, dropped, lines)
    if wanted.label_map:
        classes = mapped_labels(table["label"], wanted.label_map)
        table = _apply(_unnamed(table, classes), table, dropped, lines)
        table = table.assign(label=classes[table.index])
    groups, originals = table["patient_id"], {}
    if not wanted.copies and len(table):
        looked = look_at_pictures(table, cache_file, workers)
        groups, originals = looked.groups, looked.originals
        notes += looked.notes
        both = looked.unreadable.drop | looked.copies.drop
        for verdict in (looked.unreadable, looked.copies):
            _apply(verdict, table, dropped, lines)
        table = table[~both]
    if table.empty:
        raise DataFault(f"none of {len(found)} pictures remains: {'; '.join(lines)}; ask for less or add sources")
    table = table.assign(group=groups[table.index])
    if wanted.split:
        table = table.assign(split=split_patients(table, wanted.split, wanted.seed))
        notes += split_notes(table, wanted.split)
    rows = pd.concat(dropped, ignore_index=True)
    rows["copy_of"] = rows["image_id"].map(originals).fillna("")
    return Collected(found, table.reset_index(drop=True), rows[DROPPED], lines, notes + repeat_notes(table))


def _rules(wanted: Wanted) -> list:
    rules = [radiographs, paediatric_names]
    if wanted.frontal:
        rules.append(lambda table: frontal(table, wanted.known_views))
    if wanted.adults:
        rules.append(lambda table: adults(table, wanted.known_ages))
    return rules


def _apply(verdict: Verdict, table: pd.DataFrame, dropped: list[pd.DataFrame], lines: list[str]) -> pd.DataFrame:
    """The rows that a rule leaves; what it drops and says is kept."""
    dropped.append(table[verdict.drop].assign(rule=verdict.rule))
    lines.append(verdict.line)
    return table[~verdict.drop]


def _unnamed(table: pd.DataFrame, classes: pd.Series) -> Verdict:
    drop = classes.isna().to_numpy()
    words = f": {some(table['label'][drop].unique())}" if drop.any() else ""
    return Verdict("not in the label map", drop, f"labels of the map: drops {drop.sum()} of other labels{words}")
