"""Intervals of average precision out of fold: 95 %, by bootstrap over patients, each with all studies and images.

Differences are paired: both systems are scored on the same resamples, so that what is hard for both cancels out. With
`folds` the figure is the mean over folds of each fold's AP, and each fold keeps its number of patients: the fair figure
for predictions whose scores are on another scale in each fold, as when each fold has constants of its own.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.evaluation.bootstrap import RESAMPLES, Units, average_precisions, percentiles, resample
from cxr.evaluation.out_of_fold import Ground
from cxr.evaluation.voc import Matches, mean_average_precision, restrict
from cxr.labels import CLASSES, STUDY_CLASSES

STUDIES, MEAN = "studies", "mAP"  # mean of the study classes, mean of all six
KEYS = (*CLASSES, STUDIES, MEAN)
_STUDY_COLUMNS = [CLASSES.index(name) for name in STUDY_CLASSES]


class Estimate(NamedTuple):
    """A figure and its interval; NaN where no resample, or no fold, holds the class."""

    value: float
    low: float
    high: float


class Drawn(NamedTuple):
    """AP of several systems on all rows and on the same resamples; the last axis is KEYS."""

    plain: np.ndarray  # [systems x 8]
    resampled: np.ndarray  # [systems x resamples x 8]


def paired_difference(
    matches_a: Matches | Sequence[Matches],
    matches_b: Matches | Sequence[Matches],
    patients: np.ndarray,
    resamples: int = RESAMPLES,
    folds: np.ndarray | None = None,
) -> Estimate:
    """AP of a minus AP of b on the same resamples; of lists, up to six classes, the difference of their means.

    patients [R] and folds [R] belong to the rows that the matches count as images.
    """
    systems = [_six(matches) for matches in (matches_a, matches_b)]
    return difference(draw(systems, patients, resamples, folds), 0, 1, MEAN)


def median_difference(
    pairs: Sequence[tuple[Matches, Matches]],
    patients: np.ndarray,
    resamples: int = RESAMPLES,
    folds: np.ndarray | None = None,
) -> Estimate:
    """The median over several trainings (seeds) of a's AP minus b's, every training on the same resamples of patients.

    Its interval is that of the median, not of one training.
    """
    drawn = draw([_six(each) for pair in pairs for each in pair], patients, resamples, folds)
    column = KEYS.index(MEAN)
    plain = drawn.plain[0::2, column] - drawn.plain[1::2, column]
    gains = drawn.resampled[0::2, :, column] - drawn.resampled[1::2, :, column]
    return _with_interval(float(np.median(plain)), np.median(gains, axis=0))


def interval(
    matches: Matches | Sequence[Matches],
    patients: np.ndarray,
    resamples: int = RESAMPLES,
    folds: np.ndarray | None = None,
) -> Estimate:
    """AP of one class, or the mean over several, with its interval."""
    return estimate(draw([_six(matches)], patients, resamples, folds), 0, MEAN)


def interval_table(
    systems: Mapping[str, list[Matches]], ground: Ground, resamples: int = RESAMPLES, by_fold: bool = False
) -> pd.DataFrame:
    """AP, low and high of KEYS (rows) for each system (columns `(system, value)`) of six classes in CLASSES' order."""
    drawn = draw(list(systems.values()), ground.patient, resamples, ground.fold if by_fold else None)
    columns = {
        (name, part): [estimate(drawn, index, key)._asdict()[part] for key in KEYS]
        for index, name in enumerate(systems)
        for part in Estimate._fields
    }
    return pd.DataFrame(columns, index=list(KEYS))


def draw(
    systems: Sequence[list[Matches]], patients: np.ndarray, resamples: int, folds: np.ndarray | None = None
) -> Drawn:
    """Score systems of six classes on everything and on the same resamples of patients.

    Raises ValueError when a patient is in two folds: no fold could keep its number of patients.
    """
    unit, names = pd.factorize(np.asarray(patients))
    number = np.zeros(len(patients), int) if folds is None else pd.factorize(np.asarray(folds), sort=True)[0]
    stratum = np.zeros(len(names), int)
    stratum[unit] = number
    if (stratum[unit] != number).any():
        raise ValueError("a patient is in two folds; draw without folds, or make folds by patient")
    count = int(number.max(initial=0)) + 1
    parts = [part for system in systems for part in (split_folds(system, number) if count > 1 else [system])]
    plain = np.array([average_precisions(part) for part in parts]).reshape(len(systems), count, 1, -1)
    drawn = resample(parts, Units(unit, stratum), resamples).reshape(len(systems), count, resamples, plain.shape[-1])
    return Drawn(over_folds(plain)[:, 0], over_folds(drawn))


def split_folds(system: Sequence[Matches], folds: np.ndarray) -> list[list[Matches]]:
    """The classes' matches of each fold alone, in the order of the sorted folds; rows keep their numbers."""
    return [[restrict(matches, folds == fold) for matches in system] for fold in np.unique(folds)]


def over_folds(values: np.ndarray) -> np.ndarray:
    """[systems x folds x resamples x 6 or more] to [systems x resamples x KEYS]: each class over folds, then means.

    A fold without a class is left out of that class.
    """
    classes = mean_average_precision(np.moveaxis(values[..., : len(CLASSES)], 1, -1))
    studies = mean_average_precision(classes[..., _STUDY_COLUMNS])
    return np.concatenate([classes, studies[..., None], mean_average_precision(classes)[..., None]], axis=-1)


def estimate(drawn: Drawn, system: int, key: str) -> Estimate:
    """One system's figure."""
    column = KEYS.index(key)
    return _with_interval(drawn.plain[system, column], drawn.resampled[system, :, column])


def difference(drawn: Drawn, one: int, other: int, key: str) -> Estimate:
    """One system's figure minus the other's."""
    column = KEYS.index(key)
    values = drawn.resampled[one, :, column] - drawn.resampled[other, :, column]
    return _with_interval(drawn.plain[one, column] - drawn.plain[other, column], values)


def _with_interval(value: float, values: np.ndarray) -> Estimate:
    return Estimate(float(value), *percentiles(values))


def _six(matches: Matches | Sequence[Matches]) -> list[Matches]:
    """Up to six classes, filled up with classes that nobody holds: these have no AP and count in no mean."""
    given = [matches] if isinstance(matches, Matches) else list(matches)
    nothing = Matches(np.empty(0), np.empty(0, int), np.empty(0, int), np.zeros_like(given[0].truths))
    return given + [nothing] * (len(CLASSES) - len(given))
