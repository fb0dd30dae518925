"""A run made of a few small tables: every file that the report knows, no model trained."""

import json
import shutil

import numpy as np
import pandas as pd

from cxr.labels import CLASSES, STUDY_CLASSES
from cxr.tables import BOX_COLUMNS
from cxr.workspace import open_workspace, write_json

SIZE, IMAGES = 32, 24
EVIL = "<script>alert('x')</script>$\\frac{$"
TAG = """<img src=x onerror="alert('x')">"""  # may also be the name of a folder


def workspace_in(root):
    return open_workspace(
        "demo", f"images.cache_size={SIZE}", str(root / "input"), str(root), str(root / "submissions")
    )


def boxes_of(rng, ids, count):
    corners = rng.uniform(0, 60, (len(ids) * count, 2))
    table = pd.DataFrame(np.hstack([corners, corners + rng.uniform(20, 60, corners.shape)]), columns=BOX_COLUMNS)
    table.insert(0, "image_id", np.repeat(np.array(ids), count))
    table.insert(1, "label", "opacity")
    table.insert(2, "score", rng.uniform(0.01, 1, len(table)))
    return table


def write_csv(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def training_tables(places, rng):
    """Images (the first with a hostile id), folds, true boxes, cache."""
    ids = [EVIL, *(f"image{k:02d}" for k in range(1, IMAGES))]
    classes = np.eye(4, dtype=int)[np.arange(IMAGES) % 4]
    images = pd.DataFrame({"image_id": ids, "study_id": [f"s{k}" for k in range(IMAGES)], "patient_id": ids})
    images = images.assign(source="siim", path="x.png", height=120, width=150, role="train", fold=np.arange(IMAGES) % 2)
    images[list(STUDY_CLASSES)] = classes
    images["has_box"] = 1 - classes[:, 0]
    write_csv(images.drop(columns="fold"), places.images_table)
    write_csv(images[["image_id", "study_id", "patient_id", "fold"]].assign(group="g"), places.folds_table)
    truth = boxes_of(rng, images.loc[images["has_box"] == 1, "image_id"], 1).assign(score=1.0)
    write_csv(truth, places.boxes_table)
    places.cache(SIZE).parent.mkdir(parents=True)
    np.save(places.cache(SIZE), rng.integers(0, 255, (IMAGES, SIZE, SIZE), dtype=np.uint8))
    return images, truth


def predictions(places, rng, images, truth):
    """Three tables of boxes of different worth and one of study scores."""
    near = truth.copy()
    near[BOX_COLUMNS] += rng.normal(0, 4, (len(near), 4))
    near["score"] = rng.uniform(0.3, 1, len(near))
    for name in ("yolo", "faster_rcnn", "fused", "yolo_without_pretraining"):
        noise = boxes_of(rng, images["image_id"], 2).assign(score=lambda t: t["score"] * 0.6)
        write_csv(pd.concat([near, noise]), places.predictions(name) / "out_of_fold.csv")
    scores = images[list(STUDY_CLASSES)] * 0.3 + rng.uniform(0, 0.6, (IMAGES, 4))
    scores.insert(0, "image_id", images["image_id"])
    write_csv(scores, places.predictions("studies") / "out_of_fold_images.csv")
    fused = scores.drop(columns="image_id").assign(study_id=images["study_id"])
    write_csv(fused, places.fused / "studies.csv")
    none = pd.DataFrame({"image_id": images["image_id"], "none": rng.uniform(0, 1, IMAGES)})
    write_csv(none, places.fused / "none.csv")


def trainings(places):
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "train_box": [3.0, 2, 1], "val_box": [3.0, np.nan, 2], "lr": [1e-3] * 3})
    for fold in (0, 1):
        folder = places.model("yolo", fold)
        write_csv(epochs, folder / "metrics.csv")
        record = {"epochs": 3, "seconds": 5.0, "clock_bound": fold == 1, "weights": "/home/a/secret/w.pt"}
        more = {"commit": "abc123", "packages": {"torch": "2.10"}, "training_sources": ["SIIM", "NIH"]}
        write_json({**record, **more}, folder / "run.json")
    write_json({"reason": "no RSNA in the input"}, places.pretrained("rsna_yolo") / "absent.json")


def audit(places):
    """Tables of the audit, with a hostile value from a header and one from a file name."""
    found = {"target": "typical", "clue": "border", "images": 24, "positives": 6, "AUC": 0.91, "low": 0.8, "high": 0.97}
    rows = [{**found, "found": True, "meaning": f"by the border {EVIL}"}]
    nothing = dict.fromkeys(("AUC", "low", "high"), np.nan)
    rows.append({**found, **nothing, "target": "source", "found": False, "meaning": "all images come from one source"})
    write_csv(pd.DataFrame(rows), places.shortcuts_table)
    counts = {"patients": 9, "images": 12, "positives": 3}
    figures = {"AP": 0.4, "AP_low": 0.3, "AP_high": 0.5, "AUC": 0.62, "AUC_low": 0.51, "AUC_high": 0.71}
    change = {"difference": -0.123, "difference_low": -0.2, "difference_high": -0.05, "differs": True, "note": ""}
    rows = [{"field": "all", "group": "all", "key": "studies", **counts, **figures, **change, "differs": False}]
    rows += [{"field": "body_part", "group": EVIL, "key": "studies", **counts, **figures, **change}]
    small = {**dict.fromkeys((*figures, "difference", "difference_low", "difference_high"), np.nan), "differs": False}
    rows += [{"field": "sex", "group": "F", "key": "none", **counts, **small, "note": "not scored: under 10 patients"}]
    write_csv(pd.DataFrame(rows), places.subgroups_table)


def make_run(root):
    """Workspace, images and true boxes of a run with every file that the report knows; phantom."""
    workspace, rng = workspace_in(root), np.random.default_rng(5)
    places = workspace.places
    found = {"data": "phantom", "competition": "/data/x", "solution": "s.csv", "train_images": 24, "test_images": 7}
    write_json({**found, "findings": [f"odd {EVIL}"]}, places.inputs)
    images, truth = training_tables(places, rng)
    predictions(places, rng, images, truth)
    trainings(places)
    audit(places)
    scores = {key: 0.5 for key in (*CLASSES, "mAP")} | {"mAP": 0.568, "mAP_low": 0.527, "mAP_high": 0.634}
    run = {**scores, "atypical": None, "difference": 0.21, "difference_low": -0.01, "difference_high": 0.4}
    write_json({"data": "phantom", "run": run, "baseline": scores}, places.score)
    gain = {"gain": 0.031, "low": -0.002, "high": 0.06}
    step = {
        "step": "box fusion",
        "metric": "opacity",
        "before": 0.4,
        "after": 0.431,
        "chosen": {"wbf_iou": 0.6},
        "origin": "published",
        "fallback": "9 patients with it, 20 are needed",
        **gain,
    }
    other = {"against": "yolo", "metric": "opacity", "other": 0.4, "own": None, "gain": None, "low": None, "high": None}
    blend = {
        "steps": [step, {**step, "step": EVIL}],
        "comparisons": [other],
        "constants": {"wbf_skip": 0.0001},
        "members": [{"name": TAG, "kind": TAG, "training_sources": [TAG], "weight": 1.0}],
        "calibration": [{"model": "yolo", "of": TAG, "cases": 9, "ece_before": 0.2, "ece_after": 0.1, "used": True}],
        "notes": [EVIL],
    }
    write_json(blend, places.blend)
    write_json(
        {"pretraining": {"rows": [{"model": "yolo", "metric": "opacity", "with": 0.5, "without": 0.469, **gain}]}},
        places.ablations,
    )
    for stage, seconds in (("00_inputs", 3.2), ("07_train_yolo", 301.0), ("12_report", 99.0)):
        write_json({"stage": stage, "seconds": seconds, "peak_memory_gb": 1.25}, places.runs / f"{stage}.json")
    write_csv(pd.DataFrame({"path": [EVIL] * 40, "reason": "half & half"}), places.failures_table)
    return workspace, images, truth


def plant(places):
    """Markup wherever a run takes a name from: folders of models and predictions, settings, packages, commits."""
    for folder in (places.model("yolo", 0).parent, places.predictions("yolo")):
        shutil.copytree(folder, folder.with_name(TAG))
    record = {"packages": {TAG: TAG}, "commit": TAG, "device": TAG, "epochs": 1, "training_sources": [TAG]}
    write_json(record, places.model(TAG, 0) / "run.json")
    write_json({**json.loads(places.record.read_text()), "overrides": TAG}, places.record)
    (places.root / TAG).write_text("")
