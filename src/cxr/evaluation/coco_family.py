"""Other metrics, not the competition's: average precision and recall of the COCO family, by pycocotools.

They differ from the competition's in four ways: precision is read at 101 recalls instead of everywhere, an IoU of
exactly .5 is a hit, a detection may turn to its second-best box, and 100 detections an image count at most. The keys
begin with `coco_`, so that nobody takes one for the other. (Lin et al., Microsoft COCO, 2014; cocodataset.org,
"Detection evaluation".)
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cxr.boxes import xyxy_to_xywh
from cxr.labels import CLASSES
from cxr.tables import BOX_COLUMNS

NOTE = "keys with coco_ are other metrics, not the competition's"
LIMIT = 100  # detections of a class an image, pycocotools' own limit
EVERYWHERE = [0, 1e10]  # square pixels: boxes of all sizes


def coco_scores(detections: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """AP at IoU .5 to .95, AP at .5 and recall with 100 detections, of `opacity` and as the mean of the classes.

    Both tables hold row (an image of the metric: a number), label and x_min, y_min, x_max, y_max, `detections` score
    too. Keys: coco_AP, coco_AP50, coco_AR100 and each with `_opacity`; in 0..1, NaN for what the truth lacks.
    """
    evaluation = evaluate(detections, truth)
    precision, recall = (_present(evaluation.eval[key]) for key in ("precision", "recall"))
    figures = {  # each [classes]
        "coco_AP": precision.mean(axis=(0, 1)),
        "coco_AP50": precision[0].mean(axis=0),
        "coco_AR100": recall.mean(axis=0),
    }
    opacity = CLASSES.index("opacity")
    mean = {key: float(np.nanmean(values)) if np.isfinite(values).any() else np.nan for key, values in figures.items()}
    return mean | {f"{key}_opacity": float(values[opacity]) for key, values in figures.items()}


def evaluate(detections: pd.DataFrame, truth: pd.DataFrame) -> COCOeval:
    """pycocotools' own result for the six classes, all box sizes as one; what it prints on the way is dropped."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(to_index(truth), to_index(detections), "bbox")
        evaluation.params.imgIds = sorted({*truth["row"], *detections["row"]})
        evaluation.params.catIds = list(range(1, len(CLASSES) + 1))
        limit_to(evaluation, evaluation.params.iouThrs, LIMIT)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def limit_to(evaluation: COCOeval, iou_thresholds: Sequence[float], detections: int) -> None:
    """These IoU thresholds, boxes of all sizes as one, and so many detections of a class an image."""
    evaluation.params.iouThrs = np.asarray(iou_thresholds, dtype=float)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [EVERYWHERE], ["all"]
    evaluation.params.maxDets = [detections]


def to_index(boxes: pd.DataFrame) -> COCO:
    """A table as pycocotools holds it. Ids start at 1: it takes an annotation 0 for unmatched."""
    boxes_xywh = xyxy_to_xywh(boxes[BOX_COLUMNS].to_numpy())
    scores = boxes["score"].tolist() if "score" in boxes else [1.0] * len(boxes)
    categories = [CLASSES.index(label) + 1 for label in boxes["label"]]
    columns = zip(boxes["row"].tolist(), categories, boxes_xywh.tolist(), scores, strict=True)
    index = COCO()
    index.dataset = {
        "images": [{"id": row} for row in boxes["row"].unique().tolist()],
        "categories": [{"id": number, "name": label} for number, label in enumerate(CLASSES, 1)],
        "annotations": [
            {"id": k, "image_id": row, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0,
             "score": score}
            for k, (row, category, box, score) in enumerate(columns, 1)
        ],
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    return index


def _present(values: np.ndarray) -> np.ndarray:
    """[IoU x ... x classes x 1 x 1] without the last two axes; pycocotools' -1 (absent class) as NaN."""
    values = values[..., 0, 0]
    return np.where(values < 0, np.nan, values)
