"""Means over pictures with intervals by patient."""

import math

import numpy as np
import pandas as pd

from cxr.evaluation.bootstrap import SEED, percentiles
from cxr.evaluation.intervals import Estimate


def mean_interval(values: np.ndarray, patients: np.ndarray, resamples: int) -> Estimate:
    """Mean over pictures [N], and 95 % by a bootstrap of patients, each with all their pictures; NaN is left out."""
    known = ~np.isnan(values)
    unit, _ = pd.factorize(np.asarray(patients)[known])
    sums, counts = np.bincount(unit, values[known]), np.bincount(unit)
    if not len(counts):
        return Estimate(math.nan, math.nan, math.nan)
    drawn = np.random.default_rng(SEED).integers(0, len(counts), (resamples, len(counts)))
    return Estimate(float(values[known].mean()), *percentiles(sums[drawn].sum(1) / counts[drawn].sum(1)))
