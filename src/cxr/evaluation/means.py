"""Means over pictures, and ratios of them, with intervals by patient."""

import math

import numpy as np
import pandas as pd

from cxr.evaluation.bootstrap import SEED, percentiles
from cxr.evaluation.intervals import Estimate


def mean_interval(values: np.ndarray, patients: np.ndarray, resamples: int) -> Estimate:
    """Mean over pictures [N], and 95 % by a bootstrap of patients, each with all their pictures; NaN is left out."""
    return ratio_interval(values, np.ones(len(values)), patients, resamples)


def ratio_interval(values: np.ndarray, others: np.ndarray, patients: np.ndarray, resamples: int) -> Estimate:
    """Mean of `values` [N] over mean of `others` [N], with an interval as above; a picture without both is left out.

    NaN where `others` are all 0.
    """
    known = ~(np.isnan(values) | np.isnan(others))
    if not others[known].sum():
        return Estimate(math.nan, math.nan, math.nan)
    unit, names = pd.factorize(np.asarray(patients)[known])
    tops, bottoms = (np.bincount(unit, part[known]) for part in (values, others))
    drawn = np.random.default_rng(SEED).integers(0, len(names), (resamples, len(names)))
    top, bottom = tops[drawn].sum(1), bottoms[drawn].sum(1)
    ratios = np.divide(top, bottom, out=np.full(resamples, np.nan), where=bottom > 0)
    return Estimate(float(tops.sum() / bottoms.sum()), *percentiles(ratios))
