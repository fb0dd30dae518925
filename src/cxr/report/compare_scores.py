"""Scores of two runs side by side, with the paired difference where one can be told, and the reason where not."""

import math
from pathlib import Path

import numpy as np

from cxr.evaluation.bootstrap import find_units
from cxr.evaluation.intervals import MEAN, Drawn, Estimate, difference, draw, estimate
from cxr.evaluation.out_of_fold import Ground, match_all
from cxr.evaluation.rows import match_classes, read_rows, read_solution
from cxr.evaluation.run_files import RunFiles, read_json
from cxr.faults import DataFault
from cxr.labels import CLASSES
from cxr.report.manifest import file_digest
from cxr.report.results import read_scores
from cxr.tables import BOX_COLUMNS, IMAGES, read_table

KEYS = (*CLASSES, MEAN)


def kept_digest(files: RunFiles) -> dict | None:
    """Digest of the submission when the report was made; None before that."""
    return (read_json(files.places.manifest) or {}).get("digests", {}).get(files.places.submission.name)


def out_of_fold(a: RunFiles, b: RunFiles, resamples: int) -> dict:
    """Scores after stage 10 on the training images; a difference only where both have the same images and labels."""
    systems = [files.fused_matches() for files in (a, b)]
    for name, matches in zip("AB", systems, strict=True):
        if matches is None:
            return {"note": f"run {name} lacks out-of-fold predictions: stage 10 has not run", "rows": []}
    if not same_truth(a.ground, b.ground):
        drawn = [
            draw([matches], files.ground.patient, resamples, files.ground.fold)
            for files, matches in zip((a, b), systems, strict=True)
        ]
        words = "other training images or labels: no difference can be told; mean over folds of each"
        return {"note": words, "rows": rows_of(drawn[0], drawn[1])}
    same_folds = _folds(a) == _folds(b)
    fused = b.places.fused.name  # B on the rows of A, which may stand in another order
    systems[1] = match_all(a.ground, b.boxes[fused], b.none[fused], b.study_scores[fused])
    drawn = draw(systems, a.ground.patient, resamples, a.ground.fold if same_folds else None)
    words = "mean over folds, which are the same" if same_folds else "other folds: AP over all images at once"
    return {"note": f"{words}; paired, by patient", "rows": rows_of(drawn)}


def _folds(files: RunFiles) -> dict[str, int]:
    return dict(zip(files.images["image_id"], files.images["fold"], strict=True))


def same_truth(one: Ground, other: Ground) -> bool:
    """Whether two sets of training images are the same images with the same labels and boxes, in whatever order."""
    if not one.studies.equals(other.studies) or not one.images.sort_values().equals(other.images.sort_values()):
        return False
    boxes = [
        each.boxes.sort_values(["image_id", *BOX_COLUMNS])[["image_id", *BOX_COLUMNS]].reset_index(drop=True)
        for each in (one, other)
    ]
    empty = [dict(zip(each.images, each.empty, strict=True)) for each in (one, other)]
    return np.array_equal(one.classes, other.classes) and empty[0] == empty[1] and boxes[0].equals(boxes[1])


def submission_scores(a: RunFiles, b: RunFiles, solution: Path | None, resamples: int) -> dict:
    """Scores of both submissions on one truth; those of score.json, without a difference, where that cannot be."""
    given = solution or Path(a.inputs.get("solution") or "")
    reason = unpaired_reason(a, b, given)
    if reason:
        kept = [read_scores(files) for files in (a, b)]
        rows = [_row(key, *(_kept(scores, key) for scores in kept)) for key in KEYS] if any(kept) else []
        return {"note": f"{reason}; as each run was scored, no difference can be told", "rows": rows}
    truth = read_solution(given)
    submissions = [read_rows(files.places.submission, truth) for files in (a, b)]
    for source, rows in ((given, truth), *zip([a.places.submission, b.places.submission], submissions, strict=True)):
        if rows.faults:
            raise DataFault(f"{source} cannot be scored, {len(rows.faults)} fault(s), the first: {rows.faults[0]}")
    units = find_units(truth.ids, a.places.test_images_table)
    drawn = draw([match_classes(rows, truth) for rows in submissions], units.unit, resamples)
    return {"note": f"on {given}; paired, by patient", "rows": rows_of(drawn)}


def unpaired_reason(a: RunFiles, b: RunFiles, solution: Path) -> str:
    """Why the two submissions cannot be scored side by side; "" where they can."""
    if not solution.is_file():
        return "the truth of the test set is not known (--solution CSV)"
    for name, files in (("A", a), ("B", b)):
        if not files.places.test_images_table.is_file() or not files.places.submission.is_file():
            return f"run {name} has no submission at {files.places.submission}"
        if kept_digest(files) not in (None, file_digest(files.places.submission)):
            return f"the submission of run {name} was written over since ({files.places.submission})"
    if a.places.submission == b.places.submission and a.places.root != b.places.root:
        return f"both runs wrote to {a.places.submission}, and only the later one stands there"
    ids = [set(read_table(files.places.test_images_table, IMAGES)["image_id"]) for files in (a, b)]
    return "" if ids[0] == ids[1] else "other test images"


def _kept(scores: dict | None, key: str) -> Estimate:
    run = (scores or {}).get("run", {})
    return Estimate(*(run.get(name) for name in (key, f"{key}_low", f"{key}_high")))


def rows_of(drawn: Drawn, other: Drawn | None = None) -> list[dict]:
    """A row a key; two systems of one drawing with their difference, or one system each of two drawings without."""
    rows = []
    for key in KEYS:
        ends = [estimate(drawn, 0, key), estimate(other, 0, key) if other else estimate(drawn, 1, key)]
        rows.append(_row(key, *ends, None if other else difference(drawn, 1, 0, key)))
    return rows


def _row(key: str, a: Estimate, b: Estimate, change: Estimate | None = None) -> dict:
    nothing = Estimate(None, None, None)
    values = {"a": a.value, "a_low": a.low, "a_high": a.high, "b": b.value, "b_low": b.low, "b_high": b.high}
    change = change or nothing
    values |= {"difference": change.value, "low": change.low, "high": change.high}
    known = {name: None if value is None or math.isnan(value) else round(value, 6) for name, value in values.items()}
    return {"key": key, **known}
