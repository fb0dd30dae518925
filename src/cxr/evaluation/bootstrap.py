"""The bootstrap of scores: who is drawn, how often, and what the systems reach on the same draws.

A resample draws patients with replacement, each with all its studies and images, since rows of one patient are not
independent (Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13: resample the independent unit;
percentile interval). Without a table that says who owns what, study rows and image rows are drawn each on their own.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.evaluation.voc import Matches, average_precision, mean_average_precision
from cxr.faults import DataFault
from cxr.labels import CLASSES, IMAGE_SUFFIX, STUDY_SUFFIX
from cxr.submission_format import ID, Source
from cxr.tables import read_csv

KEYS = (*CLASSES, "mAP")
RESAMPLES = 1000  # where a comparison is asked for and no number given
INTERVAL = (2.5, 97.5)  # percentiles: 95 %
SEED = 0  # fixed: the same files give the same interval
OWNER_COLUMNS = ["image_id", "study_id", "patient_id"]


class Units(NamedTuple):
    """What a bootstrap draws: rows [R] belong to units, units [U] to strata; each stratum keeps its number of units."""

    unit: np.ndarray
    stratum: np.ndarray


def find_units(ids: pd.Series, images: Source | None) -> Units:
    """Who is drawn. `images` has columns image_id, study_id (bare ids) and patient_id; None: every row by itself.

    Raises DataFault when the table lacks a column, a row has no patient or a study has two.
    """
    if images is None:
        return Units(np.arange(len(ids)), ids.str.endswith(IMAGE_SUFFIX).to_numpy().astype(int))
    name, table = _read_owners(images)
    pairs = pd.concat(
        [
            pd.DataFrame({ID: table[f"{kind}_id"].astype(str) + suffix, "patient": table["patient_id"]})
            for kind, suffix in (("study", STUDY_SUFFIX), ("image", IMAGE_SUFFIX))
        ]
    ).drop_duplicates()
    twice = pairs[ID][pairs[ID].duplicated()]
    if len(twice):
        raise DataFault(f"{name}: {twice.iloc[0]} belongs to two patients; give each study and image one patient_id")
    patient = ids.map(pairs.set_index(ID)["patient"])
    if patient.isna().any():
        suffixed = table["image_id"].astype(str).str.endswith(IMAGE_SUFFIX).any()
        hint = f"its ids carry no {STUDY_SUFFIX} or {IMAGE_SUFFIX}: remove these" if suffixed else (
            "give the table of the images that the solution is about"
        )  # fmt: skip
        raise DataFault(
            f"{name}: no patient_id for {patient.isna().sum()} ids of the solution, the first is "
            f"{ids[patient.isna()].iloc[0]}; {hint}"
        )
    unit, patients = pd.factorize(patient)
    return Units(unit, np.zeros(len(patients), dtype=int))


def _read_owners(images: Source) -> tuple[str, pd.DataFrame]:
    """A name for messages and the three columns, ids as text; an empty patient_id is missing."""
    if not isinstance(images, pd.DataFrame):
        return str(images), read_csv(images, OWNER_COLUMNS)[OWNER_COLUMNS]
    lacking = [column for column in OWNER_COLUMNS if column not in images.columns]
    if lacking:
        raise DataFault(
            f"images table: column {', '.join(map(repr, lacking))} is missing; found {', '.join(map(str, images))}; "
            f"it must hold {', '.join(OWNER_COLUMNS)}"
        )
    return "images table", images[OWNER_COLUMNS]


def draw_weights(units: Units, rng: np.random.Generator) -> np.ndarray:
    """How often each row [R] is drawn in one resample."""
    drawn = np.zeros(len(units.stratum), dtype=int)
    for stratum in np.unique(units.stratum):
        members = np.flatnonzero(units.stratum == stratum)
        drawn[members] = np.bincount(rng.integers(len(members), size=len(members)), minlength=len(members))
    return drawn[units.unit]


def average_precisions(matches: list[Matches], weights: np.ndarray | None = None) -> np.ndarray:
    """The six AP and their mean, float [7]; NaN for a class that the solution, or the resample, lacks."""
    values = np.array([average_precision(each, weights) for each in matches])
    return np.append(values, mean_average_precision(values))


def resample(systems: list[list[Matches]], units: Units, resamples: int) -> np.ndarray:
    """AP and mAP of each system on the same resamples, float [systems x resamples x 7].

    1000 resamples of 1263 images with 130 000 detections take about half a second a system on one core.
    """
    rng = np.random.default_rng(SEED)
    values = np.empty((len(systems), resamples, len(KEYS)))
    for turn in tqdm(range(resamples), desc="bootstrap", unit="resample", leave=False, disable=None):
        weights = draw_weights(units, rng)
        values[:, turn] = [average_precisions(matches, weights) for matches in systems]
    return values


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """Low and high end of the 95 % interval, over the resamples that have a value; NaN where none has."""
    values = values[~np.isnan(values)]
    return tuple(np.percentile(values, INTERVAL).tolist()) if len(values) else (math.nan, math.nan)
