"""The search behind stage 10: coordinate search over small grids, on all folds and nested, with fused boxes kept.

Fusion is what costs: some three milliseconds an image. Each fusion is made once for all images and serves every path
of the search; so does the AP of each fold, of which a path that leaves a fold out takes the mean of the others.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed

from cxr.evaluation.intervals import KEYS, draw, over_folds, restrict, split_folds
from cxr.evaluation.out_of_fold import ground_truth, match_all
from cxr.evaluation.voc import Matches, average_precision
from cxr.prediction.combine import fuse_detectors, inform, weigh_studies
from cxr.prediction.constants import MAXIMUM, PRODUCT, Constants

WEIGHTS = (0.0, 0.5, 1.0, 2.0)  # of one model while the others rest
IOUS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65)
SKIPS = (0.001, 0.01, 0.05)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ROUNDS = 2  # over the grids of a step
SURE = 0.95  # share of resamples in which a choice must beat the published values
TRIALS = 200  # resamples behind that
WORTH_A_PROCESS = 2000  # boxes; fewer are fused sooner than another process starts

Change = Callable[[Constants], Constants]
Coordinate = Callable[[Constants], list[Constants]]  # to the candidates beside the present choice


class System(NamedTuple):
    """Predictions for all images, in the form that `combine` returns."""

    boxes: pd.DataFrame
    none: pd.Series
    studies: pd.DataFrame


class OutOfFold:
    """All models' out-of-fold predictions, and what they are worth together under given constants.

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
        self._fused: dict[tuple, pd.DataFrame] = {}
        self._studies: dict[str, pd.DataFrame] = {}
        self._values: dict[str, np.ndarray] = {}

    def fuse(self, candidates: Sequence[Constants]) -> None:
        """Make the fusions that these constants need and nobody made before, in parallel."""
        wanted = {_fusion_key(each): each for each in candidates}
        missing = {key: each for key, each in wanted.items() if key not in self._fused}
        jobs = [delayed(fuse_detectors)(self.images, self._joining(each), each) for each in missing.values()]
        many = sum(map(len, self.detections.values())) > WORTH_A_PROCESS
        made = Parallel(n_jobs=cpu_count() if many and len(jobs) > 1 else 1)(jobs)
        self._fused.update(zip(missing, made, strict=True))

    def _joining(self, constants: Constants) -> dict[str, pd.DataFrame]:
        """Tables that `constants` know: a search without members must not meet them."""
        return {name: table for name, table in self.detections.items() if name in constants.box_weights}

    def predict(self, constants: Constants) -> System:
        """What `combine` returns, from kept fusions."""
        self.fuse([constants])
        key = json.dumps(constants.class_weights, sort_keys=True)
        if key not in self._studies:
            scores = {name: table for name, table in self.scores.items() if name in constants.class_weights}
            self._studies[key] = weigh_studies(self.images, scores, constants.class_weights)
        return System(*inform(self.images, self._fused[_fusion_key(constants)], self._studies[key], constants))

    def match(self, system: System) -> list[Matches]:
        """Six classes, for intervals."""
        return match_all(self.ground, *system)

    def value(self, constants: Constants, metric: str, folds: Sequence[int]) -> float:
        """Mean over some folds of AP, or of a mean of classes (a name of intervals.KEYS); NaN where no fold has any."""
        key = json.dumps(asdict(constants), sort_keys=True)
        if key not in self._values:
            parts = split_folds(self.match(self.predict(constants)), self.ground.fold)
            self._values[key] = np.array([[average_precision(each) for each in part] for part in parts])
        chosen = self._values[key][[self.folds.index(fold) for fold in folds]]
        return float(over_folds(chosen[None, :, None])[0, 0, KEYS.index(metric)])

    def surely_better(self, one: Constants, other: Constants, metric: str, folds: Sequence[int]) -> bool:
        """Whether `one` beats `other` on most resamples of the patients of these folds."""
        rows = np.isin(self.ground.fold, folds)
        systems = [[restrict(each, rows) for each in self.match(self.predict(c))] for c in (one, other)]
        # folds that are left out hold no truth any more, so they count in no mean
        values = draw(systems, self.ground.patient, TRIALS, self.ground.fold).resampled[..., KEYS.index(metric)]
        return float((values[0] > values[1]).mean()) >= SURE

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


def _fusion_key(constants: Constants) -> tuple:
    """What the fused boxes depend on: fusion knows relative weights only, and leaves one detector alone."""
    weights = {name: weight for name, weight in sorted(constants.box_weights.items()) if weight > 0}
    shares = tuple((name, round(weight / max(weights.values()), 6)) for name, weight in weights.items())
    one = len(weights) == 1
    return (shares, constants.max_boxes, *(() if one else (constants.wbf_iou, constants.wbf_skip)))


class Step(NamedTuple):
    """One step of the search."""

    name: str
    metric: str  # what it is tuned for, a name of intervals.KEYS
    start: Change  # sets the published values, from which the search begins
    coordinates: list[Coordinate]
    fields: tuple[str, ...]  # of Constants, that it may change
    guarded: bool = True  # the published values (or none) stay unless the choice is surely better


def search_steps(start: Constants) -> list[Step]:
    """The steps between models alone and `start`, the published constants; a step with nothing to weigh is left out.

    They stand in the order of what they use: none takes negative, boxes take none. So each changes one figure alone,
    and is tuned when everything that it takes is settled.
    """

    def take(*fields: str) -> Change:
        return lambda constants: replace(constants, **{name: getattr(start, name) for name in fields})

    steps = []
    if len(start.box_weights) > 1:
        singles = [lambda c: [replace(c, box_weights=_alone(c.box_weights, name)) for name in c.box_weights]]
        grids = [*_weights("box_weights", start.box_weights), _grid("wbf_iou", IOUS), _grid("wbf_skip", SKIPS)]
        fields = ("box_weights", "wbf_iou", "wbf_skip")
        steps.append(Step("best detector", "opacity", lambda constants: constants, singles, fields[:1], False))
        steps.append(Step("fusion", "opacity", take(*fields), grids, fields))
    if len(start.class_weights) > 1:
        grids = _weights("class_weights", start.class_weights)
        steps.append(Step("classifiers", "studies", take("class_weights"), grids, ("class_weights",)))
    fields = ("none_formula", "none_from_negative")
    grids = [_grid("none_formula", (PRODUCT, MAXIMUM)), _grid("none_from_negative", SHARES)]
    steps.append(Step("none", "none", take(*fields), grids, fields))
    for name, metric in (("none_into_boxes", "opacity"), ("negative_from_none", "negative")):
        steps.append(Step(name.replace("_", " "), metric, take(name), [_grid(name, SHARES)], (name,)))
    return steps


def without_steps(start: Constants) -> Constants:
    """Where the first step begins: the first detector and the first classifier, which tell each other nothing."""
    return replace(
        start,
        box_weights=_alone(start.box_weights, next(iter(start.box_weights))),
        class_weights=_alone(start.class_weights, next(iter(start.class_weights))),
        none_formula=PRODUCT,
        none_from_negative=0.0,
        negative_from_none=0.0,
        none_into_boxes=0.0,
    )


def _alone(weights: Mapping[str, float], chosen: str) -> dict[str, float]:
    return {name: float(name == chosen) for name in weights}


def _grid(name: str, values: Sequence) -> Coordinate:
    return lambda constants: [replace(constants, **{name: value}) for value in values]


def _weights(name: str, models: Mapping[str, float]) -> list[Coordinate]:
    """A grid for the weight of each model; all weights zero is no choice."""

    def vary(model: str) -> Coordinate:
        def candidates(constants: Constants) -> list[Constants]:
            tries = [{**getattr(constants, name), model: weight} for weight in WEIGHTS]
            return [replace(constants, **{name: weights}) for weights in tries if any(weights.values())]

        return candidates

    return [vary(model) for model in models]


def search(
    data: OutOfFold, steps: Sequence[Step], start: Constants, folds: Sequence[int], tune: bool
) -> list[Constants]:
    """Constants before the first step and after each, chosen on these folds; without `tune` every step takes its start.

    The published values, or the step switched off where that is better, stay unless another choice beats them on most
    resamples of the patients: the best of many grid points is always better by chance. A class that these folds lack
    leaves the published values.
    """
    path = [without_steps(start)]
    for step in steps:
        before = path[-1]
        path.append(_tune(data, step, before, folds) if tune else step.start(before))
    return path


def _tune(data: OutOfFold, step: Step, before: Constants, folds: Sequence[int]) -> Constants:
    chosen = step.start(before)
    best = data.value(chosen, step.metric, folds)
    for _ in range(ROUNDS):
        entered = chosen
        for coordinate in [lambda _: [before], *step.coordinates]:
            candidates = coordinate(chosen)
            data.fuse(candidates)
            for candidate in candidates:
                value = data.value(candidate, step.metric, folds)
                if value > best:
                    chosen, best = candidate, value
        if chosen == entered:
            break
    start = step.start(before)
    off = data.value(before, step.metric, folds) > data.value(start, step.metric, folds)
    safe = before if off else start
    if step.guarded and chosen != safe and not data.surely_better(chosen, safe, step.metric, folds):
        return safe
    return chosen
