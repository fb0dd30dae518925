"""Shortcuts: how well the label and the source can be told from what should not matter.

A network takes the easiest way that the training data leave open (DeGrave, Janizek and Lee, AI for radiographic
COVID-19 detection selects shortcuts over signal, Nature Machine Intelligence 3:610, 2021). Each clue (`clues.py`) is
given to a linear model that never sees the lungs and is tried on patients that it was not fitted on. What it can tell,
a network can tell too, and the part of its score that comes from there says nothing about disease.

Many clues are tried on many targets, so some look good by chance. `found` asks for both: an AUC of at least MARGIN,
and more than .5 where at most 5 % of what is found may be chance (Benjamini and Hochberg, Journal of the Royal
Statistical Society B 57:289, 1995; where nothing is to be found, that is a 5 % risk of finding anything). The error in
these tests is the largest of three: of the bootstrap by patient; of the AUC that the same fits reach when whole
patients swap labels, which also holds what differs between fits; of chance with so many patients, since of five the
others are too sure. An AUC below .5 means nothing: a fit without content tends to fall there, since what is held out is
missing from the fit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm
from sklearn.linear_model import RidgeCV

from cxr.evaluation.auc import expected_error, pair_auc, patient_weights, spread, widen
from cxr.evaluation.clues import WORDS, Pixels, find_clues
from cxr.labels import STUDY_CLASSES

TARGETS = (*STUDY_CLASSES, "has_box")
COLUMNS = ("target", "clue", "images", "positives", "AUC", "low", "high", "found", "meaning")
MARGIN = 0.6  # below that a clue is of no practical use, however sure it is
LEVEL = 0.05
FOLDS, FEWEST, SEED = 5, 5, 0  # FEWEST patients with and without what is to be told
RESAMPLES, SWAPS = 500, 40
STRENGTHS = np.logspace(-4, 0, 9)  # of the ridge, a fitted row; the features of a clue have a total variance of 1
ALL, SOURCE = "all", "source"


class Setting(NamedTuple):
    """What all tests of one table share; N images."""

    clues: dict[str, np.ndarray]  # features [N x F] by clue
    reasons: dict[str, str]  # why a clue cannot be tested
    groups: np.ndarray  # [N]
    folds: np.ndarray  # int [N]
    weights: np.ndarray  # [resamples x N]


def find_shortcuts(
    images: pd.DataFrame, pixels: Pixels | None, lungs: np.ndarray | None = None, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """One row a target and clue: columns COLUMNS; AUC out of fold with its 95 % interval by patient.

    images: N rows of the images table with label columns 1, 0 or NaN; `group` (patients joined by copied pictures) says
    who belongs together where that column is there, else `patient_id`. pixels: uint8 [N x S x S] of the same rows (or
    what yields them in turn), or None. lungs: masks bool [M x S x S] of some of them, or None. What cannot be tested
    stands there with NaN and the reason. Targets: the study classes, has_box, and each source where there are several.
    6300 pictures of 512 px take about a minute on one core.
    """
    images = images.reset_index(drop=True)
    groups = images["group" if "group" in images else "patient_id"].to_numpy()
    folds = deal_folds(groups, images[list(STUDY_CLASSES)].fillna(0).to_numpy().argmax(1))
    weights = patient_weights(groups, folds, resamples)
    setting = Setting(*find_clues(images, pixels, lungs), groups, folds, weights)
    sources = _sources(images)
    rows = []
    for target in TARGETS:
        rows += _test_target(setting, target, images[target].to_numpy(float))
    for source in sources:
        rows += _test_target(setting, f"source: {source}", (images["source"] == source).to_numpy(float))
    if not sources:
        reason = f"all images come from one source ({images['source'].iat[0]})"
        rows.append(_untested({"target": "source", "clue": ALL, "images": len(images), "positives": 0}, reason))
    return _judge(pd.DataFrame(rows))


def deal_folds(groups: np.ndarray, classes: np.ndarray, folds: int = FOLDS, seed: int = SEED) -> np.ndarray:
    """Fold [N] of each row: whole groups; those of one class (of their first row) are spread evenly, in drawn order."""
    names, first, member = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    ordered = shuffled[np.argsort(classes[first][shuffled], kind="stable")]
    fold = np.empty(len(names), int)
    fold[ordered] = np.arange(len(names)) % folds
    return fold[member]


def predict_out_of_fold(blocks: Sequence[np.ndarray], values: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Scores [N x T] of T columns of 0 / 1 values by ridge regression, each fold by a fit to the others.

    blocks: features [N x F] of one clue each; each block weighs the same however many features it has. The strength of
    the penalty is chosen within what is fitted (leave one out), for each column by itself.
    """
    scores = np.empty(values.shape)
    for fold in np.unique(folds):
        held = folds == fold
        features = np.hstack([_scale(block, ~held) for block in blocks])
        model = RidgeCV(STRENGTHS * (~held).sum(), alpha_per_target=True).fit(features[~held], values[~held])
        scores[held] = model.predict(features[held]).reshape(-1, values.shape[1])
    return scores


def swap_labels(values: np.ndarray, groups: np.ndarray, swaps: int, seed: int = SEED) -> np.ndarray:
    """Values [N x swaps], in each column dealt out anew among groups with as many rows: each keeps its set together."""
    order = np.argsort(groups, kind="stable")
    _, first, counts = np.unique(groups[order], return_index=True, return_counts=True)
    rng, swapped = np.random.default_rng(seed), np.empty((len(values), swaps))
    for size in np.unique(counts):
        rows = order[first[counts == size][:, None] + np.arange(size)]
        for column in range(swaps):
            swapped[rows, column] = values[rows[rng.permutation(len(rows))]]
    return swapped


def _scale(block: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Mean 0 and a total variance of 1 where it is fitted; features keep their scale to each other."""
    deviation = np.sqrt(block[fitted].var(0).sum())
    return (block - block[fitted].mean(0)) / (deviation if deviation > 0 else 1)


def _sources(images: pd.DataFrame) -> list[str]:
    """Sources to be told apart; of two, telling one is telling the other."""
    names = sorted(images["source"].unique())
    return names if len(names) > 2 else names[:-1]


def _test_target(setting: Setting, target: str, values: np.ndarray) -> list[dict]:
    """A row a clue. values float [N]: 1, 0, NaN for unknown. A source is not told by itself."""
    known = ~np.isnan(values)
    positive, groups, folds = values[known] == 1, setting.groups[known], setting.folds[known]
    owners = len(np.unique(groups[positive])), len(np.unique(groups[~positive]))
    labels = np.column_stack([values[known], swap_labels(values[known], groups, SWAPS)])  # the true ones first
    few = f"{owners[0]} patients with it and {owners[1]} without, {FEWEST} of each are needed"
    own = {name: block[known] for name, block in setting.clues.items() if target in TARGETS or name != SOURCE}
    rows = []
    for clue in [name for name in WORDS if name in own or name in setting.reasons or name == ALL]:
        row = {"target": target, "clue": clue, "images": int(known.sum()), "positives": int(positive.sum())}
        testable = min(owners) >= FEWEST and len(np.unique(folds)) > 1
        reason = few if not testable else setting.reasons.get(clue) or ("" if own else "no clue is there")
        if reason:
            rows.append(_untested(row, reason))
            continue
        scores = predict_out_of_fold(list(own.values()) if clue == ALL else [own[clue]], labels, folds)
        area = pair_auc(scores[:, 0], positive, folds)
        if np.isnan(area):
            rows.append(_untested(row, "no fold holds both"))
            continue
        low, high, error = spread(pair_auc(scores[:, 0], positive, folds, setting.weights[:, known]))
        low, high = widen(low, high, area, expected_error(area, *owners))
        swapped = [pair_auc(scores[:, column], labels[:, column] == 1, folds) for column in range(1, SWAPS + 1)]
        error = max(error, np.nanstd(swapped), expected_error(0.5, *owners))
        rows.append(row | {"AUC": area, "low": low, "high": high, "error": error})
    return rows


def _untested(row: dict, reason: str) -> dict:
    return row | {"AUC": np.nan, "low": np.nan, "high": np.nan, "error": np.nan, "reason": reason}


def _judge(table: pd.DataFrame) -> pd.DataFrame:
    """`found` and `meaning`, with a look at how many tests there were."""
    tested = table["AUC"].notna()
    sure = pd.Series(False, index=table.index)
    if tested.any():
        chance = norm.sf((table["AUC"] - 0.5)[tested] / table["error"][tested])
        sure[tested] = false_discovery_control(chance) < LEVEL
    table["found"] = sure & (table["AUC"] >= MARGIN)
    tests = int(tested.sum())
    alone = 0.5 + norm.isf(LEVEL / max(tests, 1)) * table["error"]  # found whatever the other tests say
    least = np.ceil(np.maximum(MARGIN, alone) * 100) / 100
    rows = zip(table.to_dict("records"), sure, least, strict=True)
    table["meaning"] = [_meaning(row, certain, limit, tests) for row, certain, limit in rows]
    return table[list(COLUMNS)]


def _meaning(row: dict, sure: bool, least: float, tests: int) -> str:
    if np.isnan(row["AUC"]):
        return f"not tested: {row['reason']}"
    clue = WORDS[row["clue"]]
    if row["found"]:
        return f"{row['target']} can be told without the lungs by {clue}; a model may do the same"
    if sure:
        return f"{clue}: more than chance, but under {MARGIN:.2f}, too little to matter"
    return f"{clue}: no more than chance gives in {tests} tests; from an AUC of {least:.2f} on it would count as found"
