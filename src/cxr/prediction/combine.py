"""Several models' predictions to one: box fusion, study means, and what boxes, `none` and `negative` tell each other.

The same function, `combine`, serves the tuning out of fold, the test set and foreign members. On the test set the folds
of one model come first (`fuse_folds`, `average_folds`), all alike and each calibrated as it was out of fold; what is
left is one table a model, as out of fold, and what follows is exactly what was tuned there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cxr.boxes import area_xyxy
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.prediction.calibrate import Map, apply_classes, apply_map
from cxr.prediction.constants import MAXIMUM, PRODUCT, Constants
from cxr.prediction.wbf import fuse_arrays
from cxr.prediction.wbf import weighted_boxes_fusion as weighted_boxes_fusion
from cxr.profiles import Fusion
from cxr.tables import BOX_COLUMNS, BOXES, IMAGE_SCORES, NONE, STUDY_SCORES, check_table

SMALLEST_SIDE = 1.0  # px; a thinner box can match nothing, and a submission's two decimals may leave it no area


def combine(
    images: pd.DataFrame,
    detections: Mapping[str, pd.DataFrame],
    image_scores: Mapping[str, pd.DataFrame],
    constants: Constants,
    calibrated: bool = False,
) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Predictions of all models to one system's: boxes, probability of `none` by image_id, study classes.

    images: image_id, study_id, height, width, all images of a study in one call; detections: a BOXES table a detector;
    image_scores: IMAGE_SCORES or STUDY_SCORES a classifier; calibrated: the scores went through the maps of `constants`
    already, as those of folds do before they are fused. Returns BOXES (an image's best score first), a Series and
    STUDY_SCORES (sorted by study_id). Raises DataFault when a model that has a weight is missing, or lacks an image.
    """
    if not calibrated:
        detections = {name: calibrate_boxes(table, name, constants) for name, table in detections.items()}
        image_scores = {name: calibrate_scores(table, name, constants) for name, table in image_scores.items()}
    boxes = fuse_detectors(images, detections, constants)
    studies = weigh_studies(images, image_scores, constants.class_weights)
    return inform(images, boxes, studies, constants, none_of_heads(images, image_scores, constants))


def calibrate_boxes(table: pd.DataFrame, name: str, constants: Constants) -> pd.DataFrame:
    """BOXES of detector `name` with scores as its map has them; unchanged where `constants` hold none for it."""
    mapping = constants.box_calibration.get(name)
    return table if mapping is None else table.assign(score=apply_map(mapping, table["score"].to_numpy(float)))


def calibrate_scores(table: pd.DataFrame, name: str, constants: Constants) -> pd.DataFrame:
    """IMAGE_SCORES or STUDY_SCORES of classifier `name` as its map has them; unchanged without one."""
    mapping = constants.class_calibration.get(name)
    if mapping is None:
        return table
    classes = list(STUDY_CLASSES)
    found = apply_classes(mapping, table[classes].to_numpy(float))
    return table.assign(**dict(zip(classes, found.T, strict=True)))


def fuse_detectors(images: pd.DataFrame, detections: Mapping[str, pd.DataFrame], constants: Constants) -> pd.DataFrame:
    """The detectors' boxes fused with their weights. One alone passes as it is, cut at `max_boxes` an image."""
    weights = _weights_of(detections, constants.box_weights, "detector")
    return fuse_boxes([detections[name] for name in weights], images, constants, list(weights.values()))


def fuse_folds(tables: Sequence[pd.DataFrame], images: pd.DataFrame, settings: Fusion | Constants) -> pd.DataFrame:
    """The boxes of one detector's folds fused, all folds alike."""
    return fuse_boxes(tables, images, settings)


def average_folds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """IMAGE_SCORES of one classifier's folds to their mean. Raises ValueError if the tables are not about the same."""
    ids = [list(table["image_id"]) for table in tables]
    if not ids or any(one != ids[0] for one in ids):
        raise ValueError("folds to average must be tables of the same images in the same order")
    names = [*STUDY_CLASSES, *([NONE] if all(NONE in table for table in tables) else [])]
    values = np.mean([table[names].to_numpy(float) for table in tables], axis=0)
    mean = pd.DataFrame(values, columns=names)
    mean.insert(0, "image_id", ids[0])
    return check_table(mean, IMAGE_SCORES, "mean of folds")


def _weights_of(given: Mapping[str, pd.DataFrame], weights: Mapping[str, float], kind: str) -> dict[str, float]:
    """The models that count, with their weights. Never a silent partial ensemble."""
    counting = {name: weight for name, weight in weights.items() if weight > 0}
    missing, unknown = sorted(counting.keys() - given.keys()), sorted(given.keys() - weights.keys())
    if missing or unknown or not counting:
        found = f"predictions of {', '.join(given) or 'none'}, weights for {', '.join(counting) or 'none'}"
        raise DataFault(
            f"every {kind} needs both predictions and a weight, found {found}; run notebook 10_fuse_and_blend again"
        )
    return counting


def fuse_boxes(
    tables: Sequence[pd.DataFrame],
    images: pd.DataFrame,
    settings: Fusion | Constants,
    weights: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Weighted box fusion of several models' boxes (paper 004, equations 3 to 6: ensemble-boxes' default `avg`).

    tables: BOXES, one a model; images: image_id, height, width of every image that counts, boxes elsewhere are left
    out; of `settings` count wbf_iou, wbf_skip and max_boxes. A cluster that few models found loses score in proportion.
    A single model is not fused with itself: its boxes pass unchanged, the best `max_boxes` of each image. Returns a
    BOXES table in the order of the images, an image's best score first. ValueError for weights that fit no models.
    """
    weights = [1.0] * len(tables) if weights is None else [float(weight) for weight in weights]
    # zero weights alone would make corners 0 / 0
    if len(weights) != len(tables) or not tables or not all(0 < weight < np.inf for weight in weights):
        raise ValueError(f"{len(tables)} tables of boxes need as many positive weights, found {weights}")
    tables = [check_table(table, BOXES, "boxes to fuse") for table in tables]
    if len(tables) == 1:
        return _best_boxes(tables[0], images, settings.max_boxes)
    corners, scores, row, model = _by_image(tables, images)
    starts = np.searchsorted(row, np.arange(len(images) + 1))
    labels = np.zeros(len(row), int)
    fused = fuse_arrays(corners, scores, labels, model, starts, np.array(weights), settings.wbf_iou, settings.wbf_skip)
    row = np.repeat(np.arange(len(images)), np.diff(fused.starts))
    best = np.arange(len(row)) - fused.starts[row] < settings.max_boxes
    corners = fused.corners * images[["width", "height", "width", "height"]].to_numpy(float)[row]
    ids = images["image_id"].to_numpy()[row]
    # a mean over more boxes than models may lie above 1
    return _box_table(ids[best], corners[best], np.clip(fused.scores[best], 0, 1))


def fuse_views(views: Sequence[pd.DataFrame], images: pd.DataFrame) -> pd.DataFrame:
    """BOXES of one network's views of the same pictures as one table, by the published constants; a single one stays as
    it is."""
    return fuse_boxes(views, images, Fusion()) if len(views) > 1 else views[0]


def _by_image(
    tables: Sequence[pd.DataFrame], images: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Usable boxes of all models, sorted by image, then model: xyxy as shares of the sides, scores, image, model."""
    model = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    table = pd.concat([table[["image_id", "score", *BOX_COLUMNS]] for table in tables], ignore_index=True)
    row = pd.Index(images["image_id"]).get_indexer(table["image_id"])
    corners, scores = table[BOX_COLUMNS].to_numpy(float), table["score"].to_numpy(float)
    corners = np.clip(corners / images[["width", "height", "width", "height"]].to_numpy(float)[row], 0, 1)
    # scores of exactly zero alone would make a cluster's weighted corners 0 / 0
    good = np.flatnonzero((row >= 0) & (area_xyxy(corners) > 0) & (scores > 0))
    good = good[np.argsort(row[good], kind="stable")]
    return corners[good], scores[good], row[good], model[good]


def _best_boxes(table: pd.DataFrame, images: pd.DataFrame, at_most: int) -> pd.DataFrame:
    row = pd.Index(images["image_id"]).get_indexer(table["image_id"])
    order = np.lexsort((-table["score"].to_numpy(float), row))
    table = table.iloc[order[row[order] >= 0]]
    table = table[table.groupby("image_id").cumcount() < at_most]
    return _box_table(table["image_id"].to_numpy(), table[BOX_COLUMNS].to_numpy(float), table["score"].to_numpy(float))


def _box_table(image_ids: np.ndarray, corners: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(corners, columns=BOX_COLUMNS)
    table.insert(0, "image_id", pd.Series(image_ids, dtype=object))
    table.insert(1, "label", "opacity")
    table.insert(2, "score", scores)
    sides = corners[:, 2:] - corners[:, :2]
    table = table[(sides >= SMALLEST_SIDE).all(axis=1)].reset_index(drop=True)
    return check_table(table, BOXES, "fused boxes")


def weigh_studies(
    images: pd.DataFrame, image_scores: Mapping[str, pd.DataFrame], weights: Mapping[str, float]
) -> pd.DataFrame:
    """STUDY_SCORES of all studies of `images`: a classifier's mean over a study's images, then the weighted mean."""
    counting = _weights_of(image_scores, weights, "classifier")
    studies = pd.Index(sorted(images["study_id"].unique()), name="study_id")
    total = np.zeros((len(studies), len(STUDY_CLASSES)))
    for name, weight in counting.items():
        table = _scores_by_study(images, image_scores[name], name).set_index("study_id")
        total += weight / sum(counting.values()) * table.loc[studies, list(STUDY_CLASSES)].to_numpy(float)
    table = pd.DataFrame(total.clip(0, 1), index=studies, columns=list(STUDY_CLASSES)).reset_index()
    return check_table(table, STUDY_SCORES, "weighted study scores")


def _scores_by_study(images: pd.DataFrame, table: pd.DataFrame, name: str) -> pd.DataFrame:
    key = "image_id" if "image_id" in table.columns else "study_id"
    wanted = images[key].drop_duplicates()
    missing = wanted[~wanted.isin(table[key])]
    if len(missing):
        raise DataFault(
            f"classifier {name}: no row for {len(missing)} of {len(wanted)} {key}s, the first is {missing.iloc[0]}; "
            "let it predict them all"
        )
    if key == "study_id":
        return table
    return study_means(table.set_index("image_id").loc[images["image_id"]], images["study_id"])


def study_means(image_scores: pd.DataFrame, studies: pd.Series) -> pd.DataFrame:
    """Mean of the images' probabilities for each study. studies: study_id of the same rows."""
    table = image_scores[list(STUDY_CLASSES)].groupby(studies.to_numpy()).mean()
    return check_table(table.rename_axis("study_id").reset_index(), STUDY_SCORES, "study means")


def none_of_heads(
    images: pd.DataFrame, image_scores: Mapping[str, pd.DataFrame], constants: Constants
) -> pd.Series | None:
    """What the classifiers' two-class heads say of `none`, by image_id, weighted as the classifiers are; None where it
    counts for nothing. Raises DataFault where it counts and nobody says it."""
    if not constants.none_from_head:
        return None
    weights = {
        name: constants.class_weights[name]
        for name, table in image_scores.items()
        if NONE in table and constants.class_weights.get(name, 0) > 0
    }
    if not weights:
        raise DataFault(
            f"none_from_head is {constants.none_from_head}, but no classifier has a two-class head; "
            "run notebook 10_fuse_and_blend again"
        )
    tables = [image_scores[name].set_index("image_id").loc[images["image_id"], NONE] for name in weights]
    values = np.average([table.to_numpy(float) for table in tables], axis=0, weights=list(weights.values()))
    return pd.Series(values, index=images["image_id"].to_numpy(), name=NONE)


def inform(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    studies: pd.DataFrame,
    constants: Constants,
    heads: pd.Series | None = None,
) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """`none` from fused boxes and two-class heads, then none and negative from each other, then the boxes' scores from
    the new none. heads: of `none_of_heads`."""
    none = none_from_boxes(list(images["image_id"]), boxes, constants.none_formula, constants.none_calibration)
    if heads is not None:
        share = constants.none_from_head
        none = ((1 - share) * none + share * heads.reindex(none.index)).rename(NONE)
    none, studies = blend(images, none, studies, constants)
    return none_into_boxes(boxes, none, constants.none_into_boxes), none, studies


def none_from_boxes(
    image_ids: list[str], boxes: pd.DataFrame, formula: str = PRODUCT, calibration: Map | None = None
) -> pd.Series:
    """Probability that an image holds no opacity, by image_id; 1 without boxes.

    `formula`: PRODUCT or MAXIMUM; `calibration`: a map that the scores go through first.
    """
    scores = boxes["score"].to_numpy(float)
    absent = pd.Series(1 - (apply_map(calibration, scores) if calibration else scores)).groupby(
        boxes["image_id"].to_numpy()
    )
    if formula not in (PRODUCT, MAXIMUM):
        raise ValueError(f"none_formula {formula!r}: choose {PRODUCT} or {MAXIMUM}")
    found = absent.prod() if formula == PRODUCT else absent.min()
    return found.astype(float).reindex(image_ids).fillna(1.0).rename("none")


def none_into_boxes(boxes: pd.DataFrame, none: pd.Series, share: float) -> pd.DataFrame:
    """score' = score^(1 - share) (1 - none)^share: a box counts less on an image that looks empty as a whole."""
    if share == 0:
        return boxes
    present = 1 - boxes["image_id"].map(none).to_numpy(float)
    return boxes.assign(score=boxes["score"] ** (1 - share) * present**share)


def blend(
    images: pd.DataFrame, none: pd.Series, studies: pd.DataFrame, settings: Fusion | Constants
) -> tuple[pd.Series, pd.DataFrame]:
    """Let `none` and `negative` inform each other: a boxless image is almost surely of a negative study.

    images: image_id, study_id; none: by image_id; studies: STUDY_SCORES. Returns both anew, each from the other's
    value before: none' = (1 - a) none + a negative, negative' = (1 - c) negative + c mean(none).
    """
    negative = images["study_id"].map(studies.set_index("study_id")["negative"]).to_numpy()
    before = none.reindex(images["image_id"]).to_numpy()
    new_none = (1 - settings.none_from_negative) * before + settings.none_from_negative * negative
    mean_none = pd.Series(before, index=images["study_id"].to_numpy()).groupby(level=0).mean()
    share = settings.negative_from_none
    blended = (1 - share) * studies["negative"] + share * studies["study_id"].map(mean_none).fillna(studies["negative"])
    return pd.Series(new_none, index=images["image_id"].to_numpy(), name="none"), studies.assign(negative=blended)
