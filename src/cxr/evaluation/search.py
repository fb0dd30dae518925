"""The search behind stage 10: coordinate search over small grids, on all folds and nested.

Each fusion is made once for all images and serves every path of the search; so does the AP of each fold, of which a
path that leaves a fold out takes the mean of the others. What is fitted (calibration) is fitted on a path's own folds.
"""

from collections.abc import Collection, Sequence

from cxr.evaluation.ensemble import OutOfFold
from cxr.evaluation.intervals import MEAN, STUDIES
from cxr.evaluation.steps import Part, Step, without_steps
from cxr.prediction.constants import Constants

ROUNDS = 2  # over the grids of a step
# Share of resamples in which a choice must beat the published values, on patients that did not choose. One standard
# error: the rule of Breiman et al. (Classification and Regression Trees, 1984, 3.4.3) for keeping what is simple
SURE = 0.84


def search(
    data: OutOfFold, steps: Sequence[Step], start: Constants, folds: Sequence[int], tuned: Collection[str]
) -> list[Constants]:
    """Constants before the first step and after each. Steps named in `tuned` choose on these folds alone, the others
    take their start.

    The published values stay unless choosing beats them on patients that did not choose: see `_holds`.
    """
    path = [without_steps(start)]
    for step in steps:
        before = path[-1]
        path.append(_tune(Part(data, data.rows(folds)), step, before) if step.name in tuned else step.start(before))
    return path


def too_few(data: OutOfFold, step: Step, folds: Sequence[int], least: int) -> str:
    """Why a step should not be tuned on these folds, in words; empty if it may.

    A step without a guard has no published values to fall back on: nobody published which detector is ours.
    """
    found = data.patients(step.metric, data.rows(folds))
    if found >= least or not step.guarded:
        return ""
    rarest = "its rarest class" if step.metric in (STUDIES, MEAN) else step.metric
    where = f"fold {', '.join(map(str, folds))}" if folds else "no other fold"
    return f"{found} patients have {rarest} in {where}, tuning wants {least}"


def _tune(part: Part, step: Step, before: Constants) -> Constants:
    chosen, published = _choose(part, step, before), step.start(before)
    return chosen if chosen == published or not step.guarded or _holds(part, step, before) else published


def _choose(part: Part, step: Step, before: Constants) -> Constants:
    """The best that coordinate search finds from the published values; to leave the step out is a candidate too."""

    def value(constants: Constants) -> float:
        return part.data.value(constants, step.metric, part.rows)

    chosen = step.start(before)
    best = value(chosen)
    for _ in range(ROUNDS):
        entered = chosen
        for coordinate in [lambda *_: [before], *step.coordinates]:
            for candidate in coordinate(chosen, part):
                if value(candidate) > best:
                    chosen, best = candidate, value(candidate)
        if chosen == entered:
            break
    return chosen


def _holds(part: Part, step: Step, before: Constants) -> bool:
    """Whether what each half of the patients chooses beats the published values on the other half, on most resamples.

    The best of many grid points beats anything on the patients that it was chosen on, by chance alone.
    """
    first, second = part.data.halves(part.rows)
    trials = [
        (_choose(Part(part.data, rows), step, before), step.start(before), held_out)
        for rows, held_out in ((first, second), (second, first))
    ]
    return part.data.share_better(trials, step.metric) >= SURE
