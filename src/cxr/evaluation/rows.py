"""A submission and a solution as the metric sees them: rows, groups, and what forbids a score."""

from typing import NamedTuple

import pandas as pd

from cxr.evaluation.voc import Matches, match_detections
from cxr.labels import CLASSES
from cxr.submission_format import (
    ID,
    Source,
    group_faults,
    id_faults,
    read_groups,
    read_submission,
    show_group,
    suffix_faults,
    unit_faults,
)
from cxr.tables import BOX_COLUMNS


class Rows(NamedTuple):
    """A file as the metric sees it. `faults` forbid a score, `remarks` do not; one line each."""

    ids: pd.Series
    groups: pd.DataFrame  # `submission_format.read_groups`
    faults: list[str]
    remarks: list[str]


def read_solution(source: Source) -> Rows:
    """Read a solution. Whatever `validate` rejects in a group is a fault here, and so is an id that stands twice."""
    table = read_submission(source)
    groups, faults = read_groups(table)
    faults += id_faults(table, table) + group_faults(groups, table[ID])["line"].tolist() + suffix_faults(table[ID])
    unsure = groups[(groups["score"] != 1) & groups["score"].between(0, 1)]
    if len(unsure):
        row, *group = next(unsure.itertuples(index=False))
        faults.append(
            f"{table[ID][row]}: {show_group(*group)}: {len(unsure)} group(s) with a confidence other than 1, this is "
            "the first; a solution says what is true, with confidence 1: are submission and solution swapped?"
        )
    if not len(groups) and not faults:
        faults = ["the solution holds nothing to find; give the file with the true classes and boxes"]
    return Rows(table[ID], groups, faults, [])


def read_rows(source: Source, solution: Rows) -> Rows:
    """Read a submission for scoring: its ids must be those of the solution, its groups must have a meaning."""
    table = read_submission(source)
    groups, unreadable = read_groups(table)
    found = group_faults(groups, table[ID])
    fatal = found["fatal"].to_numpy(dtype=bool)
    faults = id_faults(table, solution.ids.to_frame(), "solution") + unreadable + found["line"][fatal].tolist()
    return Rows(table[ID], groups, faults, unit_faults(groups) + found["line"][~fatal].tolist())


def place_groups(rows: Rows, solution: Rows) -> pd.DataFrame:
    """The groups with `row` counted as in the solution; their order stays."""
    row = pd.Index(solution.ids).get_indexer(rows.ids)[rows.groups["row"]]
    return rows.groups.assign(row=row)


def match_classes(rows: Rows, solution: Rows) -> list[Matches]:
    """Match the six classes in the order of CLASSES, once; images are the rows of the solution."""
    groups, matches = place_groups(rows, solution), []
    for label in CLASSES:
        detections = groups[groups["label"] == label]
        truth = solution.groups[solution.groups["label"] == label]
        matches.append(
            match_detections(
                detections["row"].to_numpy(),
                detections["score"].to_numpy(),
                detections[BOX_COLUMNS].to_numpy(),
                truth["row"].to_numpy(),
                truth[BOX_COLUMNS].to_numpy(),
                len(solution.ids),
            )
        )
    return matches
