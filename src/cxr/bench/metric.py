"""The competition's metric and its bootstrap at the size of the visible test set, beside pycocotools and podm.

The data have the shape of the real ones: 1214 studies of four classes, 1263 images with `none` and 100 boxes each, six
decimals. What either side is given lies in memory before the clock starts; pycocotools is timed on `evaluate` and
`accumulate`, as it comes (ten IoU thresholds, four box sizes) and cut down to the work that we do (one and one).
"""

import contextlib
import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from pycocotools.cocoeval import COCOeval

from cxr.bench.timing import alternating_ms, median_ms, print_pair
from cxr.evaluation.bootstrap import Units, average_precisions, resample
from cxr.evaluation.coco_family import LIMIT, limit_to, to_index
from cxr.evaluation.voc import Matches, match_detections
from cxr.labels import CLASSES, STUDY_CLASSES, UNIT_BOX
from cxr.tables import BOX_COLUMNS

STUDIES, IMAGES, BOXES, PATIENTS = 1214, 1263, 100, 900  # the visible test set, a generous detector
SHARES = (0.28, 0.47, 0.17, 0.08)  # of the study classes in the train set
BOXED, COUNTS, COUNT_SHARES = 0.68, (1, 2, 3, 4), (0.23, 0.72, 0.04, 0.01)  # images with boxes, and how many
RESAMPLES = 1000


class Case(NamedTuple):
    """Tables with row, label, x_min, y_min, x_max, y_max, `detections` score too; rows are studies, then images."""

    detections: pd.DataFrame
    truth: pd.DataFrame
    rows: int


def main(repeats: int) -> None:
    """Print the metric beside the others, then the bootstrap."""
    case = make_case(STUDIES, IMAGES, BOXES)
    print(f"six classes, {STUDIES} studies + {IMAGES} images x {BOXES} boxes, ms: theirs, ours, times as fast")
    podm = podm_piece(case)
    pieces = [coco_piece(case), coco_piece(case, True), podm, our_piece(case)]
    *others, ours = alternating_ms(pieces, repeats)
    names = ("pycocotools as it comes", "pycocotools, IoU .5 and all box sizes as one", "podm (the same AP)")
    for name, other in zip(names, others, strict=True):
        print_pair(name, other, ours)
    print(f"greatest difference of an AP from podm's: {difference(case, podm()):.1e}")
    print("bootstrap by patient, six classes, s")
    systems = [match_classes(each) for each in (case, make_case(STUDIES, IMAGES, BOXES, seed=1))]
    for name, count in (("one submission", 1), ("two, paired", 2)):
        seconds = median_ms(lambda count=count: resample(systems[:count], patients(), RESAMPLES), 1) / 1000
        print(f"{f'{RESAMPLES} resamples, {name}':54}{seconds:10.1f}")


def make_case(studies: int, images: int, boxes: int, seed: int = 0) -> Case:
    """Predictions that know something; truth is the same for every seed."""
    rng, truth_rng = np.random.default_rng(seed), np.random.default_rng(99)
    kinds = truth_rng.choice(len(STUDY_CLASSES), studies, p=SHARES)
    boxed = truth_rng.random(images) < BOXED
    rows, rows_of_images = np.arange(studies), studies + np.arange(images)
    true_boxes = true_opacities(rows_of_images, boxed, truth_rng)
    truth = [unit_table(rows[kinds == k], label) for k, label in enumerate(STUDY_CLASSES)]
    truth += [unit_table(rows_of_images[~boxed], "none"), true_boxes]
    found = [
        unit_table(rows, label).assign(score=guess(kinds == k, rng)) for k, label in enumerate(STUDY_CLASSES)
    ] + [
        unit_table(rows_of_images, "none").assign(score=guess(~boxed, rng)),
        detections_near(true_boxes, rows_of_images, boxes, rng),
    ]  # fmt: skip
    detections, truth = (pd.concat(parts, ignore_index=True) for parts in (found, truth))
    return Case(detections.round({"score": 6}), truth, studies + images)


def unit_table(rows: np.ndarray, label: str) -> pd.DataFrame:
    return pd.DataFrame({"row": rows, "label": label}).assign(**dict(zip(BOX_COLUMNS, UNIT_BOX, strict=True)))


def guess(right: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(0.35 * right + rng.normal(0.3, 0.2, len(right)), 0, 1)


def true_opacities(rows: np.ndarray, boxed: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    each = np.where(boxed, rng.choice(COUNTS, len(rows), p=COUNT_SHARES), 0)
    return opacity_table(np.repeat(rows, each), random_boxes_xyxy(each.sum(), rng))


def random_boxes_xyxy(count: int, rng: np.random.Generator) -> np.ndarray:
    corner, size = rng.uniform(0, 2000, (count, 2)), rng.uniform(200, 1400, (count, 2))
    return np.hstack([corner, corner + size])


def opacity_table(rows: np.ndarray, boxes_xyxy: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(boxes_xyxy, columns=BOX_COLUMNS)
    table.insert(0, "row", rows)
    table.insert(1, "label", "opacity")
    return table


def detections_near(truth: pd.DataFrame, rows: np.ndarray, boxes: int, rng: np.random.Generator) -> pd.DataFrame:
    """`boxes` an image, mostly anywhere with low scores; three more a true box lie near it and score better."""
    near = truth.loc[truth.index.repeat(3), BOX_COLUMNS].to_numpy()
    near = np.sort((near + rng.normal(0, 120, near.shape)).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    near_rows = truth["row"].to_numpy().repeat(3)
    anywhere = np.repeat(rows, boxes - 3 * np.bincount(truth["row"], minlength=rows[-1] + 1)[rows])
    table = opacity_table(
        np.concatenate([near_rows, anywhere]),
        np.vstack([near, random_boxes_xyxy(len(anywhere), rng)]),
    )
    scores = rng.random(len(table)) ** 8
    scores[: len(near)] = np.clip(scores[: len(near)] + 0.3 * rng.random(len(near)), 0, 1)
    return table.assign(score=scores).sort_values("row", kind="stable", ignore_index=True)


def by_class(case: Case) -> list[tuple]:
    """Arguments of `match_detections` for each class."""
    arguments = []
    for label in CLASSES:
        found, true = (table[table["label"] == label] for table in (case.detections, case.truth))
        arguments.append(
            (
                *(found[column].to_numpy() for column in ("row", "score")),
                found[BOX_COLUMNS].to_numpy(),
                true["row"].to_numpy(),
                true[BOX_COLUMNS].to_numpy(),
                case.rows,
            )
        )
    return arguments


def match_classes(case: Case) -> list[Matches]:
    return [match_detections(*each) for each in by_class(case)]


def our_piece(case: Case) -> Callable:
    """Matching and AP of six classes and their mean."""
    arguments = by_class(case)
    return lambda: average_precisions([match_detections(*each) for each in arguments])


def coco_piece(case: Case, limited: bool = False) -> Callable:
    """pycocotools on the same boxes; `limited` to one IoU threshold, one range of sizes and 100 detections."""
    truth, detections = to_index(case.truth), to_index(case.detections)

    def piece() -> COCOeval:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(truth, detections, "bbox")
            evaluation.params.imgIds = list(range(case.rows))
            if limited:
                limit_to(evaluation, [0.5], LIMIT)
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation

    return piece


def podm_piece(case: Case) -> Callable:
    """podm, the independent VOC metric of the tests, on the same boxes."""
    from podm.metrics import BoundingBox, get_pascal_voc_metrics  # a package for tests, needed here alone

    truth, found = (
        [BoundingBox.of_bbox(row, label, *box) for row, label, *box in table[["row", "label", *BOX_COLUMNS]].to_numpy()]
        for table in (case.truth, case.detections)
    )
    for box, score in zip(found, case.detections["score"], strict=True):
        box.score = score
    return lambda: get_pascal_voc_metrics(truth, found, np.nextafter(0.5, 1))


def patients() -> Units:
    """Studies and images over patients, as they come in the real test set."""
    unit = np.concatenate([np.arange(STUDIES) % PATIENTS, np.minimum(np.arange(IMAGES), STUDIES - 1) % PATIENTS])
    return Units(unit, np.zeros(PATIENTS, int))


def difference(case: Case, others: dict) -> float:
    """Greatest difference of a class's AP from podm's."""
    return float(np.abs(our_piece(case)()[: len(CLASSES)] - [others[label].ap for label in CLASSES]).max())
