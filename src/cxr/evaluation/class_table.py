"""One row a class: how many there are, AP on all images and on boxed images only, and F1 at a threshold.

AP on boxed images only is the figure that most papers give. It is the easier one, since no detection on an image
without opacity counts against it; the competition counts all images.
"""

import numpy as np
import pandas as pd

from cxr.evaluation.bootstrap import KEYS, RESAMPLES
from cxr.evaluation.intervals import draw, estimate, interval
from cxr.evaluation.out_of_fold import Ground, match_all
from cxr.evaluation.thresholds import threshold_table
from cxr.evaluation.voc import boxed_only
from cxr.labels import CLASSES

AP_COLUMNS = ["AP", "low", "high"]
BOXED_COLUMNS = ["AP_boxed", "boxed_low", "boxed_high"]
F1_COLUMNS = ["threshold", "threshold_low", "threshold_high", "precision", "recall", "F1"]


def class_table(
    ground: Ground,
    boxes: pd.DataFrame,
    none: pd.Series,
    studies: pd.DataFrame,
    resamples: int = RESAMPLES,
    by_fold: bool = False,
) -> pd.DataFrame:
    """Out-of-fold predictions, as for `out_of_fold.match_all`: the six classes and mAP (rows).

    Columns: positives (true studies, images or boxes), AP with low and high (95 %, by patient), the same on boxed
    images only (opacity alone), threshold kept for new data with the range of the folds', then precision, recall and F1
    at thresholds chosen on the other folds (`thresholds`). With `by_fold` AP is the mean over folds (`intervals`).
    What a row has no meaning for is NaN, positives of mAP are missing.
    """
    matches = match_all(ground, boxes, none, studies)
    folds = ground.fold if by_fold else None
    drawn = draw([matches], ground.patient, resamples, folds)
    table = pd.DataFrame([estimate(drawn, 0, key) for key in KEYS], index=list(KEYS), columns=["value", "low", "high"])
    table = table.set_axis(AP_COLUMNS, axis=1)
    counts = pd.Series([int(each.truths.sum()) for each in matches], index=list(CLASSES), dtype="Int64")
    table.insert(0, "positives", counts.reindex(KEYS))
    table[BOXED_COLUMNS] = np.nan
    boxed = interval(boxed_only(matches[CLASSES.index("opacity")]), ground.patient, resamples, folds)
    table.loc["opacity", BOXED_COLUMNS] = list(boxed)
    chosen = threshold_table(matches, ground.fold)
    return table.join(chosen[F1_COLUMNS])
