"""Segmenters compared on the same pictures: mean Dice with an interval by patient, and the paired Wilcoxon test."""

import math

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from cxr.evaluation.means import mean_interval

FEWEST_PAIRS = 6  # that differ: with five the smallest two-sided p is 2 / 2^5 = .06


def paired_p(one: np.ndarray, other: np.ndarray, patients: np.ndarray) -> float:
    """Two-sided p of the Wilcoxon signed-rank test (papers 000 to 003 give none of their own; 002 uses it for pairs).

    Pictures of a patient are averaged first, since they are not independent. NaN where fewer than FEWEST_PAIRS differ.
    """
    differences = pd.Series(one - other).groupby(np.asarray(patients)).mean().dropna().to_numpy()
    if np.count_nonzero(differences) < FEWEST_PAIRS:
        return math.nan
    return float(wilcoxon(differences).pvalue)


def holm(p_values: np.ndarray) -> np.ndarray:
    """p values [K] corrected for their number (Holm 1979); NaN stays, and counts for nothing."""
    values, known = np.asarray(p_values, float), np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected = np.full(len(values), np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps)) if len(order) else []
    return corrected


def network_table(pictures: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """A row a network, in the order of the table: pictures, Dice and its interval, Jaccard, difference to the first
    network's Dice, p of it, p after Holm.

    pictures: network, image_id, patient_id, dice, jaccard, each network on the same images.
    """
    groups = {name: group.set_index("image_id") for name, group in pictures.groupby("network", sort=False)}
    first = next(iter(groups.values()))
    rows = []
    for name, group in groups.items():
        estimate = mean_interval(group["dice"].to_numpy(), group["patient_id"].to_numpy(), resamples)
        other = first.loc[group.index, "dice"].to_numpy()
        p = math.nan if group is first else paired_p(group["dice"].to_numpy(), other, group["patient_id"].to_numpy())
        difference = float(np.nanmean(group["dice"].to_numpy() - other))
        rows.append((name, len(group), *estimate, float(group["jaccard"].mean()), difference, p))
    table = pd.DataFrame(rows, columns=["network", "n", "dice", "low", "high", "jaccard", "difference", "p"])
    return table.assign(p_holm=holm(table["p"].to_numpy()))
