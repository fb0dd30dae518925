"""Good and bad cases: images on which the fused system is most right or most wrong, with what every model said of them.

They are chosen by its out-of-fold predictions alone, ties by id: the same predictions give the same pictures.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.boxes import iou_xyxy
from cxr.evaluation.out_of_fold import Ground, match_opacity
from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.evaluation.voc import Matches, average_precision
from cxr.labels import STUDY_CLASSES
from cxr.report.examples import card, class_bars, image_words, row_block
from cxr.report.page import Html, absent, heading, number, paragraph, text
from cxr.tables import BOX_COLUMNS

EACH = 4  # pictures a kind


class Case(NamedTuple):
    """An image by id, and why it is shown."""

    image_id: str
    why: str


def cases(files: RunFiles) -> list[Html]:
    """Four kinds of cases; of each image every detector's boxes beside each other, then every classifier's opinion."""
    if files.pixels is None or files.ground is None:
        return absent("No pictures: stage 01 or 03 has not run, or the cache was removed to save disk.")
    found = find_cases(files)
    if not any(found.values()):
        return absent("No detector and no classifier has predicted these images yet.")
    words = (
        "Above each row: the true class, the image, and why it is shown. Green: true boxes. Amber: the best boxes of "
        "each detector, with scores. At the right end: what each classifier says of the study, its true class in green."
    )
    words += " Blue: outline of the lungs." if files.places.lungs.is_dir() else ""
    blocks = [paragraph(words)]
    for title, group in found.items():
        blocks += [heading(title), *(case_block(files, case) for case in group)]
        blocks += [] if group else absent("None.")
    return blocks


def find_cases(files: RunFiles) -> dict[str, list[Case]]:
    """Cases by kind. Chosen by the fused system where stage 10 has run, else by the first model of each kind."""
    found: dict[str, list[Case]] = {}
    detector, classifier = files.best_of(files.boxes), files.best_of(files.study_scores)
    if detector:
        boxes = files.boxes[detector]
        table = boxed_images(files.ground, boxes)
        order = table.sort_values(["ap", "iou", "image_id"])
        found["best boxes"] = [_box_case(row) for row in order[::-1][:EACH].itertuples()]
        found["worst boxes"] = [_box_case(row) for row in order[:EACH].itertuples()]
        found["loudest false alarms on images without a box"] = false_alarms(files.ground, boxes)
    if classifier:
        found["studies most surely taken for another class"] = wrong_studies(files, files.study_scores[classifier])
    return found


def _box_case(row: tuple) -> Case:
    words = f"AP of opacity on this image {number(row.ap)}, mean IoU of its true boxes {number(row.iou)}"
    return Case(row.image_id, words)


def boxed_images(ground: Ground, boxes: pd.DataFrame) -> pd.DataFrame:
    """image_id, ap, iou of every boxed image.

    ap: VOC AP on this image alone; many tie at 0 and at 1. iou: mean over the true boxes of the highest IoU with as
    many best boxes as there are true ones, which orders these.
    """
    matches = match_opacity(ground, boxes)
    rows = ground.image_rows
    truth = {name: group[BOX_COLUMNS].to_numpy(float) for name, group in ground.boxes.groupby("image_id")}
    ranked = boxes[boxes["image_id"].isin(truth)].sort_values("score", ascending=False, kind="stable")
    found = {name: group[BOX_COLUMNS].to_numpy(float) for name, group in ranked.groupby("image_id")}
    parts = split_images(matches)
    return pd.DataFrame(
        [
            (name, _image_ap(parts.get(rows[name]), len(true)), _mean_iou(true, found.get(name)))
            for name, true in truth.items()
        ],
        columns=["image_id", "ap", "iou"],
    )


def split_images(matches: Matches) -> dict[int, np.ndarray]:
    """Ranks at which each image's own detections hit, 0-based, by image; images without a detection are left out."""
    hit = np.zeros(len(matches.scores), bool)
    hit[matches.hits] = True
    order = np.argsort(matches.image, kind="stable")
    images, starts = np.unique(matches.image[order], return_index=True)
    return {int(row): np.flatnonzero(part) for row, part in zip(images, np.split(hit[order], starts[1:]), strict=True)}


def _image_ap(hits: np.ndarray | None, truths: int) -> float:
    """AP of one image from the ranks of its hits."""
    if hits is None or not len(hits):
        return 0.0
    seen = int(hits[-1]) + 1
    return average_precision(Matches(np.zeros(seen), np.zeros(seen, int), hits, np.array([truths])))


def _mean_iou(true_xyxy: np.ndarray, found_xyxy: np.ndarray | None) -> float:
    if found_xyxy is None:
        return 0.0
    return float(iou_xyxy(true_xyxy, found_xyxy[: len(true_xyxy)]).max(axis=1).mean())


def false_alarms(ground: Ground, boxes: pd.DataFrame) -> list[Case]:
    """Boxless images by the score of their best box, highest first."""
    best = boxes[boxes["image_id"].isin(ground.images[ground.empty])].groupby("image_id")["score"].max()
    table = best.reset_index().sort_values(["score", "image_id"], ascending=[False, True])
    return [
        Case(row.image_id, f"no box is true; the best one scores {number(row.score)}")
        for row in table[:EACH].itertuples()
    ]


def wrong_studies(files: RunFiles, scores: pd.DataFrame) -> list[Case]:
    """Studies whose most probable class is wrong, surest first, each by the first of its images."""
    ground = files.ground
    values = scores.set_index("study_id").loc[ground.studies, list(STUDY_CLASSES)].to_numpy(float)
    taken = values.argmax(axis=1)
    wrong = np.flatnonzero(taken != ground.classes)
    wrong = wrong[np.lexsort((ground.studies[wrong], -values[wrong, taken[wrong]]))]
    first = files.images.drop_duplicates("study_id").set_index("study_id")["image_id"]
    return [
        Case(
            first[ground.studies[row]],
            f"taken for {STUDY_CLASSES[taken[row]]} with {number(values[row, taken[row]])}",
        )
        for row in wrong[:EACH]
    ]


def case_block(files: RunFiles, case: Case) -> Html:
    """One image: a picture a detector, then bars of every classifier."""
    row = int(np.flatnonzero(files.images["image_id"] == case.image_id)[0])
    image = files.images.iloc[row]
    shown = [card(files, row, name, text(title_of(name))) for name in files.boxes if is_main(name)]
    shown = shown or [card(files, row, None, text("no detector yet"))]
    opinions = [
        f"<figcaption>{text(title_of(name))}</figcaption>{class_bars(image, scores.set_index('study_id'))}"
        for name, scores in files.study_scores.items()
        if is_main(name)
    ]
    shown += [f"<figure class=opinions>{''.join(opinions)}</figure>"] if opinions else []
    return Html(row_block(Html(f"{image_words(image)}: {text(case.why)}"), shown))
