"""Score a submission as the competition does, with bootstrap intervals and a paired comparison.

The solution is a file of the same form with confidence 1. Each row counts as one image of the metric: AP of a class is
taken over all rows at once, `mAP` is the mean of the six. Study classes and `none` are boxes like others, (0, 0, 1, 1).

A resample draws patients with replacement, each with all its studies and images, since rows of one patient are not
independent (Efron and Tibshirani, An Introduction to the Bootstrap, chapters 8 and 13: resample the independent unit;
percentile interval). Without a table that says who owns what, study rows and image rows are drawn each on their own.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.evaluation.voc import Matches, average_precision, match_detections, mean_average_precision
from cxr.faults import DataFault
from cxr.labels import CLASSES, IMAGE_SUFFIX, STUDY_SUFFIX
from cxr.submission_format import ID, Source, group_faults, id_faults, read_groups, read_submission
from cxr.tables import BOX_COLUMNS, read_csv

KEYS = (*CLASSES, "mAP")
RESAMPLES = 1000  # where a comparison is asked for and no number given
INTERVAL = (2.5, 97.5)  # percentiles: 95 %
SEED = 0  # fixed: the same files give the same interval


class Rows(NamedTuple):
    """A file as the metric sees it. `faults` forbid a score, `remarks` do not; one line each."""

    ids: pd.Series
    groups: pd.DataFrame  # `submission_format.read_groups`
    faults: list[str]
    remarks: list[str]


class Units(NamedTuple):
    """What a bootstrap draws: rows [R] belong to units, units [U] to strata; each stratum keeps its number of units."""

    unit: np.ndarray
    stratum: np.ndarray


def read_solution(source: Source) -> Rows:
    """Read a solution. Whatever `validate` rejects in a group is a fault here, and so is an id that stands twice."""
    table = read_submission(source)
    groups, faults = read_groups(table)
    faults += id_faults(table, table) + group_faults(groups, table[ID])["line"].tolist()
    faults += [
        f"{identifier}: the id ends neither in {STUDY_SUFFIX} nor in {IMAGE_SUFFIX}"
        for identifier in table[ID]
        if not identifier.endswith((STUDY_SUFFIX, IMAGE_SUFFIX))
    ]
    if not len(groups) and not faults:
        faults = ["the solution holds nothing to find"]
    return Rows(table[ID], groups, faults, [])


def read_rows(source: Source, solution: Rows) -> Rows:
    """Read a submission for scoring: its ids must be those of the solution, its groups must have a meaning."""
    table = read_submission(source)
    groups, unreadable = read_groups(table)
    found = group_faults(groups, table[ID])
    fatal = found["fatal"].to_numpy(dtype=bool)
    faults = id_faults(table, solution.ids.to_frame(), "solution") + unreadable + found["line"][fatal].tolist()
    return Rows(table[ID], groups, faults, found["line"][~fatal].tolist())


def match_classes(rows: Rows, solution: Rows) -> list[Matches]:
    """Match the six classes in the order of CLASSES, once; images are the rows of the solution."""
    row = pd.Index(solution.ids).get_indexer(rows.ids)[rows.groups["row"]]
    matches = []
    for label in CLASSES:
        found, true = rows.groups["label"] == label, solution.groups["label"] == label
        detections, truth = rows.groups[found], solution.groups[true]
        matches.append(
            match_detections(
                row[found.to_numpy()],
                detections["score"].to_numpy(),
                detections[BOX_COLUMNS].to_numpy(),
                truth["row"].to_numpy(),
                truth[BOX_COLUMNS].to_numpy(),
                len(solution.ids),
            )
        )
    return matches


def average_precisions(matches: list[Matches], weights: np.ndarray | None = None) -> np.ndarray:
    """The six AP and their mean, float [7]; NaN for a class that the solution, or the resample, lacks."""
    values = np.array([average_precision(each, weights) for each in matches])
    return np.append(values, mean_average_precision(values))


def find_units(ids: pd.Series, images: Source | None) -> Units:
    """Who is drawn. `images` has columns image_id, study_id (bare ids) and patient_id; None: every row by itself.

    Raises DataFault when a row has no patient or a study has two.
    """
    if images is None:
        return Units(np.arange(len(ids)), ids.str.endswith(IMAGE_SUFFIX).to_numpy().astype(int))
    columns = ["image_id", "study_id", "patient_id"]
    name = "images table" if isinstance(images, pd.DataFrame) else images
    table = images[columns] if isinstance(images, pd.DataFrame) else read_csv(images, columns)[columns]
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
        raise DataFault(
            f"{name}: no patient_id for {patient.isna().sum()} ids of the solution, the first is "
            f"{ids[patient.isna()].iloc[0]}; give the table of the images that the solution is about"
        )
    unit, patients = pd.factorize(patient)
    return Units(unit, np.zeros(len(patients), dtype=int))


def draw_weights(units: Units, rng: np.random.Generator) -> np.ndarray:
    """How often each row [R] is drawn in one resample."""
    drawn = np.zeros(len(units.stratum), dtype=int)
    for stratum in np.unique(units.stratum):
        members = np.flatnonzero(units.stratum == stratum)
        drawn[members] = np.bincount(rng.integers(len(members), size=len(members)), minlength=len(members))
    return drawn[units.unit]


def resample(systems: list[list[Matches]], units: Units, resamples: int) -> np.ndarray:
    """AP and mAP of each system on the same resamples, float [systems x resamples x 7].

    1000 resamples of 1263 images with 130 000 detections take .3 s a system on one core.
    """
    rng = np.random.default_rng(SEED)
    values = np.empty((len(systems), resamples, len(KEYS)))
    for turn in tqdm(range(resamples), desc="bootstrap", unit="resample", leave=False, disable=None):
        weights = draw_weights(units, rng)
        values[:, turn] = [average_precisions(matches, weights) for matches in systems]
    return values


def _interval(values: np.ndarray) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    return tuple(np.percentile(values, INTERVAL).tolist()) if len(values) else (math.nan, math.nan)


def compare(rows: Rows, solution: Rows, units: Units | None, resamples: int, other: Rows | None) -> dict[str, float]:
    """The result as `score` describes it, from files that were read and found sound."""
    systems = [match_classes(each, solution) for each in (rows, other) if each is not None]
    plain = [average_precisions(matches) for matches in systems]
    drawn = resample(systems, units, resamples) if resamples else None
    result = {}
    for column, key in enumerate(KEYS):
        result[key] = float(plain[0][column])
        if resamples:
            result[f"{key}_low"], result[f"{key}_high"] = _interval(drawn[0, :, column])
    if other is not None:
        result["difference"] = float(plain[0][-1] - plain[1][-1])
        if resamples:
            result["difference_low"], result["difference_high"] = _interval(drawn[0, :, -1] - drawn[1, :, -1])
    return result


def score(
    submission: Source,
    solution: Source,
    images: Source | None = None,
    bootstrap: int | None = None,
    against: Source | None = None,
) -> dict[str, float]:
    """Score a submission (table or file). Returns a flat dict: AP of the six classes and `mAP`, each in 0..1.

    A class that is absent from the solution is NaN and left out of the mean. With `bootstrap` > 0 resamples each key
    also has `<key>_low` and `<key>_high`, its 95 % percentile interval; resamples that lack a class leave it out of
    their mean. With `against`, another submission, comes `difference`, mAP of the submission minus mAP of the other,
    with `_low` and `_high` from the same resamples for both; `bootstrap` is 1000 then unless given, 0 otherwise. Raises
    DataFault for ids or groups that cannot be scored.
    """
    truth = read_solution(solution)
    rows = read_rows(submission, truth)
    other = None if against is None else read_rows(against, truth)
    for source, each in (("solution", truth), ("submission", rows), ("other submission", other)):
        if each is not None and each.faults:
            raise DataFault(f"{source} cannot be scored, {len(each.faults)} fault(s), the first: {each.faults[0]}")
    resamples = _resamples(bootstrap, against)
    return compare(rows, truth, find_units(truth.ids, images) if resamples else None, resamples, other)


def _resamples(bootstrap: int | None, against: Source | None) -> int:
    return bootstrap if bootstrap is not None else RESAMPLES if against is not None else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("submission", type=Path, metavar="SUBMISSION")
    parser.add_argument("solution", type=Path, metavar="SOLUTION", help="the same ids, true classes with confidence 1")
    parser.add_argument(
        "--bootstrap",
        type=_count,
        metavar="N",
        help=f"resamples for 95 %% intervals (default: 0, with --against {RESAMPLES})",
    )
    parser.add_argument(
        "--images", type=Path, metavar="IMAGES_CSV", help="image_id, study_id, patient_id: resample patients, not rows"
    )
    parser.add_argument("--against", type=Path, metavar="OTHER", help="another submission: paired difference of mAP")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of resamples; give 0 or more")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Print the result as flat JSON (null = no value); faults go to stderr, one line each, and return 1."""
    solution = read_solution(args.solution)
    files = {args.solution: solution}
    if not solution.faults:
        files |= {path: read_rows(path, solution) for path in (args.submission, args.against) if path is not None}
    faults = [f"{path}: {line}" for path, rows in files.items() for line in rows.faults]
    if faults:
        print(*faults, sep="\n", file=sys.stderr)
        return 1
    resamples = _resamples(args.bootstrap, args.against)
    units = find_units(solution.ids, args.images) if resamples else None
    result = compare(files[args.submission], solution, units, resamples, files.get(args.against))
    for line in _notes(files, result, args.images, resamples):
        print(f"note: {line}", file=sys.stderr)
    print(json.dumps({key: None if math.isnan(value) else value for key, value in result.items()}, indent=1))
    return 0


def _notes(files: dict[Path, Rows], result: dict[str, float], images: Path | None, resamples: int) -> list[str]:
    """What the reader of the figures should know."""
    lines = [
        f"{path}: {len(rows.remarks)} group(s) break the format, scored as they stand; first: {rows.remarks[0]}"
        for path, rows in files.items()
        if rows.remarks
    ]
    absent = [key for key in CLASSES if math.isnan(result[key])]
    if absent:
        present = len(CLASSES) - len(absent)
        lines.append(f"{', '.join(absent)}: not in the solution; mAP is the mean of the other {present}")
    if resamples and images is None:
        lines.append("study rows and image rows are resampled separately; give --images to resample patients")
    if images is not None and not resamples:
        lines.append("--images has no effect without --bootstrap or --against")
    return lines
