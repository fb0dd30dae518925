"""Parts on out-of-fold predictions: average precision with intervals by patient, and what is taken for what."""

import numpy as np
import pandas as pd

from cxr.evaluation.bootstrap import RESAMPLES
from cxr.evaluation.intervals import interval
from cxr.evaluation.out_of_fold import Ground, ground_truth, match_opacity, match_studies, opacity_scores
from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.figures.charts import confusion_matrix
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
    caption = "Studies by true class and most probable class; the shade is the share of the row."
    matrices = [
        figure(
            confusion_matrix(confusion(files.ground, files.study_scores[name])),
            f"Confusion matrix of the {title_of(name)}: true classes in rows, most probable classes in columns.",
            f"{title_of(name)[:1].upper()}{title_of(name)[1:]}",
        )
        for name in filter(is_main, files.study_scores)
    ]
    blocks += [
        heading("what is taken for what"),
        Html(f"<div class=pair>{''.join(matrices)}</div>"),
        paragraph(caption),
    ]
    return blocks


def confusion(ground: Ground, scores: pd.DataFrame) -> pd.DataFrame:
    """Numbers of studies by true class (rows) and most probable class (columns)."""
    taken = scores.set_index("study_id").loc[ground.studies, list(STUDY_CLASSES)].to_numpy(float).argmax(axis=1)
    counts = np.zeros((len(STUDY_CLASSES), len(STUDY_CLASSES)), int)
    np.add.at(counts, (ground.classes, taken), 1)
    return pd.DataFrame(counts, index=list(STUDY_CLASSES), columns=list(STUDY_CLASSES))


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
