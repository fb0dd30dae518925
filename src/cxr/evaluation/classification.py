"""Measures of classifiers as papers 000 to 003 report them, from true classes and probabilities."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from cxr.evaluation.auc import pair_auc, patient_weights
from cxr.evaluation.bootstrap import percentiles
from cxr.evaluation.intervals import Estimate

MEASURES = ("accuracy", "sensitivity", "specificity", "F1", "precision", "recall", "NPV", "PPV", "AUC")  # paper 003


def confusion(truth: np.ndarray, found: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Numbers of pictures by true class (rows) and found class (columns)."""
    counts = confusion_matrix(truth, found, labels=range(len(classes)))
    return pd.DataFrame(counts, index=list(classes), columns=list(classes))


def measures_by_class(truth: np.ndarray, chances: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """A row a class against all others, MEASURES in columns (paper 003, tables 8 to 11); NaN where one is undefined.

    truth: int [N]; chances: [N x C]; the class of a picture is its most probable one.
    """
    found, rows = chances.argmax(1), {}
    for number, name in enumerate(classes):
        true, said = truth == number, found == number
        hits, misses = int((true & said).sum()), int((true & ~said).sum())
        alarms, rests = int((~true & said).sum()), int((~true & ~said).sum())
        recall, precision = _ratio(hits, hits + misses), _ratio(hits, hits + alarms)
        area = roc_auc_score(true, chances[:, number]) if 0 < true.sum() < len(true) else np.nan
        rows[name] = {
            "accuracy": _ratio(hits + rests, len(truth)),
            "sensitivity": recall,
            "specificity": _ratio(rests, rests + alarms),
            "F1": _ratio(2 * hits, 2 * hits + misses + alarms),
            "precision": precision,
            "recall": recall,
            "NPV": _ratio(rests, rests + misses),
            "PPV": precision,
            "AUC": area,
        }
    return pd.DataFrame(rows).T[list(MEASURES)]


def overall(truth: np.ndarray, chances: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Share of pictures that are right, and the other MEASURES: of two classes those of the second, which is what is
    looked for; of more their means, where an undefined precision or F1 counts as 0 (paper 002, section III-C)."""
    table = measures_by_class(truth, chances, classes)
    chosen = table.iloc[1] if len(classes) == 2 else table.fillna({"precision": 0.0, "PPV": 0.0, "F1": 0.0}).mean()
    right = float((chances.argmax(1) == truth).mean()) if len(truth) else np.nan
    return {**chosen.to_dict(), "accuracy": right}


def by_fold(truth: np.ndarray, chances: np.ndarray, folds: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Accuracy, sensitivity and specificity of each fold, and their means in the last row (paper 000, table 6)."""
    names = ["accuracy", "sensitivity", "specificity"]
    rows = {
        f"fold {fold}": {
            "pictures": int((folds == fold).sum()),
            **{name: overall(truth[folds == fold], chances[folds == fold], classes)[name] for name in names},
        }
        for fold in np.unique(folds)
    }
    table = pd.DataFrame(rows).T
    table.loc["mean"] = [table["pictures"].sum(), *table[names].mean()]
    return table.astype({"pictures": int})


def roc_points(truth: np.ndarray, chances: np.ndarray, classes: Sequence[str]) -> dict[str, tuple]:
    """False and true positive rates of each class against the others, by its name and area (paper 003, figure 10)."""
    found = {}
    for number, name in enumerate(classes):
        true = truth == number
        if 0 < true.sum() < len(true):
            false_rate, true_rate, _ = roc_curve(true, chances[:, number])
            found[f"{name}, AUC {roc_auc_score(true, chances[:, number]):.2f}"] = (false_rate, true_rate)
    return found


def with_intervals(
    truth: np.ndarray, chances: np.ndarray, patients: np.ndarray, folds: np.ndarray, resamples: int
) -> dict[str, Estimate]:
    """accuracy, F1 (macro) and AUC (mean of the classes, pairs within a fold) with 95 % intervals by patient.

    Patients are drawn with replacement, each fold keeping its number of them.
    """
    weights = np.concatenate([np.ones((1, len(truth)), np.float32), patient_weights(patients, folds, resamples)])
    classes, found = chances.shape[1], chances.argmax(1)
    cells = np.zeros((len(truth), classes, classes), np.float32)
    cells[np.arange(len(truth)), truth, found] = 1
    counts = (weights @ cells.reshape(len(truth), -1)).reshape(-1, classes, classes)
    hits, true, said = counts.diagonal(axis1=1, axis2=2), counts.sum(2), counts.sum(1)
    f1 = np.divide(2 * hits, true + said, out=np.full(hits.shape, np.nan), where=true + said > 0)
    areas = np.stack([pair_auc(chances[:, k], truth == k, folds, weights) for k in range(classes)])
    drawn = {
        "accuracy": hits.sum(1) / counts.sum((1, 2)),
        "F1": _mean_of_known(f1.T),
        "AUC": _mean_of_known(areas),
    }
    return {name: Estimate(float(values[0]), *percentiles(values[1:])) for name, values in drawn.items()}


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Means over the first axis, of those that are no NaN; NaN where all are."""
    known = ~np.isnan(values)
    return np.divide(
        np.where(known, values, 0).sum(0), known.sum(0), out=np.full(values.shape[1], np.nan), where=known.any(0)
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
