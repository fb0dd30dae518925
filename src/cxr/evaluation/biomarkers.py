"""Markers of radiographs and whether classes differ in them (paper 002, sections III-B and IV-C).

| marker | what |
|---|---|
| intensity | mean of the lungs' pixels, in 0..1 of the normalised picture |
| deviation | their standard deviation |
| cardiothoracic | widest heart by widest thorax between the outer ends of both lungs (Danzer 1919) |
| inter-patch, intra-patch | mean and deviation of each patch that the classifier got right |

Kolmogorov-Smirnov tells whether a marker is normally distributed, Wilcoxon's rank-sum whether two classes differ, his
signed-rank test whether pairs do. Stars: p below .05, .01, .001.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cxr.images.lungs import HEART, LEFT_LUNG, RIGHT_LUNG

LEVELS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
FEWEST = 3  # values of a class, below which nothing is tested


def lung_intensity(picture: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the lungs, in 0..1; NaN without lungs. uint8 [H x W] and bool [H x W]."""
    values = picture[mask] / 255.0
    return (float(values.mean()), float(values.std())) if values.size else (np.nan, np.nan)


def cardiothoracic_ratio(structures: np.ndarray) -> float:
    """From a map of structures, uint8 [H x W]; NaN without heart or without one of the lungs."""
    heart, columns = structures == HEART, np.arange(structures.shape[1])
    right, left = structures == RIGHT_LUNG, structures == LEFT_LUNG
    both = right.any(1) & left.any(1)
    if not heart.any() or not both.any():
        return float("nan")
    thorax = (
        np.where(right | left, columns, -1).max(1) - np.where(right | left, columns, structures.shape[1]).min(1) + 1
    )
    across = np.flatnonzero(heart.any(0))
    return float((across[-1] - across[0] + 1) / thorax[both].max())


def stars(p: float) -> str:
    """Significance in the paper's signs; `-` for none, empty where nothing was tested."""
    if np.isnan(p):
        return ""
    return next((sign for level, sign in LEVELS if p < level), "-")


def is_normal(values: np.ndarray) -> float:
    """p of Kolmogorov-Smirnov against the normal distribution of the same mean and deviation; NaN for too few."""
    if len(values) < FEWEST or not values.std():
        return float("nan")
    return float(stats.kstest((values - values.mean()) / values.std(), "norm").pvalue)


def differ(values: np.ndarray, others: np.ndarray, paired: bool = False) -> float:
    """p of the rank-sum test, or for pairs of the signed-rank test; NaN for too few values."""
    if min(len(values), len(others)) < FEWEST:
        return float("nan")
    if paired:
        return float(stats.wilcoxon(values, others).pvalue) if (values != others).any() else 1.0
    return float(stats.ranksums(values, others).pvalue)


def marker_table(values: np.ndarray, labels: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """A row a class: number, mean, deviation, p of normality, and stars against each class before it (tables VI to IX).

    values: float [N], NaN is left out; labels: [N].
    """
    values, labels = np.asarray(values, float), np.asarray(labels)
    parts = {name: values[(labels == name) & ~np.isnan(values)] for name in classes}
    rows = {}
    for number, (name, own) in enumerate(parts.items()):
        row = {
            "pictures": len(own),
            "mean": own.mean() if len(own) else np.nan,
            "STD": own.std() if len(own) else np.nan,
        }
        row["normal, p"] = is_normal(own)
        row |= {f"vs {other}": stars(differ(own, parts[other])) for other in list(classes)[:number]}
        rows[name] = row
    return pd.DataFrame(rows).T.fillna({f"vs {name}": "" for name in classes})
