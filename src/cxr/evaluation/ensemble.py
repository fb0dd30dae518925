"""All models' out-of-fold predictions, and what they are worth together; nothing is fused or matched twice."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.evaluation.intervals import KEYS, MEAN, STUDIES, Drawn, draw, over_folds, split_folds
from cxr.evaluation.out_of_fold import ground_truth, match_none, match_opacity, match_studies
from cxr.evaluation.voc import Matches, average_precision, restrict
from cxr.labels import CLASSES, STUDY_CLASSES
from cxr.prediction.calibrate import Map, fit_classes
from cxr.prediction.combine import (
    calibrate_boxes,
    calibrate_scores,
    fuse_detectors,
    inform,
    none_of_heads,
    weigh_studies,
)
from cxr.prediction.constants import Constants

TRIALS = 200  # resamples behind `share_better`
MOST_ROWS = 10_000_000  # of boxes, in what is kept of each kind: some 600 MB, and all of it for a few hundred images


def classes_of(metric: str) -> tuple[str, ...]:
    """The classes whose AP a name of intervals.KEYS is made of."""
    return {MEAN: CLASSES, STUDIES: STUDY_CLASSES}.get(metric, (metric,))


class System(NamedTuple):
    """Predictions for all images, in the form that `combine` returns."""

    boxes: pd.DataFrame
    none: pd.Series
    studies: pd.DataFrame


class Kept(dict):
    """What was made before; where it comes to more than MOST_ROWS rows the oldest goes, to be made again if asked."""

    def keep(self, key: str, value: object, rows: int) -> object:
        """Keep a value of so many rows; returns it."""
        self[key] = value, rows
        while len(self) > 1 and sum(each for _, each in self.values()) > MOST_ROWS:
            del self[next(iter(self))]
        return value


class OutOfFold:
    """Predictions of all models for all training images, each by a model that never saw the image's fold.

    images: the images table with `fold`; truth: its boxes; detections and scores as for `combine`.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        truth: pd.DataFrame,
        detections: Mapping[str, pd.DataFrame],
        scores: Mapping[str, pd.DataFrame],
    ):
        self.images, self.detections, self.scores = images, dict(detections), dict(scores)
        self.ground = ground_truth(images, truth)
        self.folds = sorted(images["fold"].unique())
        self._fused, self._matches = Kept(), Kept()
        self._studies: dict[str, pd.DataFrame] = {}
        self._values: dict[tuple[str, bytes], float] = {}

    def fuse(self, constants: Constants) -> pd.DataFrame:
        """The fused boxes of these constants."""
        key = _fusion_key(constants)
        if key in self._fused:
            return self._fused[key][0]
        # a search without members must not meet them
        joining = {name: table for name, table in self.detections.items() if name in constants.box_weights}
        calibrated = {name: calibrate_boxes(table, name, constants) for name, table in joining.items()}
        fused = fuse_detectors(self.images, calibrated, constants)
        return self._fused.keep(key, fused, len(fused))

    def predict(self, constants: Constants) -> System:
        """What `combine` returns."""
        key = _key(constants.class_weights, constants.class_calibration)
        if key not in self._studies:
            joining = {name: table for name, table in self.scores.items() if name in constants.class_weights}
            calibrated = {name: calibrate_scores(table, name, constants) for name, table in joining.items()}
            self._studies[key] = weigh_studies(self.images, calibrated, constants.class_weights)
        heads = none_of_heads(self.images, self.scores, constants)
        return System(*inform(self.images, self.fuse(constants), self._studies[key], constants, heads))

    def match(self, system: System, metric: str = MEAN) -> list[Matches]:
        """Six classes, for intervals; those that `metric` does not take are as if nobody had them."""
        wanted = classes_of(metric)
        absent = _absent(self.ground.rows)
        takes_studies = any(name in wanted for name in STUDY_CLASSES)
        studies = match_studies(self.ground, system.studies) if takes_studies else [absent] * len(STUDY_CLASSES)
        none = match_none(self.ground, system.none) if "none" in wanted else absent
        return [*studies, none, match_opacity(self.ground, system.boxes) if "opacity" in wanted else absent]

    def rows(self, folds: Sequence[int]) -> np.ndarray:
        """Rows of `ground` that lie in these folds, bool [R]."""
        return np.isin(self.ground.fold, folds)

    def halves(self, rows: np.ndarray) -> list[np.ndarray]:
        """These rows as two halves by patients, drawn by a fixed seed, bool [R] each."""
        patients = np.unique(self.ground.patient[rows])
        first = np.random.default_rng(0).permutation(patients)[: len(patients) // 2]
        inside = np.isin(self.ground.patient, first)
        return [rows & inside, rows & ~inside]

    def value(self, constants: Constants, metric: str, rows: np.ndarray) -> float:
        """A name of intervals.KEYS on these rows: mean over folds, NaN where none has any."""
        key = _key(metric, asdict(constants))
        if (key, rows.tobytes()) not in self._values:
            parts = [
                [average_precision(restrict(each, rows)) for each in part] for part in self._parts(constants, metric)
            ]
            value = over_folds(np.array(parts)[None, :, None])[0, 0, KEYS.index(metric)]
            self._values[key, rows.tobytes()] = float(value)
        return self._values[key, rows.tobytes()]

    def _parts(self, constants: Constants, metric: str) -> list[list[Matches]]:
        """`match` of each fold."""
        key = _key(metric, asdict(constants))
        if key in self._matches:
            return self._matches[key][0]
        parts = split_folds(self.match(self.predict(constants), metric), self.ground.fold)
        return self._matches.keep(
            key, parts, sum(len(each.scores) + len(each.truths) for part in parts for each in part)
        )

    def share_better(self, trials: Sequence[tuple[Constants, Constants, np.ndarray]], metric: str) -> float:
        """On which share of resamples of patients the first constants beat the second, over trials on separate rows."""
        gains = []
        for one, other, rows in trials:
            systems = [[restrict(each, rows) for each in self.match(self.predict(c), metric)] for c in (one, other)]
            # rows that are left out hold no truth any more, so they count in no mean
            values = draw(systems, self.ground.patient, TRIALS, self.ground.fold).resampled[..., KEYS.index(metric)]
            gains.append(values[0] - values[1])
        known = ~np.isnan(gains)
        return float((np.where(known, gains, 0).sum(axis=0) > 0).mean())

    def patients(self, metric: str, rows: np.ndarray) -> int:
        """Patients of these rows who have the class; of a mean, its rarest class, of those that anybody has."""
        owners = [self._owners(name) for name in classes_of(metric)]
        return min((len(np.unique(self.ground.patient[has & rows])) for has in owners if has.any()), default=0)

    def _owners(self, name: str) -> np.ndarray:
        """Rows of `ground` that have a class, bool [R]."""
        ground = self.ground
        boxed = ground.images.isin(ground.boxes["image_id"])
        images = {"none": ground.empty, "opacity": boxed}.get(name, np.zeros(len(ground.images), bool))
        studies = ground.classes == STUDY_CLASSES.index(name) if name in STUDY_CLASSES else ground.classes < 0
        return np.concatenate([studies, images])

    def box_cases(self, boxes: pd.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores [D] of the boxes in these rows, and which of them are hits as the metric counts them, bool [D]."""
        found = restrict(match_opacity(self.ground, boxes), rows)
        hits = np.zeros(len(found.scores), bool)
        hits[found.hits] = True
        return found.scores, hits

    def class_cases(self, table: pd.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [N x 4] of a classifier for the patients of these rows, and the true class of each, int [N]."""
        key = "image_id" if "image_id" in table.columns else "study_id"
        owners = self.images[self.images["patient_id"].isin(self.ground.patient[rows])]
        owners = owners.drop_duplicates(key).set_index(key)
        table = table[table[key].isin(owners.index)]
        true = owners.loc[table[key], list(STUDY_CLASSES)].to_numpy(float).argmax(1)
        return table[list(STUDY_CLASSES)].to_numpy(float), true

    def box_map(self, boxes: pd.DataFrame, rows: np.ndarray, fit: Callable) -> Map | None:
        """`fit` of `calibrate` to the boxes of these rows; None where they are all hits or all misses."""
        scores, hits = self.box_cases(boxes, rows)
        return fit(scores, hits) if 0 < hits.sum() < len(hits) else None

    def class_map(self, name: str, rows: np.ndarray) -> Map | None:
        """The calibration of a classifier on these rows; None where they hold one class alone."""
        probabilities, true = self.class_cases(self.scores[name], rows)
        return fit_classes(probabilities, true) if len(np.unique(true)) > 1 else None

    def nested(self, constants: Sequence[Constants]) -> System:
        """Each fold's predictions by its own constants, in the order of `folds`."""
        boxes, none, studies = [], [], []
        for fold, each in zip(self.folds, constants, strict=True):
            images, system = self.images[self.images["fold"] == fold], self.predict(each)
            boxes.append(system.boxes[system.boxes["image_id"].isin(images["image_id"])])
            none.append(system.none.loc[images["image_id"]])
            studies.append(system.studies[system.studies["study_id"].isin(images["study_id"])])
        return System(
            pd.concat(boxes, ignore_index=True), pd.concat(none).rename("none"), pd.concat(studies, ignore_index=True)
        )


def draw_distinct(
    systems: Sequence[list[Matches]], patients: np.ndarray, resamples: int, folds: np.ndarray | None = None
) -> Drawn:
    """`intervals.draw`, a class scored once for all systems that agree in it: most steps change one class alone."""
    places = np.empty((len(systems), len(CLASSES)), int)
    distinct: list[list[Matches]] = [[] for _ in CLASSES]
    for row, system in enumerate(systems):
        for column, (matches, known) in enumerate(zip(system, distinct, strict=True)):
            same = [place for place, each in enumerate(known) if all(map(np.array_equal, each, matches))]
            places[row, column] = same[0] if same else len(known)
            known += [] if same else [matches]
    absent, most = _absent(len(patients)), max(map(len, distinct))
    packed = [[known[row] if row < len(known) else absent for known in distinct] for row in range(most)]
    drawn = draw(packed, patients, resamples, folds)
    columns = np.arange(len(CLASSES))
    plain, resampled = drawn.plain[places, columns], drawn.resampled[places, :, columns]
    # the folds are in these figures already; what is left are the means over classes
    return Drawn(over_folds(plain[:, None, None])[:, 0], over_folds(np.moveaxis(resampled, 1, 2)[:, None]))


def _absent(rows: int) -> Matches:
    """A class that nobody has: it has no AP and counts in no mean."""
    return Matches(np.empty(0), np.empty(0, int), np.empty(0, int), np.zeros(rows, int))


def _fusion_key(constants: Constants) -> str:
    """What the fused boxes depend on: fusion knows relative weights only, and leaves one detector alone."""
    weights = {name: weight for name, weight in sorted(constants.box_weights.items()) if weight > 0}
    shares = {name: round(weight / max(weights.values()), 6) for name, weight in weights.items()}
    maps = {name: constants.box_calibration.get(name) for name in weights}
    one = len(weights) == 1
    return _key(shares, maps, constants.max_boxes, *(() if one else (constants.wbf_iou, constants.wbf_skip)))


def _key(*parts: object) -> str:
    return json.dumps(parts, sort_keys=True)
