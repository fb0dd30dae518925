"""What `blend.json` says in words, beside its figures: what to know before believing them."""

from collections.abc import Sequence
from dataclasses import replace

from cxr.evaluation.ensemble import OutOfFold
from cxr.evaluation.steps import without_steps
from cxr.labels import CLASSES, STUDY_CLASSES
from cxr.prediction.constants import starting_constants
from cxr.prediction.members import Member
from cxr.profiles import Fusion

TOO_GOOD = 0.15  # AP by which a member may stand above all our own before we ask how its rows were made


def data_notes(data: OutOfFold, members: Sequence[Member], sources: dict[str, list[str]], tuned: bool) -> list[str]:
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
        alone = {
            name: data.value(replace(first, **{weights: {name: 1.0}}), metric, data.rows(data.folds)) for name in given
        }
        own = max(value for name, value in alone.items() if name not in names)
        notes += [
            f"member {name}: its {metric} AP of {alone[name]:.3f} is far above our best, {own:.3f}; make sure that "
            "each row was predicted by a model that never saw this patient"
            for name in alone
            if name in names and alone[name] > own + TOO_GOOD
        ]
    return notes


def gain_notes(result: dict) -> list[str]:
    """What the reader should know about the steps: where too little was there to tune on, and what lost."""
    if not result["tuned"]:
        return []
    notes = [
        f"step {line['step']}: {line['fallback']}; the published constants stay"
        for line in result["steps"]
        if line["fallback"]
    ]
    for line in result["steps"]:
        if (line["gain"] or 0) < 0:
            untouched = all(chosen == line["published"] for chosen in line["chosen_by_fold"])
            who = "the published constants lose" if untouched else "chosen on the other folds it loses"
            end = "but nothing is surely better" if untouched else "what it chose here may not hold either"
            notes.append(f"step {line['step']}: {who} {-line['gain']:.3f} {line['metric']} AP; {end}")
    return notes
