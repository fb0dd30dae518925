"""Scores of out-of-fold tables, as small tables for notebooks. The metric is the competition's (`cxr.metrics`)."""

import hashlib

import numpy as np
import pandas as pd

from cxr.labels import STUDY_CLASSES
from cxr.metrics import average_precision, match_detections
from cxr.prediction.combine import study_means
from cxr.tables import BOX_COLUMNS


def opacity_scores(images: pd.DataFrame, truth: pd.DataFrame, boxes: pd.DataFrame) -> pd.DataFrame:
    """AP of `opacity` over all images and over boxed images only, a column each, a row a fold and one for all.

    Boxless duplicates are left out: their opacities are drawn on another image of the study.
    """
    images = images[images["role"] == "train"]
    parts = {f"fold {fold}": group for fold, group in images.groupby("fold")} | {"all folds": images}
    boxed = {name: group[group["has_box"] == 1] for name, group in parts.items()}
    return pd.DataFrame(
        {
            "images": {name: len(group) for name, group in parts.items()},
            "AP, all images": {name: opacity_ap(group, truth, boxes) for name, group in parts.items()},
            "AP, boxed images only": {name: opacity_ap(group, truth, boxes) for name, group in boxed.items()},
        }
    ).round(3)


def opacity_ap(images: pd.DataFrame, truth: pd.DataFrame, boxes: pd.DataFrame) -> float:
    """AP of box table `boxes` against `truth` on these images; NaN where they hold no true box."""
    rows = pd.Series(np.arange(len(images)), index=images["image_id"].to_numpy())
    boxes, truth = (table[table["image_id"].isin(rows.index)] for table in (boxes, truth))
    matches = match_detections(
        rows[boxes["image_id"]].to_numpy(),
        boxes["score"].to_numpy(),
        boxes[BOX_COLUMNS].to_numpy(),
        rows[truth["image_id"]].to_numpy(),
        truth[BOX_COLUMNS].to_numpy(),
        len(images),
    )
    return average_precision(matches)


def study_scores(images: pd.DataFrame, image_scores: pd.DataFrame) -> pd.DataFrame:
    """AP of each study class beside its share of the studies, which is what guessing gets; the last row is the mean."""
    truth, scores = _by_study(images, image_scores)
    units = np.tile([0.0, 0.0, 1.0, 1.0], (len(truth), 1))
    rows = {}
    for column, name in enumerate(STUDY_CLASSES):
        true = np.flatnonzero(truth == column)
        matches = match_detections(
            np.arange(len(truth)), scores[:, column], units, true, units[: len(true)], len(truth)
        )
        rows[name] = {"studies": len(true), "share": len(true) / len(truth), "AP": average_precision(matches)}
    table = pd.DataFrame(rows).T
    table.loc["mean"] = table.mean()
    table.loc["mean", "studies"] = len(truth)
    return table.astype({"studies": int}).round(3)


def confusion(images: pd.DataFrame, image_scores: pd.DataFrame) -> pd.DataFrame:
    """Numbers of studies by true class (rows) and most probable class (columns)."""
    truth, scores = _by_study(images, image_scores)
    counts = np.zeros((len(STUDY_CLASSES), len(STUDY_CLASSES)), int)
    np.add.at(counts, (truth, scores.argmax(1)), 1)
    return pd.DataFrame(counts, index=list(STUDY_CLASSES), columns=list(STUDY_CLASSES))


def _by_study(images: pd.DataFrame, image_scores: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """True class index [S] and probabilities [S x 4] of each study."""
    table = images.set_index("image_id")
    means = study_means(image_scores, image_scores["image_id"].map(table["study_id"])).set_index("study_id")
    truth = images.drop_duplicates("study_id").set_index("study_id").loc[means.index, list(STUDY_CLASSES)]
    return truth.to_numpy(float).argmax(1), means[list(STUDY_CLASSES)].to_numpy()


def pick_examples(images: pd.DataFrame, count: int) -> np.ndarray:
    """Row numbers of `count` images, the same at every run: three in four with boxes, drawn by a hash of their ids."""
    drawn = pd.Series([hashlib.sha256(image_id.encode()).hexdigest() for image_id in images["image_id"]])
    usable = (images["role"] == "train").to_numpy()
    boxed = (images["has_box"] == 1).to_numpy()
    with_boxes = drawn[usable & boxed].sort_values().index[: round(0.75 * count)]
    without = drawn[usable & ~boxed].sort_values().index[: count - len(with_boxes)]
    return np.concatenate([with_boxes, without]).astype(int)
