"""Score a submission as the competition does, with bootstrap intervals and a paired comparison.

The solution is a file of the same form with confidence 1. Each row counts as one image of the metric: AP of a class is
taken over all rows at once, `mAP` is the mean of the six. Study classes and `none` are boxes like others, (0, 0, 1, 1).
Ties keep the order of the file: row by row, and within a row by position.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import pandas as pd

from cxr.evaluation.bootstrap import KEYS, RESAMPLES, Units, average_precisions, find_units, percentiles, resample
from cxr.evaluation.details import write_details
from cxr.evaluation.rows import Rows, match_classes, place_groups, read_rows, read_solution
from cxr.evaluation.thresholds import at_thresholds, read_thresholds
from cxr.evaluation.voc import Matches
from cxr.faults import DataFault
from cxr.labels import CLASSES
from cxr.submission_format import Source


def compare(systems: list[list[Matches]], units: Units | None, resamples: int) -> dict[str, float]:
    """The result as `score` describes it, of one system, or of one against another."""
    plain = [average_precisions(matches) for matches in systems]
    drawn = resample(systems, units, resamples) if resamples else None
    result = {}
    for column, key in enumerate(KEYS):
        result[key] = float(plain[0][column])
        if resamples:
            result[f"{key}_low"], result[f"{key}_high"] = percentiles(drawn[0, :, column])
    if len(systems) > 1:
        result["difference"] = float(plain[0][-1] - plain[1][-1])
        if resamples:
            result["difference_low"], result["difference_high"] = percentiles(drawn[0, :, -1] - drawn[1, :, -1])
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
    rows = [read_rows(source, truth) for source in (submission, against) if source is not None]
    for source, each in zip(("solution", "submission", "other submission"), (truth, *rows), strict=False):
        if each.faults:
            raise DataFault(f"{source} cannot be scored, {len(each.faults)} fault(s), the first: {each.faults[0]}")
    resamples = _resamples(bootstrap, against)
    units = find_units(truth.ids, images) if resamples else None
    return compare([match_classes(each, truth) for each in rows], units, resamples)


def _resamples(bootstrap: int | None, against: Source | None) -> int:
    return bootstrap if bootstrap is not None else RESAMPLES if against is not None else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("submission", type=Path, metavar="SUBMISSION")
    parser.add_argument("solution", type=Path, metavar="SOLUTION", help="the same ids, true classes with confidence 1")
    parser.add_argument(
        "--bootstrap", type=_count, metavar="N",
        help=f"resamples for 95 %% intervals (default: 0, with --against {RESAMPLES})",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=Path, metavar="IMAGES_CSV", help="image_id, study_id, patient_id: resample patients, not rows"
    )
    parser.add_argument("--against", type=Path, metavar="OTHER", help="another submission: paired difference of mAP")
    parser.add_argument(
        "--details", type=Path, metavar="DIR", help="write classes.csv and curves.csv there (AP on boxed images too)"
    )
    parser.add_argument(
        "--thresholds", type=Path, metavar="CSV", help="class, threshold: adds <class>_precision, _recall and _F1"
    )
    parser.add_argument("--coco", action="store_true", help="adds coco_ keys: other metrics, not the competition's")


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
    thresholds = None if args.thresholds is None else read_thresholds(args.thresholds)
    resamples = _resamples(args.bootstrap, args.against)
    units = find_units(solution.ids, args.images) if resamples else None
    paths = [path for path in (args.submission, args.against) if path is not None]
    systems = [match_classes(files[path], solution) for path in paths]
    result = compare(systems, units, resamples)
    notes = _notes(files, result, args.images, resamples)
    if args.details is not None:
        write_details(args.details, systems[0], result, units, resamples, thresholds)
    if thresholds is not None:
        result |= _ratios(systems[0], thresholds)
    if args.coco:
        result |= _coco(files[args.submission], solution, notes)
    print(*(f"note: {line}" for line in notes), sep="\n", end="\n" if notes else "", file=sys.stderr)
    print(json.dumps({key: None if math.isnan(value) else value for key, value in result.items()}, indent=1))
    return 0


def _ratios(matches: list[Matches], thresholds: pd.Series) -> dict[str, float]:
    """`<class>_precision`, `_recall` and `_F1`."""
    table = at_thresholds(matches, thresholds)[["precision", "recall", "F1"]]
    return {f"{label}_{name}": float(value) for label, row in table.iterrows() for name, value in row.items()}


def _coco(rows: Rows, solution: Rows, notes: list[str]) -> dict[str, float]:
    from cxr.evaluation.coco_family import NOTE, coco_scores  # pycocotools, only where it is asked for

    notes.append(NOTE)
    return coco_scores(place_groups(rows, solution), solution.groups)


def _notes(files: dict[Path, Rows], result: dict[str, float], images: Path | None, resamples: int) -> list[str]:
    """What the reader of the figures should know."""
    lines = [
        f"{path}: {len(rows.remarks)} remark(s) on the format, scored as it stands; the first: {rows.remarks[0]}"
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
