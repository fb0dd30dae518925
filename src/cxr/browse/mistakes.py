"""What a model gets wrong, study by study: missed opacities, false alarms, the wrong class.

Boxes are judged as the metric does (`cxr.evaluation.voc`): a box hits a true one at IoU above .5, each true one once,
the higher score first. Images that the metric leaves out (boxless copies of boxed studies) are judged by nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.evaluation.thresholds import best_threshold
from cxr.evaluation.voc import Matches, match_detections
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS

MISSED, FALSE_ALARM, WRONG_CLASS, RIGHT = "missed opacity", "false alarm", "wrong class", "right"
USUAL = 0.5  # threshold where nothing tells a better one


@dataclass(frozen=True)
class BoxJudgement:
    """One detector against the truth; image indices are rows of the images table."""

    matches: Matches

    def missed(self, threshold: float) -> np.ndarray:
        """bool [I]: a true box without a hit of at least this score."""
        hits = self.matches.hits[self.matches.scores[self.matches.hits] >= threshold]
        return np.bincount(self.matches.image[hits], minlength=len(self.matches.truths)) < self.matches.truths

    def false_alarm(self, threshold: float) -> np.ndarray:
        """bool [I]: a box of at least this score that hits nothing, or hits what another has taken."""
        wrong = self.matches.scores >= threshold
        wrong[self.matches.hits] = False
        return np.bincount(self.matches.image[wrong], minlength=len(self.matches.truths)) > 0

    @property
    def best_threshold(self) -> float:
        """Score in hundredths (rounded down) at which F1 is highest; USUAL where there is no hit at all."""
        best = best_threshold(self.matches)
        return USUAL if np.isnan(best) else float(np.floor(best * 100) / 100)


def judge_boxes(images: pd.DataFrame, truth: pd.DataFrame, boxes: pd.DataFrame) -> BoxJudgement:
    """A BOXES table against the true boxes, on the images of role `train`; boxes of other images are left out."""
    rows, counted = pd.Index(images["image_id"]), (images["role"] == "train").to_numpy()
    found, true = rows.get_indexer(boxes["image_id"]), rows.get_indexer(truth["image_id"])
    used, wanted = (found >= 0) & counted[found], (true >= 0) & counted[true]
    return BoxJudgement(
        match_detections(
            found[used],
            boxes["score"].to_numpy(float)[used],
            boxes[BOX_COLUMNS].to_numpy(float)[used],
            true[wanted],
            truth[BOX_COLUMNS].to_numpy(float)[wanted],
            len(images),
        )
    )


def wrong_classes(kinds: pd.Series, scores: pd.DataFrame) -> np.ndarray:
    """bool [S]: the most probable class is not the true one. kinds: class name by study_id; scores: STUDY_SCORES.

    A study without scores, or of unknown class, is not called wrong.
    """
    table = scores.set_index("study_id").reindex(kinds.index)[list(STUDY_CLASSES)]
    known = (table.notna().all(axis=1) & kinds.notna()).to_numpy()
    best = np.array(STUDY_CLASSES, object)[table.fillna(0).to_numpy().argmax(1)]
    return known & (best != kinds.to_numpy(object))
