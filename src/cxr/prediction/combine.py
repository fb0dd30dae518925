"""Several models' predictions to one: box fusion, study means, and what `none` and `negative` tell each other."""

import numpy as np
import pandas as pd
from ensemble_boxes import weighted_boxes_fusion

from cxr.boxes import area_xyxy, clip_xyxy, scale_xyxy
from cxr.labels import STUDY_CLASSES
from cxr.prediction.detect import box_rows, empty_boxes
from cxr.profiles import Fusion
from cxr.tables import BOX_COLUMNS, BOXES, STUDY_SCORES, check_table


def fuse_boxes(tables: list[pd.DataFrame], images: pd.DataFrame, settings: Fusion) -> pd.DataFrame:
    """Weighted box fusion of several models' boxes (paper 004, equations 3 to 6: ensemble-boxes' default `avg`).

    tables: BOXES, one a model; images: image_id, height, width of every image that may be named there. A
    cluster that few models found loses score in proportion. Returns a BOXES table, an image's best score first.
    """
    by_model = [dict(list(table.groupby("image_id"))) for table in tables]
    fused = [empty_boxes()]
    for row in images.itertuples():
        groups = [model.get(row.image_id) for model in by_model]
        fused.append(_fuse_image(row.image_id, groups, (row.height, row.width), settings))
    return check_table(pd.concat(fused, ignore_index=True), BOXES, "fused boxes")


def _fuse_image(image_id: str, groups: list[pd.DataFrame | None], size: tuple, settings: Fusion) -> pd.DataFrame:
    """ensemble-boxes wants boxes in 0..1, clips pixel coordinates away, and exits the program on unequal lengths."""
    boxes, scores, labels = [], [], []
    for group in groups:
        group = empty_boxes() if group is None else group
        corners = clip_xyxy(scale_xyxy(group[BOX_COLUMNS].to_numpy(float), size, (1.0, 1.0)), 1.0, 1.0)
        # scores of exactly zero alone would make a cluster's weighted corners 0 / 0
        good = (area_xyxy(corners) > 0) & (group["score"].to_numpy(float) > 0)
        boxes.append(corners[good].tolist())
        scores.append(group["score"].to_numpy(float)[good].tolist())
        labels.append([0] * int(good.sum()))
    if not any(scores):
        return empty_boxes()
    corners, fused, _ = weighted_boxes_fusion(
        boxes, scores, labels, iou_thr=settings.wbf_iou, skip_box_thr=settings.wbf_skip
    )
    best = np.argsort(-fused, kind="stable")[: settings.max_boxes]
    return box_rows(image_id, scale_xyxy(corners[best], (1.0, 1.0), size), np.clip(fused[best], 0, 1))


def none_from_boxes(image_ids: list[str], boxes: pd.DataFrame) -> pd.Series:
    """Probability that an image holds no opacity: the product of (1 - score) over its boxes; 1 without boxes."""
    absent = (1 - boxes["score"]).groupby(boxes["image_id"]).prod()
    return absent.reindex(image_ids).fillna(1.0).rename("none")


def study_means(image_scores: pd.DataFrame, studies: pd.Series) -> pd.DataFrame:
    """Mean of the images' probabilities for each study. studies: study_id of the same rows."""
    table = image_scores[list(STUDY_CLASSES)].groupby(studies.to_numpy()).mean()
    return check_table(table.rename_axis("study_id").reset_index(), STUDY_SCORES, "study means")


def blend(
    images: pd.DataFrame, none: pd.Series, studies: pd.DataFrame, settings: Fusion
) -> tuple[pd.Series, pd.DataFrame]:
    """Let `none` and `negative` inform each other: a boxless image is almost surely of a negative study.

    images: image_id, study_id; none: by image_id; studies: STUDY_SCORES. Returns both anew, each from the other's
    value before: none' = (1 - a) none + a negative, negative' = (1 - b) negative + b mean(none).
    """
    negative = images["study_id"].map(studies.set_index("study_id")["negative"]).to_numpy()
    before = none.reindex(images["image_id"]).to_numpy()
    new_none = (1 - settings.none_from_negative) * before + settings.none_from_negative * negative
    mean_none = pd.Series(before, index=images["study_id"].to_numpy()).groupby(level=0).mean()
    share = settings.negative_from_none
    blended = (1 - share) * studies["negative"] + share * studies["study_id"].map(mean_none).fillna(studies["negative"])
    return pd.Series(new_none, index=images["image_id"].to_numpy(), name="none"), studies.assign(negative=blended)
