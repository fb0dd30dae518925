"""Parts on what the scores may hide: shortcuts that a network could take, and groups of patients it serves worse."""

import pandas as pd

from cxr.evaluation.run_files import RunFiles
from cxr.figures.audit import shortcut_dots, subgroup_dots
from cxr.report.page import Html, Number, absent, bullets, estimate, figure, folded, number, paragraph, table
from cxr.tables import read_csv

SHORTCUTS = ["target", "clue", "images", "positives", "AUC", "low", "high", "found", "meaning"]
AREAS = ["AUC", "AUC_low", "AUC_high", "difference", "difference_low", "difference_high", "differs"]
SUBGROUPS = ["field", "group", "patients", "images", "key", "positives", "AP", "AP_low", "AP_high", *AREAS]


def shortcuts(files: RunFiles) -> list[Html]:
    """How well targets can be told from clues that should not matter, from `tables/shortcuts.csv`."""
    path = files.places.shortcuts_table
    if not path.is_file():
        return absent("Not audited: tables/shortcuts.csv is not there. Stage 12 writes it before this page.")
    rows = read_csv(path, SHORTCUTS)
    rows["found"] = is_yes(rows["found"])
    found, tested = rows[rows["found"]], int(rows["AUC"].notna().sum())
    explained = (
        "A simple model was given the clue alone, never the lungs, and asked for the target in patients that it had "
        "not seen; AUC .5 is guessing. What is found here a network can use too, and then its score says little about "
        "disease."
    )
    blocks = [paragraph(f"{len(found)} of {tested} tests found a shortcut."), bullets(found["meaning"])]
    blocks.append(paragraph(explained))
    if tested:
        blocks.append(
            figure(shortcut_dots(rows), "AUC of each clue with its interval, by target; red where it was found.")
        )
    names = ["target", "clue", "images", "positives", "AUC (95 %)", "found", "meaning"]
    cells = [shortcut_cells(row) for row in rows.to_dict("records")]
    return [*blocks, folded(f"All {len(rows)} rows", table(names, cells))]


def shortcut_cells(row: dict) -> list[object]:
    """One test."""
    return [
        row["target"],
        row["clue"],
        *counts(row, ("images", "positives")),
        estimate(row["AUC"], row["low"], row["high"]),
        "yes" if row["found"] else "no",
        words_of(row["meaning"]),
    ]


def subgroups(files: RunFiles) -> list[Html]:
    """Scores of the fused system by group of patients, from `tables/subgroups.csv`."""
    path = files.places.subgroups_table
    if not path.is_file():
        return absent("No groups compared: tables/subgroups.csv is not there. It needs predictions out of fold.")
    rows = read_csv(path, SUBGROUPS)
    rows["differs"] = is_yes(rows["differs"])
    differing, compared = rows[rows["differs"]], int(rows["difference"].notna().sum())
    explained = (
        "Out of fold. Average precision depends on how frequent a class is, so it cannot be compared between groups; "
        "the area below the ROC curve can, and what a group has less the rest of the patients is told by it. "
        "Differing means more than chance gives in so many comparisons."
    )
    told = (f"{row.field} {row.group}, {row.key}" for row in differing.itertuples())
    blocks = [paragraph(f"{len(differing)} of {compared} comparisons differ."), bullets(told), paragraph(explained)]
    if rows["AUC"].notna().any():
        blocks.append(
            figure(subgroup_dots(rows), "AUC of each group with its interval, AP for opacity; red where it differs.")
        )
    names = ["group", "score", "patients", "images", "positives", "AP (95 %)", "AUC (95 %)", "AUC less the rest"]
    cells = [subgroup_cells(row) for row in rows.to_dict("records")]
    return [*blocks, folded(f"All {len(rows)} rows", table([*names, "differs", "note"], cells))]


def subgroup_cells(row: dict) -> list[object]:
    """One group and score."""
    return [
        f"{row['field']}: {row['group']}",
        row["key"],
        *counts(row, ("patients", "images", "positives")),
        estimate(row["AP"], row["AP_low"], row["AP_high"]),
        estimate(row["AUC"], row["AUC_low"], row["AUC_high"]),
        estimate(row["difference"], row["difference_low"], row["difference_high"], signed=True),
        "yes" if row["differs"] else "no",
        words_of(row.get("note")),
    ]


def is_yes(column: pd.Series) -> pd.Series:
    """Yes and no as a CSV holds them: True, 1; nothing for what was not tested is no."""
    return column.astype(str).str.lower().isin(["true", "1", "1.0"])


def words_of(value: object) -> str:
    """Text of a cell; an empty one is read as NaN."""
    return value if isinstance(value, str) else ""


def counts(row: dict, names: tuple[str, ...]) -> list[Number]:
    """Whole numbers; a dash where there is none."""
    return [number(None) if pd.isna(row[name]) else Number(f"{row[name]:.0f}") for name in names]
