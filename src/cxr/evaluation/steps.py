"""The steps of stage 10's search: what each is tuned for, where it begins, and which values it tries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.evaluation.ensemble import OutOfFold
from cxr.prediction.calibrate import ENOUGH_FOR_ISOTONIC, Map, fit_isotonic, fit_logistic
from cxr.prediction.constants import MAXIMUM, PRODUCT, Constants

WEIGHTS = (0.0, 0.5, 1.0, 2.0)  # of one model while the others rest
IOUS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.625)
SKIPS = (0.001, 0.01, 0.05)
SHARES = (0.0, 0.1, 0.16, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Change = Callable[[Constants], Constants]


class Part(NamedTuple):
    """What a search may look at."""

    data: OutOfFold
    rows: np.ndarray  # of the truth, bool [R]


Coordinate = Callable[[Constants, Part], list[Constants]]  # to the candidates beside the present choice


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
    steps = [*_detector_steps(start), *_classifier_steps(start)]
    fields, grids = ("none_formula", "none_calibration", "none_from_negative"), [_none_maps]
    if start.none_from_head:
        fields, grids = (*fields, "none_from_head"), [_none_maps, _grid("none_from_head", SHARES)]
    steps.append(Step("none", "none", _take(start, *fields), [*grids, _grid("none_from_negative", SHARES)], fields))
    for name, metric in (("none_into_boxes", "opacity"), ("negative_from_none", "negative")):
        steps.append(Step(name.replace("_", " "), metric, _take(start, name), [_grid(name, SHARES)], (name,)))
    return steps


def _detector_steps(start: Constants) -> list[Step]:
    if len(start.box_weights) < 2:
        return []
    fields = ("box_weights", "wbf_iou", "wbf_skip")
    grids = [*_weights("box_weights", start.box_weights), _grid("wbf_iou", IOUS), _grid("wbf_skip", SKIPS)]
    # maps come first: two numbers a detector make equal weights fair, and weights are then tuned on what is left
    return [
        Step("best detector", "opacity", _stay, [_singles], fields[:1], guarded=False),
        Step("fusion", "opacity", _take(start, *fields), [], fields),
        Step("box calibration", "opacity", _stay, [_box_maps(start)], ("box_calibration", *fields)),
        Step("fusion constants", "opacity", _stay, grids, fields),
    ]


def _stay(constants: Constants) -> Constants:
    return constants


def _singles(constants: Constants, _: Part) -> list[Constants]:
    return [replace(constants, box_weights=_alone(constants.box_weights, name)) for name in constants.box_weights]


def _classifier_steps(start: Constants) -> list[Step]:
    weights, maps = ("class_weights",), ("class_calibration",)
    steps = [Step("class calibration", "studies", _take(start, *maps), [_class_maps], maps)]
    if len(start.class_weights) > 1:
        grids = _weights(*weights, start.class_weights)
        steps.insert(0, Step("classifiers", "studies", _take(start, *weights), grids, weights))
    return steps


def _take(start: Constants, *fields: str) -> Change:
    return lambda constants: replace(constants, **{name: getattr(start, name) for name in fields})


def _box_maps(start: Constants) -> Coordinate:
    """Every detector through a map of one kind, fused as before and as published."""

    def candidates(constants: Constants, part: Part) -> list[Constants]:
        found = []
        for fit in (fit_logistic, fit_isotonic):
            maps = {name: _fitted(part, part.data.detections[name], fit) for name in constants.box_weights}
            if any(maps.values()):
                mapped = replace(constants, box_calibration={name: each for name, each in maps.items() if each})
                found += [mapped, _take(start, "box_weights", "wbf_iou", "wbf_skip")(mapped)]
        return found

    return candidates


def _fitted(part: Part, boxes: pd.DataFrame, fit: Callable) -> Map | None:
    """A map of boxes; the isotonic one only where cases are plenty."""
    if fit is fit_isotonic and part.data.box_cases(boxes, part.rows)[1].sum() < ENOUGH_FOR_ISOTONIC:
        return None
    return part.data.box_map(boxes, part.rows, fit)


def _class_maps(constants: Constants, part: Part) -> list[Constants]:
    maps = {name: part.data.class_map(name, part.rows) for name in constants.class_weights}
    return [replace(constants, class_calibration={name: each for name, each in maps.items() if each})]


def _none_maps(constants: Constants, part: Part) -> list[Constants]:
    """Both formulas, on fused scores as they are and as probabilities."""
    maps = [{}, _fitted(part, part.data.fuse(constants), fit_logistic) or {}]
    return [
        replace(constants, none_formula=formula, none_calibration=each)
        for formula in (PRODUCT, MAXIMUM)
        for each in maps
    ]


def without_steps(start: Constants) -> Constants:
    """Where the first step begins: the first detector and the first classifier, which tell each other nothing."""
    return replace(
        start,
        box_weights=_alone(start.box_weights, next(iter(start.box_weights))),
        class_weights=_alone(start.class_weights, next(iter(start.class_weights))),
        none_formula=PRODUCT,
        none_from_head=0.0,
        none_from_negative=0.0,
        negative_from_none=0.0,
        none_into_boxes=0.0,
        box_calibration={},
        class_calibration={},
        none_calibration={},
    )


def _alone(weights: Mapping[str, float], chosen: str) -> dict[str, float]:
    return {name: float(name == chosen) for name in weights}


def _grid(name: str, values: Sequence) -> Coordinate:
    return lambda constants, _: [replace(constants, **{name: value}) for value in values]


def _weights(name: str, models: Mapping[str, float]) -> list[Coordinate]:
    """A grid for the weight of each model; all weights zero is no choice."""

    def vary(model: str) -> Coordinate:
        def candidates(constants: Constants, _: Part) -> list[Constants]:
            tries = [{**getattr(constants, name), model: weight} for weight in WEIGHTS]
            return [replace(constants, **{name: weights}) for weights in tries if any(weights.values())]

        return candidates

    return [vary(model) for model in models]
