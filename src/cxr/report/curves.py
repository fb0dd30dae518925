"""Curves out of fold: precision over recall, and sensitivity over false alarms (ROC)."""

from typing import TypeVar

import numpy as np
from sklearn.metrics import auc, roc_curve

from cxr.evaluation.out_of_fold import Ground, match_none, match_opacity, match_studies
from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.evaluation.voc import Matches, average_precision
from cxr.evaluation.voc import precision_recall as curve_of
from cxr.figures.report import Panel, precision_recall, roc_curves
from cxr.labels import STUDY_CLASSES
from cxr.report.page import Html, absent, figure, number

T = TypeVar("T")


def curves(files: RunFiles) -> list[Html]:
    """Precision over recall of each class, out of fold."""
    panels = class_panels(files)
    if not panels:
        return absent("No out-of-fold predictions yet.")
    alt = f"Precision over recall, one panel each for {', '.join(panel.title for panel in panels)}."
    caption = (
        "Envelope of precision at each recall; the area below a line is its average precision, the dotted line is "
        "guessing. Class none of a single detector is the product of 1 - score over the boxes of an image."
    )
    return [figure(precision_recall(panels), alt, caption)]


def class_panels(files: RunFiles) -> list[Panel]:
    """Study classes by classifier, `none` and `opacity` by detector; a class without predictions has no panel."""
    panels = []
    for label, found in class_matches(files).items():
        positives = int(next(iter(found.values())).truths.sum())
        share = None if label == "opacity" else positives / _rows(files.ground, label)
        panels.append(Panel(label, _lines(found), share))
    return panels


def class_matches(files: RunFiles) -> dict[str, dict[str, Matches]]:
    """Matches by class and model, models without pretraining left out; a class without predictions is missing."""
    ground = files.ground
    if ground is None:
        return {}
    found: dict[str, dict[str, Matches]] = {}
    for name, scores in _main(files.study_scores).items():
        for label, matches in zip(STUDY_CLASSES, match_studies(ground, scores), strict=True):
            found.setdefault(label, {})[name] = matches
    for name, none in _main(files.none).items():
        found.setdefault("none", {})[name] = match_none(ground, none)
    for name, boxes in _main(files.boxes).items():
        found.setdefault("opacity", {})[name] = match_opacity(ground, boxes)
    return found


def _main(tables: dict[str, T]) -> dict[str, T]:
    return {name: table for name, table in tables.items() if is_main(name)}


def _rows(ground: Ground, label: str) -> int:
    return len(ground.images) if label == "none" else len(ground.studies)


def _lines(found: dict[str, Matches]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Points at the hits alone: between two of them recall stands still."""
    lines = {}
    for name, matches in found.items():
        curve = curve_of(matches)
        label = f"{title_of(name)}, AP {number(average_precision(matches))}"
        lines[label] = curve.recall[matches.hits], curve.envelope[matches.hits]
    return lines


def roc(files: RunFiles) -> list[Html]:
    """ROC curves of the classes that say yes or no of a study or an image; boxes have none."""
    panels = roc_panels(files)
    if not panels:
        return absent("No out-of-fold predictions yet.")
    alt = f"Sensitivity over false alarms, one panel each for {', '.join(panel.title for panel in panels)}."
    caption = (
        "Share of the true ones found over share of the others taken for it, scores of all folds together; AUC is the "
        "area below the line, .5 is guessing. Opacity has no such curve: there is no number of boxes that were rightly "
        "not drawn."
    )
    return [figure(roc_curves(panels), alt, caption)]


def roc_panels(files: RunFiles) -> list[Panel]:
    """Study classes by classifier, `none` by detector. A class that nobody or everybody has gets no panel."""
    ground, panels = files.ground, []
    if ground is None:
        return []
    studies = {
        name: scores.set_index("study_id").loc[ground.studies, list(STUDY_CLASSES)].to_numpy(float)
        for name, scores in _main(files.study_scores).items()
    }
    for k, label in enumerate(STUDY_CLASSES):
        found = {name: scores[:, k] for name, scores in studies.items()}
        panels += _roc_panel(label, ground.classes == k, found)
    none = {name: scores.loc[ground.images].to_numpy(float) for name, scores in _main(files.none).items()}
    return panels + _roc_panel("none", ground.empty, none)


def _roc_panel(label: str, truth: np.ndarray, found: dict[str, np.ndarray]) -> list[Panel]:
    if not found or truth.all() or not truth.any():
        return []
    lines = {}
    for name, scores in found.items():
        alarms, sensitivity, _ = roc_curve(truth, scores)
        lines[f"{title_of(name)}, AUC {number(auc(alarms, sensitivity))}"] = alarms, sensitivity
    return [Panel(label, lines)]
