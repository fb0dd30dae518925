"""Precision, recall and F1 at a threshold that was chosen where the counts were not.

A detection counts if its score is at least the threshold, so all of a tie count or none. Matching knows the detections
in falling order only, so what counts at a threshold is a beginning of the ranking, matched as it was for AP.

A threshold that is best on the rows it is judged on looks better than it is. Here the threshold of a fold is the best
of the *other* folds, and the counts of all folds are added up; the one kept for new data is the best of all folds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.evaluation.voc import Matches, restrict
from cxr.faults import DataFault
from cxr.labels import CLASSES
from cxr.tables import read_csv, write_csv

COLUMNS = ["class", "threshold"]


class Counts(NamedTuple):
    """Correct detections, wrong ones, true boxes without a detection. A ratio without a denominator is NaN."""

    tp: int
    fp: int
    fn: int

    def ratios(self) -> dict[str, float]:
        """precision tp / (tp + fp), recall tp / (tp + fn), F1 2 tp / (2 tp + fp + fn), each in 0..1."""
        found, true = self.tp + self.fp, self.tp + self.fn
        return {
            "precision": self.tp / found if found else np.nan,
            "recall": self.tp / true if true else np.nan,
            "F1": 2 * self.tp / (found + true) if found + true else np.nan,
        }


def count_at(matches: Matches, threshold: float) -> Counts:
    """What counts with scores of at least `threshold`; at NaN (no threshold could be chosen) nothing does."""
    found = 0 if np.isnan(threshold) else int(np.searchsorted(-matches.scores, -threshold, side="right"))
    tp = int(np.searchsorted(matches.hits, found))
    return Counts(tp, found - tp, int(matches.truths.sum()) - tp)


def best_threshold(matches: Matches) -> float:
    """The score at which F1 is highest, of equals the highest score; NaN where nothing true was found."""
    if not len(matches.hits):
        return float("nan")
    # F1 only falls between two hits, so it is highest at a hit: there, with all that are tied with it
    scores = np.unique(matches.scores[matches.hits])[::-1]
    found = np.searchsorted(-matches.scores, -scores, side="right")
    f1 = 2 * np.searchsorted(matches.hits, found) / (found + matches.truths.sum())
    return float(scores[np.argmax(f1)])


def nested_counts(matches: Matches, folds: np.ndarray) -> tuple[Counts, dict[int, float]]:
    """Counts over all folds, each at the best threshold of the others, and these thresholds by fold.

    folds [R] belong to the rows that the matches count as images. Raises ValueError for a single fold, which has no
    others.
    """
    names = np.unique(folds)
    if len(names) < 2:
        raise ValueError("one fold alone has no others to choose a threshold on; predict out of fold with two or more")
    chosen = {int(fold): best_threshold(restrict(matches, folds != fold)) for fold in names}
    counts = [count_at(restrict(matches, folds == fold), threshold) for fold, threshold in chosen.items()]
    return Counts(*map(sum, zip(*counts, strict=True))), chosen


def threshold_table(matches: Sequence[Matches], folds: np.ndarray) -> pd.DataFrame:
    """Six classes in the order of CLASSES (rows): the threshold kept for new data, and what the nested ones reach.

    Columns: threshold, threshold_low and threshold_high (least and greatest of the folds: how firm the choice is), tp,
    fp, fn, precision, recall, F1.
    """
    rows = {}
    for label, each in zip(CLASSES, matches, strict=True):
        counts, chosen = nested_counts(each, folds)
        firm = pd.Series(chosen)
        rows[label] = {
            "threshold": best_threshold(each),
            "threshold_low": firm.min(),
            "threshold_high": firm.max(),
            **counts._asdict(),
            **counts.ratios(),
        }
    return pd.DataFrame(rows).T.astype(dict.fromkeys(Counts._fields, int))


def at_thresholds(matches: Sequence[Matches], thresholds: Mapping[str, float] | pd.Series) -> pd.DataFrame:
    """Another set at kept thresholds: threshold, tp, fp, fn, precision, recall, F1 of the six classes (rows).

    Raises DataFault for a class without a threshold; NaN is one (none could be chosen), at which nothing counts.
    """
    absent = [label for label in CLASSES if label not in thresholds]
    if absent:
        raise DataFault(f"thresholds: none for {', '.join(absent)}; give one a class, as stage 12 writes them")
    rows = {}
    for label, each in zip(CLASSES, matches, strict=True):
        counts = count_at(each, thresholds[label])
        rows[label] = {"threshold": thresholds[label], **counts._asdict(), **counts.ratios()}
    return pd.DataFrame(rows).T.astype(dict.fromkeys(Counts._fields, int))


def write_thresholds(table: pd.DataFrame, path: str | Path) -> Path:
    """Keep column `threshold` of a table by class; a class without one is an empty cell."""
    return write_csv(table["threshold"].rename_axis("class").reset_index()[COLUMNS], path)


def read_thresholds(path: str | Path) -> pd.Series:
    """Thresholds by class. Raises DataFault for a file, class or number that is none."""
    table = read_csv(path, COLUMNS)
    numbers = pd.to_numeric(table["threshold"], errors="coerce")
    for row, (label, cell, value) in enumerate(zip(table["class"], table["threshold"], numbers, strict=True), 1):
        if label not in CLASSES:
            raise DataFault(f"{path}: row {row}: class {label!r}; it must be one of {' '.join(CLASSES)}")
        if np.isinf(value) or (np.isnan(value) and not pd.isna(cell)):
            raise DataFault(f"{path}: row {row}: threshold {cell!r} of {label}; it must be a finite number or empty")
    twice = table["class"][table["class"].duplicated()]
    if len(twice):
        raise DataFault(f"{path}: row {twice.index[0] + 1}: {twice.iloc[0]} stands there twice; keep one row a class")
    absent = [label for label in CLASSES if label not in set(table["class"])]
    if absent:
        raise DataFault(f"{path}: no row for {', '.join(absent)}; give one a class, as stage 12 writes them")
    return pd.Series(numbers.to_numpy(float), index=table["class"].to_numpy())
