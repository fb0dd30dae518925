"""Stage 10: fusion and blending constants, tuned on out-of-fold predictions, each step's gain measured honestly.

What a step is worth is measured nested: predictions of fold k are made with constants that were tuned on the other
folds alone, and compared with those of the step before. The constants that are kept are tuned on all folds. Where folds
do not show a choice to be better than the published constants, those stay (`search`). AP is the mean over folds of each
fold's AP, since folds with constants of their own have scores on a scale of their own.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from cxr.data.prepare import load_training
from cxr.evaluation.intervals import Drawn, Estimate, difference, draw, estimate
from cxr.evaluation.out_of_fold import match_opacity
from cxr.evaluation.search import OutOfFold, Step, System, search, search_steps, without_steps
from cxr.faults import DataFault
from cxr.labels import CLASSES, STUDY_CLASSES
from cxr.prediction.constants import Constants, starting_constants
from cxr.prediction.members import Member, read_members, refuse_sources
from cxr.profiles import Fusion
from cxr.tables import BOXES, IMAGE_SCORES, STUDY_SCORES, Contract, read_table, write_csv, write_table
from cxr.workspace import Workspace, write_json

TOO_GOOD = 0.15  # AP by which a member may stand above all our own before we ask how its rows were made
FEEDING = ("pretrain_", "lungs")  # beginnings of run folders that the joined models start from


def tune_blend(workspace: Workspace, detectors: Sequence[str], classifiers: Sequence[str]) -> dict:
    """Tune on `predictions/<name>/` of these models and on the members; writes `blend.json` and `predictions/fused/`.

    Returns what `blend.json` holds (docs/members.md says what that is). Raises DataFault for predictions that are
    missing or do not fit the images, for broken members and for forbidden training sources.
    """
    settings = workspace.profile.fusion
    sources = training_sources(workspace, [*detectors, *classifiers])
    data, members = load_predictions(workspace, detectors, classifiers)
    own = starting_constants(settings, detectors, classifiers)
    start = starting_constants(settings, list(data.detections), list(data.scores))
    steps = search_steps(start)
    paths = [search(data, steps, start, folds, settings.tune) for folds in _parts(data.folds)]
    result = {"constants": asdict(paths[0][-1])}
    if members:
        alone = search(data, search_steps(own), own, data.folds, settings.tune)
        result["constants_without_members"] = asdict(alone[-1])
    systems = [data.nested([path[turn] for path in paths[1:]]) for turn in range(len(steps) + 1)]
    measured = measure(data, steps, systems, data.predict(start), settings.resamples)
    for line, step, after in zip(measured["steps"], steps, range(1, len(steps) + 1), strict=True):
        line["chosen"] = _fields(paths[0][after], step)
        line["chosen_by_fold"] = [_fields(path[after], step) for path in paths[1:]]
    result["members"] = [_member_line(member, paths[0][-1]) for member in members]
    result |= {"training_sources": sources, **measured, "tuned": settings.tune}
    result["notes"] = [*_data_notes(data, members, sources, settings.tune), *_gain_notes(result)]
    write_fused(workspace.places.fused, systems[-1])
    write_json(result, workspace.places.blend)
    for line in result["notes"]:
        print(f"note: {line}")
    return result


def load_predictions(
    workspace: Workspace, detectors: Sequence[str], classifiers: Sequence[str]
) -> tuple[OutOfFold, list[Member]]:
    """Everybody's out-of-fold predictions, our own and the members'."""
    images, truth, _ = load_training(workspace)
    places = workspace.places
    detections = {name: _read_own(places.predictions(name) / "out_of_fold.csv", BOXES, images) for name in detectors}
    scores = {
        name: _read_own(places.predictions(name) / "out_of_fold_images.csv", IMAGE_SCORES, images)
        for name in classifiers
    }
    members = read_members(places.members, images, taken=[*detectors, *classifiers])
    detections |= {member.name: member.on(images) for member in members if member.is_detector}
    scores |= {member.name: member.on(images) for member in members if not member.is_detector}
    return OutOfFold(images, truth, detections, scores), members


def _read_own(path: Path, contract: Contract, images: pd.DataFrame) -> pd.DataFrame:
    """Our own out-of-fold table: about these images and no others; class scores about all of them."""
    if not path.is_file():
        raise DataFault(f"{path}: not there yet; run the notebook that trains {path.parent.name} first, or `make all`")
    table = read_table(path, contract)
    unknown = ~table["image_id"].isin(images["image_id"])
    lacking = contract is IMAGE_SCORES and len(table) < len(images)
    if unknown.any() or lacking:
        raise DataFault(
            f"{path}: {unknown.sum()} rows about images that are not in training, {len(table)} rows for {len(images)} "
            f"images; run the notebook that trains {path.parent.name} again"
        )
    return table


def training_sources(workspace: Workspace, names: Sequence[str] | None = None) -> dict[str, list[str]]:
    """`training_sources` of every run folder below `models/`, by model; empty where a run recorded none.

    With `names` only those models and what feeds them (pretraining, lungs) count: other systems may train on what
    they like, as long as they stay out of the blend. Raises DataFault when one names BIMCV, RICORD or COVIDx.
    """
    root, found = workspace.places.root / "models", {}
    for path in sorted([*root.glob("*/run.json"), *root.glob("*/fold_*/run.json")]):
        name = path.relative_to(root).parts[0]
        if names is not None and name not in names and not name.startswith(FEEDING):
            continue
        sources = json.loads(path.read_text()).get("training_sources") or []
        refuse_sources(path, sources, f"train {name} from other weights or data")
        found[name] = sorted({*found.get(name, []), *sources})
    return found


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
    drawn = draw(matched, data.ground.patient, resamples, data.ground.fold)
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


def _member_line(member: Member, constants: Constants) -> dict:
    weights = constants.box_weights if member.is_detector else constants.class_weights
    sources = "not declared" if member.sources is None else list(member.sources)
    return {"name": member.name, "kind": member.kind, "training_sources": sources, "weight": weights[member.name]}


def _data_notes(data: OutOfFold, members: Sequence[Member], sources: dict[str, list[str]], tuned: bool) -> list[str]:
    """What the reader of the figures should know about what went in."""
    notes = [] if tuned else ["fusion.tune is off: the published constants are taken over, all models alike"]
    notes += [f"{name}: found no box on any training image" for name, each in data.detections.items() if each.empty]
    for kind, given in (("detector", data.detections), ("classifier", data.scores)):
        if len(given) == 1:
            notes.append(f"{next(iter(given))} is the only {kind}: nothing to weigh against it")
    notes += _absent_classes(data)
    notes += [f"{name}: its runs recorded no training sources" for name, given in sources.items() if not given]
    return notes + [line for member in members for line in member.notes] + _too_good(data, members)


def _absent_classes(data: OutOfFold) -> list[str]:
    ground, notes = data.ground, []
    image_fold = ground.fold[len(ground.studies) :]
    boxed = ground.image_rows.index.isin(ground.boxes["image_id"])
    present = [ground.classes == index for index in range(len(STUDY_CLASSES))] + [ground.empty, boxed]
    for name, has in zip(CLASSES, present, strict=True):
        folds = ground.fold[: len(ground.studies)] if name in STUDY_CLASSES else image_fold
        without = [str(fold) for fold in data.folds if not has[folds == fold].any()]
        if len(without) == len(data.folds):
            notes.append(f"{name}: nobody in the training images has it; it counts in no mean")
        elif without:
            notes.append(f"{name}: fold {', '.join(without)} has none; AP of {name} is the mean of the other folds")
    return notes


def _too_good(data: OutOfFold, members: Sequence[Member]) -> list[str]:
    """A member far above all our own models may have been trained on the images that it is tuned on."""
    names, notes = {member.name for member in members}, []
    first = without_steps(starting_constants(Fusion(), list(data.detections), list(data.scores)))
    kinds = ((data.detections, "box_weights", "opacity"), (data.scores, "class_weights", "studies"))
    for given, weights, metric in kinds if members else ():
        alone = {name: data.value(replace(first, **{weights: {name: 1.0}}), metric, data.folds) for name in given}
        own = max(value for name, value in alone.items() if name not in names)
        notes += [
            f"member {name}: its {metric} AP of {alone[name]:.3f} is far above our best, {own:.3f}; make sure that "
            "each row was predicted by a model that never saw this patient"
            for name in alone
            if name in names and alone[name] > own + TOO_GOOD
        ]
    return notes


def _gain_notes(result: dict) -> list[str]:
    if not result["tuned"]:
        return []
    return [
        f"step {line['step']}: chosen on the other folds it loses {-line['gain']:.3f} {line['metric']} AP; what it "
        "chose here may not hold either"
        for line in result["steps"]
        if (line["gain"] or 0) < 0
    ]


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
    columns = ["what", "metric", "before", "after", "gain", "low", "high", "chosen"]
    return pd.DataFrame(steps + whole).reindex(columns=columns).set_index("what").fillna("")
