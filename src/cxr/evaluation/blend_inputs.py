"""What stage 10 reads: out-of-fold predictions of our own models and of foreign members, none of a fold missing."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxr.data.prepare import load_training
from cxr.evaluation.ensemble import OutOfFold
from cxr.faults import DataFault
from cxr.prediction.members import Member, check_boxes, read_members, refuse_sources
from cxr.prediction.out_of_fold import check_rows, listed, rows_by_fold
from cxr.tables import BOXES, IMAGE_SCORES, Contract, read_table
from cxr.workspace import Workspace

FEEDING = ("pretrain_", "lungs")  # beginnings of run folders that the joined models start from


def load_predictions(
    workspace: Workspace, detectors: Sequence[str], classifiers: Sequence[str]
) -> tuple[OutOfFold, list[Member]]:
    """Everybody's out-of-fold predictions, our own and the members'. Raises DataFault for a fold that is missing."""
    images, truth, _ = load_training(workspace)
    check_folds(workspace, images, [*detectors, *classifiers])
    places = workspace.places
    detections = {name: _read_own(places.predictions(name) / "out_of_fold.csv", BOXES, images) for name in detectors}
    scores = {
        name: _read_own(places.predictions(name) / "out_of_fold_images.csv", IMAGE_SCORES, images)
        for name in classifiers
    }
    for name, table in detections.items():
        check_rows(places.predictions(name) / "out_of_fold.csv", table, images)
    members = read_members(places.members, images, taken=[*detectors, *classifiers])
    for member in members:
        _check_member(places.members / f"{member.name}.csv", member, images)
    detections |= {member.name: member.on(images) for member in members if member.is_detector}
    scores |= {member.name: member.on(images) for member in members if not member.is_detector}
    return OutOfFold(images, truth, detections, scores), members


def check_folds(workspace: Workspace, images: pd.DataFrame, names: Sequence[str]) -> None:
    """Every fold of the profile holds images, and every model was trained on it to its end (`run.json`)."""
    places, wanted = workspace.places, set(range(workspace.profile.folds.count))
    if set(images["fold"]) != wanted:
        raise DataFault(
            f"{places.folds_table}: holds folds {listed(images['fold'].unique())}, the profile has "
            f"{listed(wanted)}; run notebook 03_annotations_and_folds again"
        )
    for name in names:
        missing = [fold for fold in sorted(wanted) if not (places.model(name, fold) / "run.json").is_file()]
        if missing:
            raise DataFault(
                f"{places.model(name, missing[0])}: fold {listed(missing)} of {name} is not trained to its end "
                f"(no run.json); run the notebook that trains {name} again"
            )


def _read_own(path: Path, contract: Contract, images: pd.DataFrame) -> pd.DataFrame:
    """Our own out-of-fold table: about these images and no others; class scores about all of them."""
    if not path.is_file():
        raise DataFault(f"{path}: not there yet; run the notebook that trains {path.parent.name} first, or `make all`")
    table = read_table(path, contract)
    unknown = ~table["image_id"].isin(images["image_id"])
    lacking = contract is IMAGE_SCORES and len(table) < len(images)
    if unknown.any() or lacking:
        without = [fold for fold, count in rows_by_fold(table, images).items() if not count]
        whole = f", none about fold {listed(without)}" if without and lacking else ""
        raise DataFault(
            f"{path}: {unknown.sum()} rows about images that are not in training, {len(table)} rows for {len(images)} "
            f"images{whole}; run the notebook that trains {path.parent.name} again"
        )
    if contract is BOXES:
        check_boxes(path, table)
    return table


def _check_member(path: Path, member: Member, images: pd.DataFrame) -> None:
    """A foreign detector names an image of every fold; class members name every image, which `read_members` checks."""
    if not member.is_detector:
        return
    without = [fold for fold, count in rows_by_fold(member.table, images).items() if not count]
    if without:
        raise DataFault(
            f"{path}: no row about any image of fold {listed(without)}; add its out-of-fold predictions, or, if it "
            "found nothing there, one box of score 0 on an image of that fold"
        )


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
