"""How far each model's scores are from probabilities, as they are and through maps fitted on the other folds."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cxr.evaluation.calibration import expected_calibration_error
from cxr.evaluation.ensemble import OutOfFold
from cxr.labels import STUDY_CLASSES
from cxr.prediction.calibrate import Map, apply_classes, apply_map, fit_logistic
from cxr.prediction.constants import Constants

Cases = tuple[np.ndarray, np.ndarray]  # scores and which of them are true, both [D], or [N x 4] and the true class [N]


def calibration_lines(data: OutOfFold, constants: Constants) -> list[dict]:
    """A line a model: its map and expected calibration error before and after, for `blend.json`.

    The map is that of `constants` where they hold one (`used`), else the logistic one of all folds. The error after is
    nested: each fold goes through the map of the other folds. Boxes count as true where they are hits of the metric;
    of study classes the error is the mean of the four.
    """
    lines = []
    for name, table in data.detections.items():

        def fit(folds: Sequence[int], table=table) -> Map | None:
            return data.box_map(table, data.rows(folds), fit_logistic)

        cases = [data.box_cases(table, data.rows([fold])) for fold in data.folds]
        errors = _errors(data.folds, cases, fit, apply_map, expected_calibration_error)
        lines.append({"model": name, "of": "boxes", **errors, **_map(name, constants.box_calibration, fit(data.folds))})
    for name, table in data.scores.items():

        def fit(folds: Sequence[int], name=name) -> Map | None:
            return data.class_map(name, data.rows(folds))

        cases = [data.class_cases(table, data.rows([fold])) for fold in data.folds]
        errors = _errors(data.folds, cases, fit, apply_classes, _mean_error)
        found = _map(name, constants.class_calibration, fit(data.folds))
        lines.append({"model": name, "of": "study classes", **errors, **found})
    return lines


def _errors(
    folds: Sequence[int], cases: Sequence[Cases], fit: Callable, apply: Callable, error: Callable
) -> dict[str, float | int | None]:
    """Number of cases, error before and nested error after."""
    true = np.concatenate([each for _, each in cases])
    before = np.concatenate([scores for scores, _ in cases])
    maps = [fit([other for other in folds if other != fold]) for fold in folds]
    after = np.concatenate(
        [apply(each, scores) if each else scores for each, (scores, _) in zip(maps, cases, strict=True)]
    )
    values = {"ece_before": error(before, true), "ece_after": error(after, true)}
    return {"cases": len(true)} | {key: round(value, 4) if len(true) else None for key, value in values.items()}


def _mean_error(probabilities: np.ndarray, true: np.ndarray) -> float:
    return float(
        np.mean([expected_calibration_error(probabilities[:, k], true == k) for k in range(len(STUDY_CLASSES))])
    )


def _map(name: str, used: Mapping[str, Map], fitted: Map | None) -> dict:
    return {"used": name in used, "map": used.get(name) or fitted or {}}
