"""The part on each class: AP on all and on boxed images, and what a threshold makes of it."""

from pathlib import Path

import pandas as pd

from cxr.evaluation.class_table import class_table
from cxr.evaluation.run_files import RunFiles
from cxr.evaluation.thresholds import write_thresholds
from cxr.labels import CLASSES
from cxr.report.page import Html, Number, absent, estimate, number, paragraph, table
from cxr.workspace import Workspace

COLUMNS = ["class", "positives", "AP (95 %)", "AP, boxed images only (95 %)"]
AT_THRESHOLD = ["threshold", "of the folds", "precision", "recall", "F1"]


def classes(files: RunFiles) -> list[Html]:
    """One row a class of the fused system, out of fold."""
    found = fused_table(files)
    if found is None:
        return absent("Stage 10 has not run: there is no fused system to look at class by class.")
    words = (
        "AP: mean over folds. Precision, recall and F1: the threshold of each fold is the best of the other folds, so "
        "that it is not judged where it was chosen. The threshold named is the one kept for new data, chosen on all "
        "folds (tables/thresholds.csv); beside it the range of the folds' own."
    )
    rows = [class_row(label, row) for label, row in found.iterrows()]
    return [table([*COLUMNS, *AT_THRESHOLD], rows), paragraph(words)]


def class_row(label: str, row: pd.Series) -> list[object]:
    """Cells of one class; a dash for what it has not."""
    between = f"{number(row['threshold_low'])}-{number(row['threshold_high'])}"
    return [
        label,
        number(None) if pd.isna(row["positives"]) else Number(int(row["positives"])),
        estimate(row["AP"], row["low"], row["high"]),
        estimate(row["AP_boxed"], row["boxed_low"], row["boxed_high"]),
        number(row["threshold"]),
        number(None) if pd.isna(row["threshold_low"]) else Number(between),
        *(number(row[name]) for name in ("precision", "recall", "F1")),
    ]


def fused_table(files: RunFiles) -> pd.DataFrame | None:
    """`class_table` of the system after stage 10, AP over folds; None where a part of it is absent."""
    if files.fused_matches() is None:
        return None
    fused = files.places.fused.name
    return class_table(files.ground, files.boxes[fused], files.none[fused], files.study_scores[fused], by_fold=True)


def keep_thresholds(workspace: Workspace) -> Path | None:
    """Write `tables/thresholds.csv`, the best threshold of each class on all folds; None before stage 10."""
    found = fused_table(RunFiles(workspace))
    return None if found is None else write_thresholds(found.loc[list(CLASSES)], workspace.places.thresholds_table)
