"""Two submissions of the same test set, row by row: how far apart are their scores and boxes?

What the kernel wrote must be what the local models say: scores within SCORE, boxes within PIXELS.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxr.labels import IMAGE_SUFFIX, STUDY_SUFFIX, Prediction, parse_prediction_string
from cxr.submission_format import ID, TEXT, Source, read_submission

SCORE = 1e-4  # largest difference of two scores that count as equal
PIXELS = 0.5  # the same for a box's coordinate, in pixels of the original image


@dataclass
class Comparison:
    """What was compared and how far apart the pairs were; `differing` has a line a row that is not equal."""

    rows: int = 0
    boxes: int = 0
    largest_score: float = 0.0
    largest_pixels: float = 0.0
    spared: int = 0
    differing: list[str] = field(default_factory=list)

    def as_record(self) -> dict:
        """For report.json."""
        return {
            "rows": self.rows,
            "boxes": self.boxes,
            "largest_difference_of_scores": self.largest_score,
            "largest_difference_of_boxes_in_pixels": self.largest_pixels,
            "rows_spared_for_planted_faults": self.spared,
            "differing_rows": self.differing,
        }


def compare_submissions(kernel: Source, local: Source, spared: frozenset[str] = frozenset()) -> Comparison:
    """Compare every row but those whose ids are `spared`.

    Tables or files with columns id and PredictionString. Ids of only one of them are differences, never an error.
    Raises DataFault for what cannot be read (`validate` says more).
    """
    texts = [_texts(source) for source in (kernel, local)]
    found = Comparison()
    for row_id in dict.fromkeys([*texts[0], *texts[1]]):
        if row_id in spared:
            found.spared += 1
            continue
        found.rows += 1
        if any(row_id not in side for side in texts):
            reason = f"is missing in the {'kernel' if row_id not in texts[0] else 'local'} submission"
        else:
            reason = _compare_row(*(parse_prediction_string(side[row_id]) for side in texts), found)
        if reason:
            found.differing.append(f"{row_id}: {reason}")
    return found


def _texts(source: Source) -> dict[str, str]:
    table: pd.DataFrame = read_submission(source)
    return dict(zip(table[ID], table[TEXT], strict=True))


def _compare_row(kernel: list[Prediction], local: list[Prediction], found: Comparison) -> str:
    """Why two rows differ, "" when they do not; the differences of what could be paired go into `found`."""
    scores = [{group.label: group.score for group in side if group.label != "opacity"} for side in (kernel, local)]
    boxes = [[group for group in side if group.label == "opacity"] for side in (kernel, local)]
    if scores[0].keys() != scores[1].keys():
        return f"classes {' '.join(sorted(scores[0])) or '-'} against {' '.join(sorted(scores[1])) or '-'}"
    for label, score in scores[0].items():
        apart = abs(score - scores[1][label])
        found.largest_score = max(found.largest_score, apart)
        if apart > SCORE:
            return f"{label} {score:.6f} against {scores[1][label]:.6f}"
    if len(boxes[0]) != len(boxes[1]):
        return f"{len(boxes[0])} boxes against {len(boxes[1])}"
    return _compare_boxes(*boxes, found)


def _compare_boxes(kernel: list[Prediction], local: list[Prediction], found: Comparison) -> str:
    """Pair boxes in order of score; among local ones of nearly the same score the nearest is taken, so that two boxes
    which changed places do not count."""
    if not kernel:
        return ""
    values = np.array([group[1:] for group in local], dtype=float)  # score, then the box
    free = np.ones(len(local), dtype=bool)
    for group in sorted(kernel, key=lambda group: -group.score):
        apart = np.abs(values - np.array(group[1:], dtype=float))
        score, pixels = apart[:, 0], apart[:, 1:].max(axis=1)
        rank = np.where(free & (score <= SCORE), pixels, np.inf)
        best = int(rank.argmin())
        if rank[best] > PIXELS:
            rest = np.flatnonzero(free)
            near = rest[pixels[rest].argmin()]
            found.largest_score = max(found.largest_score, float(score[near]))
            found.largest_pixels = max(found.largest_pixels, float(pixels[near]))
            return f"a box of score {group.score:.6f}: the nearest is off by {pixels[near]:.2f} px, {score[near]:.6f}"
        free[best] = False
        found.boxes += 1
        found.largest_score = max(found.largest_score, float(score[best]))
        found.largest_pixels = max(found.largest_pixels, float(pixels[best]))
    return ""


def rows_of(study_ids: list[str], image_ids: list[str]) -> frozenset[str]:
    """The ids that rows of these studies and images have in a submission."""
    return frozenset([*(f"{i}{STUDY_SUFFIX}" for i in study_ids), *(f"{i}{IMAGE_SUFFIX}" for i in image_ids)])
