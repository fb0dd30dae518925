"""Area under the ROC curve from pairs within a fold, with weights, so that a bootstrap repeats the sums only.

It does not depend on how common a class is, which average precision does: two groups of images can be compared by it.
"""

import numpy as np

from cxr.evaluation.bootstrap import SEED, Units, draw_weights, percentiles

NORMAL = 1.96  # standard errors to either end of a 95 % interval


def pair_auc(
    scores: np.ndarray, positive: np.ndarray, folds: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray | float:
    """Share of pairs (a positive, a negative of the same fold) in which the positive has the higher score, ties half.

    scores float [N], positive bool [N], folds int [N]: scores of different folds have different scales and are never
    compared. weights [R x N], how often each row counts: float [R] comes back, else a number. NaN without any pair.
    Hanley and McNeil, Radiology 143:29 (1982), with one stratum a fold.
    """
    counted = np.ones((1, len(scores))) if weights is None else weights
    won, pairs = np.zeros(len(counted)), np.zeros(len(counted))
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        rows = rows[np.argsort(scores[rows], kind="stable")]
        first = np.flatnonzero(np.diff(scores[rows], prepend=-np.inf))  # of each value
        here = counted[:, rows].astype(float)
        ours = np.add.reduceat(here * positive[rows], first, axis=1)
        others = np.add.reduceat(here * ~positive[rows], first, axis=1)
        won += (ours * (np.cumsum(others, axis=1) - others / 2)).sum(1)
        pairs += ours.sum(1) * others.sum(1)
    area = np.divide(won, pairs, out=np.full(len(counted), np.nan), where=pairs > 0)
    return float(area[0]) if weights is None else area


def patient_weights(patients: np.ndarray, folds: np.ndarray, resamples: int) -> np.ndarray:
    """How often each row [N] is drawn when patients are drawn with replacement, each fold keeping its number of them.

    float32 [resamples x N]. Raises ValueError when a patient is in two folds.
    """
    _, first, unit = np.unique(patients, return_index=True, return_inverse=True)
    _, stratum = np.unique(folds, return_inverse=True)
    if (stratum[first][unit] != stratum).any():
        raise ValueError("a patient is in two folds; make folds by patient")
    rng, units = np.random.default_rng(SEED), Units(unit, stratum[first])
    return np.array([draw_weights(units, rng) for _ in range(resamples)], np.float32).reshape(resamples, len(unit))


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """95 % percentile interval and standard deviation of resampled figures; NaN (no such class drawn) is left out."""
    values = values[~np.isnan(values)]
    return (*percentiles(values), float(values.std())) if len(values) else (np.nan, np.nan, np.nan)


def expected_error(area: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC of this size from so many independent positives and negatives.

    Hanley and McNeil, Radiology 143:29 (1982), equation 1. A bootstrap of a few cases that happen to be in perfect
    order finds no error at all; this is how much there must be at least. Perfect counts as half a pair wrong.
    """
    margin = 0.5 / (positives * negatives + 1)
    area = float(np.clip(area, margin, 1 - margin))
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    apart = (positives - 1) * (one - area**2) + (negatives - 1) * (two - area**2)
    return float(np.sqrt((area * (1 - area) + apart) / (positives * negatives)))


def widen(low: float, high: float, area: float, error: float) -> tuple[float, float]:
    """An interval at least as wide as this standard error makes it, within 0..1."""
    return max(0.0, min(low, area - NORMAL * error)), min(1.0, max(high, area + NORMAL * error))
