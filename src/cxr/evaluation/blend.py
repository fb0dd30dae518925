"""Stage 10: fusion and blending constants, tuned on out-of-fold predictions, each step's gain measured honestly.

What a step is worth is measured nested: predictions of fold k are made with constants that were tuned on the other
folds alone, and compared with those of the step before. The constants that are kept are tuned on all folds. Where folds
do not show a choice to be better than the published constants, those stay (`search`). AP is the mean over folds of each
fold's AP, since folds with constants of their own have scores on a scale of their own.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cxr.evaluation.blend_calibration import calibration_lines
from cxr.evaluation.blend_inputs import load_predictions, training_sources
from cxr.evaluation.blend_notes import data_notes, gain_notes
from cxr.evaluation.ensemble import OutOfFold, System, draw_distinct
from cxr.evaluation.intervals import Drawn, Estimate, difference, estimate
from cxr.evaluation.out_of_fold import match_opacity
from cxr.evaluation.search import search, too_few
from cxr.evaluation.steps import Step, search_steps
from cxr.prediction.constants import Constants, published_by, starting_constants
from cxr.prediction.members import Member
from cxr.profiles import Fusion
from cxr.tables import BOXES, NONE, STUDY_SCORES, write_csv, write_table
from cxr.workspace import Workspace, write_json


def tune_blend(workspace: Workspace, detectors: Sequence[str], classifiers: Sequence[str]) -> dict:
    """Tune on `predictions/<name>/` of these models and on the members; writes `blend.json` and `predictions/fused/`.

    Returns what `blend.json` holds (docs/members.md says what that is). Raises DataFault for predictions that are
    missing or do not fit the images, for broken members and for forbidden training sources.
    """
    settings = workspace.profile.fusion
    sources = training_sources(workspace, [*detectors, *classifiers])
    data, members = load_predictions(workspace, detectors, classifiers)
    says_none = any(NONE in data.scores[name] for name in classifiers)
    own = starting_constants(settings, detectors, classifiers, says_none)
    start = starting_constants(settings, list(data.detections), list(data.scores), says_none)
    steps = search_steps(start)
    tuned = tunable(data, steps, settings)
    parts = _parts(data.folds)
    paths = [search(data, steps, start, *both) for both in zip(parts, tuned.names, strict=True)]
    result = {"constants": asdict(paths[0][-1])}
    if members:
        alone = search(data, search_steps(own), own, data.folds, tuned.names[0])
        result["constants_without_members"] = asdict(alone[-1])
    systems = [data.nested([path[turn] for path in paths[1:]]) for turn in range(len(steps) + 1)]
    measured = measure(data, steps, systems, data.predict(start), settings.resamples)
    for turn, (line, step) in enumerate(zip(measured["steps"], steps, strict=True)):
        line |= _choice(step, start, paths[0][turn : turn + 2], tuned.reasons.get(step.name, ""))
        line["chosen_by_fold"] = [_fields(path[turn + 1], step) for path in paths[1:]]
    result["calibration"] = calibration_lines(data, paths[0][-1])
    result["members"] = [_member_line(member, paths[0][-1]) for member in members]
    result |= {"training_sources": sources, **measured, "tuned": settings.tune}
    result["notes"] = [*data_notes(data, members, sources, settings.tune), *gain_notes(result)]
    write_fused(workspace.places.fused, systems[-1])
    write_json(result, workspace.places.blend)
    for line in result["notes"]:
        print(f"note: {line}")
    return result


class Tunable(NamedTuple):
    """Which steps may be tuned: names for each of `_parts`, and for the rest why not, by name."""

    names: list[set[str]]
    reasons: dict[str, str]


def tunable(data: OutOfFold, steps: Sequence[Step], settings: Fusion) -> Tunable:
    """Where a part holds too few patients of a class, its step keeps the published constants.

    The constants that are kept fall back with any part: what they gain was not measured otherwise. A part never asks
    how many there are in the fold that it leaves out.
    """
    parts = _parts(data.folds)
    if not settings.tune:
        return Tunable([set() for _ in parts], {})
    found = {step.name: [too_few(data, step, part, settings.least_patients) for part in parts] for step in steps}
    names = [{name for name, reasons in found.items() if not reasons[part]} for part in range(len(parts))]
    reasons = {name: next(filter(None, reasons), "") for name, reasons in found.items()}
    return Tunable([names[0] - {name for name, reason in reasons.items() if reason}, *names[1:]], reasons)


def _parts(folds: Sequence[int]) -> list[list[int]]:
    """Folds to tune on: all of them, then all but each."""
    return [list(folds), *([other for other in folds if other != fold] for fold in folds)]


def measure(
    data: OutOfFold, steps: Sequence[Step], systems: Sequence[System], published: System, resamples: int
) -> dict[str, list]:
    """Gains of steps and comparisons, all on the same resamples of patients.

    systems: nested predictions before the first step and after each; published: those of the starting constants.
    """
    matched = [data.match(system) for system in [*systems, published]]
    last, start = len(systems) - 1, len(systems)
    for table in data.detections.values():
        matched.append([*matched[last][:-1], match_opacity(data.ground, table)])
    drawn = draw_distinct(matched, data.ground.patient, resamples, data.ground.fold)
    lines = [
        {"step": step.name, "metric": step.metric, **_compare(drawn, turn + 1, turn, step.metric, "before", "after")}
        for turn, step in enumerate(steps)
    ]
    against = [(name, index, "opacity") for index, name in enumerate(data.detections, start + 1)]
    against += [("published constants", start, "mAP"), ("no step", 0, "mAP")]
    comparisons = [
        {
            "fused": "all steps",
            "against": name,
            "metric": metric,
            **_compare(drawn, last, index, metric, "other", "own"),
        }
        for name, index, metric in against
    ]
    scores = {"fused": estimate(drawn, last, "opacity")}
    scores |= {name: estimate(drawn, index, "opacity") for index, name in enumerate(data.detections, start + 1)}
    return {"steps": lines, "comparisons": comparisons, "opacity": [_score(*item) for item in scores.items()]}


def _compare(drawn: Drawn, one: int, other: int, metric: str, first: str, second: str) -> dict[str, float | None]:
    gain = difference(drawn, one, other, metric)
    ends = {first: estimate(drawn, other, metric).value, second: estimate(drawn, one, metric).value}
    return _figures({**ends, "gain": gain.value, "low": gain.low, "high": gain.high})


def _score(name: str, found: Estimate) -> dict:
    return {"boxes": name, **_figures({"AP": found.value, "low": found.low, "high": found.high})}


def _figures(values: dict[str, float]) -> dict[str, float | None]:
    """Four decimals; None where a class has no AP."""
    return {key: None if math.isnan(value) else round(value, 4) for key, value in values.items()}


def _fields(constants: Constants, step: Step) -> dict:
    return {name: getattr(constants, name) for name in step.fields}


def _choice(step: Step, start: Constants, ends: Sequence[Constants], fallback: str) -> dict:
    """What a step chose on all folds, where that comes from, and who published it."""
    before, after = (_fields(constants, step) for constants in ends)
    published = _fields(step.start(ends[0]), step)
    origin = "published" if after == published else "switched off" if after == before else "tuned"
    return {
        "chosen": after,
        "origin": origin,
        "published": published,
        "published_by": published_by(after),
        "fallback": fallback,
    }


def _member_line(member: Member, constants: Constants) -> dict:
    weights = constants.box_weights if member.is_detector else constants.class_weights
    sources = "not declared" if member.sources is None else list(member.sources)
    return {"name": member.name, "kind": member.kind, "training_sources": sources, "weight": weights[member.name]}


def write_fused(folder: Path, system: System) -> None:
    """Nested predictions of all steps: `out_of_fold.csv` (BOXES), `none.csv` and `studies.csv` (STUDY_SCORES)."""
    write_table(system.boxes, folder / "out_of_fold.csv", BOXES)
    write_csv(system.none.rename_axis("image_id").reset_index(), folder / "none.csv")
    write_table(system.studies, folder / "studies.csv", STUDY_SCORES)


def gain_table(result: dict) -> pd.DataFrame:
    """Steps and comparisons of `tune_blend`'s result as one table for people."""
    steps = [{"what": line["step"], **line} for line in result["steps"]]
    whole = [
        {"what": f"all steps against {line['against']}", "before": line["other"], "after": line["own"], **line}
        for line in result["comparisons"]
    ]
    columns = ["what", "metric", "before", "after", "gain", "low", "high", "origin", "chosen"]
    return pd.DataFrame(steps + whole).reindex(columns=columns).set_index("what").fillna("")


def calibration_table(result: dict) -> pd.DataFrame:
    """Each model's map and calibration error of `tune_blend`'s result as a table for people."""
    lines = [{**line, "map": _map_words(line["map"])} for line in result["calibration"]]
    columns = ["model", "of", "cases", "ece_before", "ece_after", "used", "map"]
    return pd.DataFrame(lines, columns=columns).set_index(["model", "of"])


def _map_words(mapping: dict) -> str:
    parts = [f"{name} {value:.2f}" for name, value in mapping.items() if isinstance(value, float)]
    return " ".join([mapping.get("kind", "none: hits or misses alone"), *parts])
