"""Parts on out-of-fold predictions: average precision with intervals by patient, and the curves behind it."""

import numpy as np
import pandas as pd

from cxr.evaluation.intervals import interval
from cxr.evaluation.out_of_fold import (
    confusion,
    ground_truth,
    match_none,
    match_opacity,
    match_studies,
    opacity_scores,
)
from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.evaluation.score import RESAMPLES
from cxr.evaluation.voc import Matches, average_precision
from cxr.evaluation.voc import precision_recall as curve_of
from cxr.figures.charts import confusion_matrix
from cxr.figures.report import Panel, precision_recall
from cxr.labels import STUDY_CLASSES
from cxr.report.page import Html, Number, absent, estimate, figure, heading, number, paragraph, table

NO_TRUTH = "No folds or true boxes yet: stages 01 and 03 have not both run."


def detectors(files: RunFiles) -> list[Html]:
    """AP of `opacity` of every table of boxes, over all images and over boxed images only, side by side."""
    if files.images is None or files.truth is None:
        return absent(NO_TRUTH)
    if not files.boxes:
        return absent("No detector has predicted its held-out images yet.")
    images = files.images[files.images["role"] == "train"]
    rows = [[title_of(name), *detector_row(images, files.truth, boxes)] for name, boxes in files.boxes.items()]
    folds = [f"fold {fold}" for fold in sorted(images["fold"].unique())]
    words = (
        f"{len(images)} images, {(images['has_box'] == 1).sum()} of them boxed, each predicted by a model that never "
        f"saw its fold; the mean over folds, since scores of different folds have different scales. In brackets 95 % "
        f"intervals ({RESAMPLES} resamples of patients). Single folds: all of their images."
    )
    return [table(["AP of opacity", "all images", "boxed images only", *folds], rows), paragraph(words)]


def detector_row(images: pd.DataFrame, truth: pd.DataFrame, boxes: pd.DataFrame) -> list[Number]:
    """Cells of one table of boxes: all images, boxed images, then each fold."""
    cells = []
    for part in (images, images[images["has_box"] == 1]):
        ground = ground_truth(part, truth)
        cells.append(estimate(*interval(match_opacity(ground, boxes), ground.patient, folds=ground.fold)))
    by_fold = opacity_scores(images, truth, boxes)["AP, all images"].drop("all folds")
    return cells + [number(value) for value in by_fold]


def studies(files: RunFiles) -> list[Html]:
    """AP of the study classes with intervals, and which classes are taken for which."""
    if files.ground is None:
        return absent(NO_TRUTH)
    if not files.study_scores:
        return absent("No study classifier has predicted its held-out images yet.")
    blocks = [study_table(files)]
    if len(files.study_scores) > len(files.image_scores):
        blocks.append(paragraph("Fused: after stage 10, where negative also hears what the detectors found."))
    for name, scores in files.image_scores.items():
        matrix = confusion_matrix(confusion(files.images, scores))
        alt = f"Confusion matrix of the {title_of(name)}: true classes in rows, most probable classes in columns."
        caption = "Studies by true class and most probable class; the shade is the share of the row."
        blocks += [heading(title_of(name)), figure(matrix, alt, caption)]
    return blocks


def study_table(files: RunFiles) -> Html:
    """Class, studies, share, then AP of every table of study scores; the mean of the four last."""
    patients, folds = files.ground.patient, files.ground.fold
    matches = {name: match_studies(files.ground, scores) for name, scores in files.study_scores.items()}
    counts = np.bincount(files.ground.classes, minlength=len(STUDY_CLASSES))
    rows = [
        [label, Number(counts[k]), number(counts[k] / counts.sum())]
        + [estimate(*interval(four[k], patients, folds=folds)) for four in matches.values()]
        for k, label in enumerate(STUDY_CLASSES)
    ]
    means = [estimate(*interval(four, patients, folds=folds)) for four in matches.values()]
    rows.append(["mean", Number(counts.sum()), number(1 / len(STUDY_CLASSES)), *means])
    return table(["class", "studies", "share", *(f"AP, {title_of(name)}" for name in matches)], rows)


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
    ground = files.ground
    if ground is None:
        return []
    panels = []
    four = {name: match_studies(ground, scores) for name, scores in files.study_scores.items() if is_main(name)}
    for k, label in enumerate(STUDY_CLASSES if four else ()):
        share = float((ground.classes == k).mean())
        panels.append(Panel(label, _lines({name: matches[k] for name, matches in four.items()}), share))
    if files.none:
        found = {name: match_none(ground, none) for name, none in files.none.items() if is_main(name)}
        panels.append(Panel("none", _lines(found), float(ground.empty.mean())))
    if files.boxes:
        found = {name: match_opacity(ground, boxes) for name, boxes in files.boxes.items() if is_main(name)}
        panels.append(Panel("opacity", _lines(found)))
    return panels


def _lines(found: dict[str, Matches]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Points at the hits alone: between two of them recall stands still."""
    lines = {}
    for name, matches in found.items():
        curve = curve_of(matches)
        label = f"{title_of(name)}, AP {number(average_precision(matches))}"
        lines[label] = curve.recall[matches.hits], curve.envelope[matches.hits]
    return lines
