"""Scores of out-of-fold tables, as small tables for notebooks. The metric is the competition's (`cxr.evaluation.voc`).

`Ground` holds the truth in the rows of the metric, studies and images together, as the competition's solution does: six
classes matched on the same rows can be drawn by the same bootstrap.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.evaluation.voc import Matches, average_precision, match_detections
from cxr.labels import STUDY_CLASSES, UNIT_BOX
from cxr.prediction.combine import study_means
from cxr.tables import BOX_COLUMNS


@dataclass(frozen=True)
class Ground:
    """The truth of R rows: first S studies, then I images of role `train`.

    Boxless duplicates count for their study alone: their opacities are drawn on another image.
    """

    studies: pd.Index  # [S] study ids
    images: pd.Index  # [I] image ids
    classes: np.ndarray  # int [S], index into STUDY_CLASSES
    empty: np.ndarray  # bool [I], no opacity
    boxes: pd.DataFrame  # BOXES of these images
    patient: np.ndarray  # [R]
    fold: np.ndarray  # int [R]

    @property
    def rows(self) -> int:
        return len(self.patient)

    @property
    def image_rows(self) -> pd.Series:
        """Row numbers by image_id."""
        return pd.Series(np.arange(len(self.studies), self.rows), index=self.images)


def ground_truth(images: pd.DataFrame, truth: pd.DataFrame) -> Ground:
    """From the images table with `fold` and the true boxes, both of `data.prepare.load_training`."""
    studies = images.drop_duplicates("study_id").sort_values("study_id")
    used = images[images["role"] == "train"]
    both = pd.concat([studies, used])
    return Ground(
        pd.Index(studies["study_id"]),
        pd.Index(used["image_id"]),
        studies[list(STUDY_CLASSES)].to_numpy(float).argmax(1),
        (used["has_box"] == 0).to_numpy(),
        truth[truth["image_id"].isin(used["image_id"])],
        both["patient_id"].to_numpy(),
        both["fold"].to_numpy(int),
    )


def match_all(ground: Ground, boxes: pd.DataFrame, none: pd.Series, studies: pd.DataFrame) -> list[Matches]:
    """A system's predictions matched, six classes in the order of CLASSES. What is not in `ground` is left out."""
    return [*match_studies(ground, studies), match_none(ground, none), match_opacity(ground, boxes)]


def match_studies(ground: Ground, studies: pd.DataFrame) -> list[Matches]:
    """The four study classes; STUDY_SCORES must cover every study (KeyError otherwise)."""
    scores = studies.set_index("study_id").loc[ground.studies, list(STUDY_CLASSES)].to_numpy(float)
    rows = np.arange(len(ground.studies))
    return [_match_unit(rows, scores[:, k], rows[ground.classes == k], ground.rows) for k in range(len(STUDY_CLASSES))]


def match_none(ground: Ground, none: pd.Series) -> Matches:
    """`none` by image_id, which must cover every image (KeyError otherwise)."""
    rows = ground.image_rows.to_numpy()
    return _match_unit(rows, none.loc[ground.images].to_numpy(float), rows[ground.empty], ground.rows)


def match_opacity(ground: Ground, boxes: pd.DataFrame) -> Matches:
    """A BOXES table; an image without rows has no box."""
    return _match_boxes(ground.image_rows, boxes, ground.boxes, ground.rows)


def _match_unit(rows: np.ndarray, scores: np.ndarray, true_rows: np.ndarray, total: int) -> Matches:
    """A class without a place: the unit box everywhere."""
    unit = np.tile(np.array(UNIT_BOX, float), (len(rows), 1))
    return match_detections(rows, scores, unit, true_rows, unit[: len(true_rows)], total)


def _match_boxes(rows: pd.Series, boxes: pd.DataFrame, truth: pd.DataFrame, total: int) -> Matches:
    boxes, truth = (table[table["image_id"].isin(rows.index)] for table in (boxes, truth))
    return match_detections(
        rows[boxes["image_id"]].to_numpy(),
        boxes["score"].to_numpy(),
        boxes[BOX_COLUMNS].to_numpy(),
        rows[truth["image_id"]].to_numpy(),
        truth[BOX_COLUMNS].to_numpy(),
        total,
    )


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
    return average_precision(_match_boxes(rows, boxes, truth, len(images)))


def study_scores(images: pd.DataFrame, image_scores: pd.DataFrame) -> pd.DataFrame:
    """AP of each study class beside its share of the studies, which is what guessing gets; the last row is the mean."""
    truth, scores = _by_study(images, image_scores)
    rows = {}
    for column, name in enumerate(STUDY_CLASSES):
        true = np.flatnonzero(truth == column)
        matches = _match_unit(np.arange(len(truth)), scores[:, column], true, len(truth))
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
