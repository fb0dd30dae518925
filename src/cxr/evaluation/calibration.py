"""Whether scores are probabilities: how often what got a score of p is correct.

For the classes without a place a score is right if the row holds the class. For `opacity` it is right if the detection
is a hit of the metric, so a second box on the same opacity is wrong however well it lies.

Bins have equal width in 0..1, not equal counts: most detections have scores near 0, so bins of equal counts would pour
all high scores, which people act on, into one. Where a bin holds too few scores for a share, it is joined with the next
lower one, until it holds enough: wide bins at the top where high scores are rare. Intervals are Wilson's, which hold
for shares near 0 and 1 and for few counts (Wilson 1927; Brown, Cai and DasGupta, Statistical Science 16, 2001).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxr.evaluation.voc import Matches
from cxr.labels import CLASSES

Z95 = 1.959964  # standard normal deviate of a two-sided 95 % interval
SMALLEST = 10  # scores in a bin
COLUMNS = ["low", "high", "count", "mean_score", "share", "share_low", "share_high"]


def reliability(scores: np.ndarray, hits: np.ndarray, bins: int = 10, smallest: int = SMALLEST) -> pd.DataFrame:
    """A row a bin, rising: low and high of the bin, count, mean score, share of hits and its 95 % interval.

    scores [N] in 0..1; hits bool [N]. A bin holds low < score <= high, the first one 0 too. Bins of fewer than
    `smallest` scores are joined with the next lower one, the lowest with the next higher. No scores, no rows.
    """
    scores, hits = _checked(scores, hits)
    number = np.clip(np.ceil(scores * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(number, minlength=bins)
    edges = np.linspace(0, 1, bins + 1)
    rows = []
    for first, last in _joined(counts, smallest):
        inside = (number >= first) & (number <= last)
        share, count = hits[inside].mean(), int(inside.sum())
        rows.append((edges[first], edges[last + 1], count, scores[inside].mean(), share, *wilson(share, count)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _joined(counts: np.ndarray, smallest: int) -> list[tuple[int, int]]:
    """First and last bin of each joined bin, rising: from the top downward, each as soon as it holds enough."""
    groups, last = [], len(counts) - 1
    for first in reversed(range(len(counts))):
        if counts[first : last + 1].sum() >= max(smallest, 1):
            groups.append((first, last))
            last = first - 1
    if counts[: last + 1].sum():  # what is left at the bottom is too little
        groups.append((0, groups.pop()[1] if groups else last))
    return groups[::-1]


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % score interval of a share of `count` trials (Wilson 1927), both in 0..1."""
    middle = (share + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
    half = Z95 / (1 + Z95**2 / count) * np.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2))
    return float(max(middle - half, 0)), float(min(middle + half, 1))


def expected_calibration_error(scores: np.ndarray, hits: np.ndarray, bins: int = 10) -> float:
    """Mean distance of a bin's share of hits from its mean score, weighted by count (Guo et al., ICML 2017, eq. 3).

    In 0..1, over the bins of `reliability`; NaN without scores. Detections are mostly low scores, and these decide it.
    """
    table = reliability(scores, hits, bins)
    if table.empty:
        return float("nan")
    return float(np.average((table["share"] - table["mean_score"]).abs(), weights=table["count"]))


def brier(scores: np.ndarray, hits: np.ndarray) -> float:
    """Mean squared distance of score and outcome (Brier 1950), 0..1, lower is better; NaN without scores."""
    scores, hits = _checked(scores, hits)
    return float(((scores - hits) ** 2).mean()) if len(scores) else float("nan")


def calibration_summary(matches: Sequence[Matches], bins: int = 10) -> pd.DataFrame:
    """Six classes in the order of CLASSES (rows): scores, mean_score, share of hits, ECE, Brier, and Brier_constant.

    The last is what the share of hits would reach as everybody's score: a Brier score above it is worth nothing.
    """
    rows = {}
    for label, each in zip(CLASSES, matches, strict=True):
        hits = is_hit(each)
        share = hits.mean() if len(hits) else np.nan
        rows[label] = {
            "scores": len(hits),
            "mean_score": each.scores.mean() if len(hits) else np.nan,
            "share": share,
            "ECE": expected_calibration_error(each.scores, hits, bins),
            "Brier": brier(each.scores, hits),
            "Brier_constant": share * (1 - share),
        }
    return pd.DataFrame(rows).T.astype({"scores": int})


def is_hit(matches: Matches) -> np.ndarray:
    """Bool [D]: which detections, by rank, are correct."""
    hits = np.zeros(len(matches.scores), bool)
    hits[matches.hits] = True
    return hits


def _checked(scores: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, hits = np.asarray(scores, float), np.asarray(hits, bool)
    if scores.shape != hits.shape or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("calibration needs one score within 0..1 for each outcome; check predictions before")
    return scores, hits
