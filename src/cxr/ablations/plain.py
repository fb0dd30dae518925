"""What our detectors are worth beside a plain ultralytics training, over several seeds, out of fold and paired.

Ours are YOLO and Faster R-CNN of this run, each through a logistic map fitted on the other folds, then fused by the
published constants; nothing else is tuned. CPU seconds of either side's trainings are counted, ours with lungs and all
pretraining.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.ablations.compare import digests
from cxr.data.prepare import load_training
from cxr.data.yolo_labels import write_yolo
from cxr.evaluation.ensemble import OutOfFold
from cxr.evaluation.intervals import interval, median_difference, paired_difference
from cxr.evaluation.out_of_fold import Ground, ground_truth, match_opacity
from cxr.evaluation.voc import Matches
from cxr.images.resize import to_cache_size
from cxr.prediction.calibrate import fit_logistic
from cxr.prediction.constants import starting_constants
from cxr.prediction.detect import YoloDetector
from cxr.profiles import settings_of
from cxr.systems.competition import FASTER_RCNN, YOLO, train_faster_rcnn_folds, train_yolo_folds
from cxr.training import yolo
from cxr.training.cross_validation import Fold, each_fold
from cxr.training.plain_yolo import PlainYolo, train_plain
from cxr.training.start import find_start
from cxr.workspace import Workspace

SEEDS = (2021, 2022, 2023)
CODE = ("cxr.training.plain_yolo", "cxr.data.yolo_labels")


def measure(workspace: Workspace) -> dict:
    """Rows, one a seed and their median: AP of opacity of plain, yolo, faster_rcnn and fused (mean over folds), gain of
    the fused boxes over the plain ones with its ends, CPU seconds of either side. The median's gain has the interval of
    the median, every seed on the same resamples of patients."""
    images, truth, _ = load_training(workspace)
    ground = ground_truth(images, truth)
    rows, pairs = [], []
    for seed in SEEDS:
        row, pair = _seed(workspace, ground, seed)
        rows.append(row)
        pairs.append(pair)
    middle = pd.DataFrame(rows).drop(columns="seed").median().round(4).to_dict()
    gain = median_difference(pairs, ground.patient, workspace.profile.fusion.resamples, ground.fold)
    gain = dict(zip(("gain", "low", "high"), (round(value, 4) for value in gain), strict=True))
    rows.append({"seed": "median", **middle, **gain})
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    return {"rows": rows, "of": digests(workspace)}


def _seed(workspace: Workspace, ground: Ground, seed: int) -> tuple[dict, tuple[Matches, Matches]]:
    """The row of a seed, and its fused and its plain boxes matched."""
    name, plain = train_plain_folds(workspace, seed)
    found, names = {}, []
    for model, train in ((YOLO, train_yolo_folds), (FASTER_RCNN, train_faster_rcnn_folds)):
        # the run's own seed was trained by its stages
        variant = "" if seed == settings_of(workspace.profile, model).seed else f"seed_{seed}"
        found[model] = train(workspace, variant, **({"seed": seed} if variant else {}))
        names.append(f"{model}_{variant}" if variant else model)
    tables = {"plain": plain, **found, "fused": fused_by_fold(workspace, found)}
    matches = {key: match_opacity(ground, table) for key, table in tables.items()}
    patients, folds, resamples = ground.patient, ground.fold, workspace.profile.fusion.resamples
    gain = paired_difference(matches["fused"], matches["plain"], patients, resamples, folds)
    before = ("pretrain_nih", "pretrain_rsna_yolo", "pretrain_rsna_faster_rcnn", "lungs")
    own = [*names, *before]
    values = {
        **{key: interval(each, patients, 1, folds).value for key, each in matches.items()},
        "gain": gain.value,
        "low": gain.low,
        "high": gain.high,
        "CPU s, plain": cpu_seconds(workspace, [name]),
        "CPU s, ours": cpu_seconds(workspace, own),
    }
    row = {"seed": seed, **{key: round(float(value), 4) for key, value in values.items()}}
    return row, (matches["fused"], matches["plain"])


def fused_by_fold(workspace: Workspace, detections: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """BOXES of the detectors fused by the published constants, each fold through maps fitted on the other folds."""
    images, truth, _ = load_training(workspace)
    data, start = OutOfFold(images, truth, detections, {}), starting_constants(workspace.profile.fusion, detections, [])
    fold, parts = images.set_index("image_id")["fold"], []
    for number in data.folds:
        others = data.rows([other for other in data.folds if other != number])
        maps = {name: data.box_map(table, others, fit_logistic) for name, table in detections.items()}
        boxes = data.fuse(replace(start, box_calibration={name: each for name, each in maps.items() if each}))
        parts.append(boxes[boxes["image_id"].map(fold) == number])
    return pd.concat(parts, ignore_index=True)


def train_plain_folds(workspace: Workspace, seed: int) -> tuple[str, pd.DataFrame]:
    """A plain training a fold; the name of its folders, and its out-of-fold boxes."""
    yolo.prepare(workspace.places.working / "ultralytics")
    settings, name = PlainYolo(seed), f"plain_seed_{seed}"

    def train(_: Workspace, fold: Fold):
        pixels = np.stack([to_cache_size(image, settings.size) for image in fold.pixels])
        folder = workspace.places.root / "annotations" / "yolo" / f"{name}_{fold.number}"
        parts = (fold.images, fold.boxes, pixels, fold.training, fold.held_out)
        return train_plain(settings, write_yolo(folder, *parts), fold.folder, fold.start)

    def predict(folder: Path, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        return YoloDetector(folder, settings).predict(images, pixels)

    start = find_start(workspace, settings.weights)
    return name, each_fold(workspace, name, settings, start, 1.0, train, predict, CODE)


def cpu_seconds(workspace: Workspace, names: list[str]) -> float:
    """Of all folds of these trainings together; one that was left out took none."""
    return sum(json.loads(path.read_text())["cpu_seconds"] for name in names for path in _records(workspace, name))


def _records(workspace: Workspace, name: str) -> Iterator[Path]:
    folder = workspace.places.root / "models" / name
    yield from sorted([*folder.glob("run.json"), *folder.glob("fold_*/run.json")])
