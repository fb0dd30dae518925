"""Scores to probabilities: monotone maps for boxes, temperature and biases for study classes, fitted out of fold.

A map is a dict of plain numbers, as it stands in `blend.json`. A monotone map changes no order within one model, so no
AP of it alone; it changes what several models are worth together, and `none`, which takes scores at their word.

Sources: Platt, "Probabilistic outputs for support vector machines", 1999 (logistic map, targets short of 0 and 1);
Zadrozny and Elkan, "Transforming classifier scores", KDD 2002 (isotonic map); Guo et al., "On calibration of modern
neural networks", ICML 2017 (temperature, vector scaling, expected calibration error).
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit, softmax

from cxr.labels import STUDY_CLASSES

Map = dict[str, Any]

LOGISTIC, ISOTONIC, SOFTMAX = "logistic", "isotonic", "softmax"
LEAST = 1e-7  # score that stands for smaller ones; its logit is -16
# an isotonic map has as many parameters as it likes and needs some 1000 cases (Niculescu-Mizil and Caruana, ICML 2005)
ENOUGH_FOR_ISOTONIC = 1000
_IDENTITY_SPREAD = 1.0  # of the prior on log slope, log temperature and biases: few cases leave scores as they are


def fit_logistic(scores: np.ndarray, hits: np.ndarray) -> Map:
    """p = expit(slope logit(score) + offset), slope > 0, from scores [D] in 0..1 and hits bool [D].

    Raises ValueError unless there are both hits and misses.
    """
    scores, hits = _cases(scores, hits)
    many, few = hits.sum(), (~hits).sum()
    target = np.where(hits, (many + 1) / (many + 2), 1 / (few + 2))  # Platt's: no probability ends at 0 or 1
    position = logit(scores.clip(LEAST, 1 - LEAST))

    def loss(parameters: np.ndarray) -> float:
        value = np.exp(parameters[0]) * position + parameters[1]
        prior = 0.5 * (parameters[0] / _IDENTITY_SPREAD) ** 2
        return float(np.logaddexp(0, value).sum() - target @ value + prior)

    found = minimize(loss, np.zeros(2), method="BFGS").x
    return {"kind": LOGISTIC, "slope": float(np.exp(found[0])), "offset": float(found[1])}


def fit_isotonic(scores: np.ndarray, hits: np.ndarray) -> Map:
    """A rising line through the means of score and hits of the blocks of an isotonic regression, from 0, 0 to 1, 1.

    Between the middles of blocks it rises strictly, so that it ties no two boxes. Raises as `fit_logistic`.
    """
    from sklearn.isotonic import IsotonicRegression  # a second to import, and mostly there are too few cases for it

    scores, hits = _cases(scores, hits)
    fitted = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, hits)
    levels, block = np.unique(fitted, return_inverse=True)
    middles = np.bincount(block, scores) / np.bincount(block)
    inside = (middles > 0) & (middles < 1) & (levels > 0) & (levels < 1)
    return {
        "kind": ISOTONIC,
        "scores": [0.0, *middles[inside].tolist(), 1.0],
        "probabilities": [0.0, *levels[inside].tolist(), 1.0],
    }


def apply_map(mapping: Map, scores: np.ndarray) -> np.ndarray:
    """Probabilities [D] of scores [D] in 0..1. A score of 0, which says nothing, stays 0. ValueError if unknown."""
    scores = np.asarray(scores, float)
    if mapping.get("kind") == LOGISTIC:
        found = expit(mapping["slope"] * logit(scores.clip(LEAST, 1 - LEAST)) + mapping["offset"])
        return np.where(scores > 0, found, 0.0)
    if mapping.get("kind") == ISOTONIC:
        return np.interp(scores, mapping["scores"], mapping["probabilities"])
    raise ValueError(f"calibration of kind {mapping.get('kind')!r}: boxes have {LOGISTIC} or {ISOTONIC}")


def fit_classes(probabilities: np.ndarray, classes: np.ndarray) -> Map:
    """p' = softmax(log(p) / temperature + biases), from probabilities [N x 4] and true classes int [N].

    The biases add up to 0. Raises ValueError where only one class occurs.
    """
    values = _log(probabilities)
    if len(np.unique(classes)) < 2:
        raise ValueError("a calibration of classes needs cases of at least two classes")

    def loss(parameters: np.ndarray) -> float:
        found = log_softmax(values * np.exp(parameters[0]) + parameters[1:], axis=1)
        return float(-found[np.arange(len(classes)), classes].sum() + 0.5 * (parameters**2).sum() / _IDENTITY_SPREAD**2)

    found = minimize(loss, np.zeros(1 + values.shape[1]), method="BFGS").x
    biases = found[1:] - found[1:].mean()
    return {"kind": SOFTMAX, "temperature": float(np.exp(-found[0])), "biases": biases.tolist()}


def apply_classes(mapping: Map, probabilities: np.ndarray) -> np.ndarray:
    """Probabilities [N x 4] in the order of STUDY_CLASSES, which add up to 1, of such [N x 4]."""
    if mapping.get("kind") != SOFTMAX or len(mapping["biases"]) != len(STUDY_CLASSES):
        raise ValueError(f"calibration of kind {mapping.get('kind')!r}: study classes have {SOFTMAX} and four biases")
    return softmax(_log(probabilities) / mapping["temperature"] + np.array(mapping["biases"]), axis=1)


def _cases(scores: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, hits = np.asarray(scores, float), np.asarray(hits, bool)
    if hits.all() or not hits.any():
        raise ValueError(f"a calibration needs hits and misses, found {hits.sum()} hits in {len(hits)} cases")
    return scores, hits


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.asarray(probabilities, float).clip(LEAST))
