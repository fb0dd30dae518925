"""Which network goes over the test pictures when: what is worth most comes first, so that time runs out for the least.

| order of work | sacrificed when time is short |
|---|---|
| 1. the quickest detector and every classifier, one fold each | never; images that it does not reach get the fallback |
| 2. the slower detectors, one fold each | last |
| 3. the other folds of all of them, one after another | before that, the last fold first |
| 4. mirror images (test-time augmentation) | first |
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Pass(NamedTuple):
    """One trained network over all pictures, or over all of them mirrored."""

    model: str
    fold: int
    mirrored: bool = False

    @property
    def words(self) -> str:
        return f"{self.model} fold {self.fold}{' mirrored' if self.mirrored else ''}"


class Level(NamedTuple):
    """Passes that make the submission better together; it is worth writing anew when all are done."""

    name: str
    passes: tuple[Pass, ...]


def first_passes(detectors: Sequence[str], classifiers: Sequence[str]) -> list[Pass]:
    """One fold of every model: over the first pictures these tell which detector is the quickest."""
    return [Pass(name, 0) for name in (*detectors, *classifiers)]


def order_of_work(
    detectors: Sequence[str],
    classifiers: Sequence[str],
    folds: int,
    mirrored: Collection[str],
    seconds: Mapping[str, float],
) -> list[Level]:
    """Levels in the order of work.

    mirrored: models that also see mirror images; seconds: an image of a model takes, by model; a detector that has not
    been measured counts as the slower.
    """
    detectors = sorted(detectors, key=lambda name: seconds.get(name, math.inf))
    models = [*detectors, *classifiers]
    quick = [Pass(name, 0) for name in (*detectors[:1], *classifiers)]
    levels = [Level(f"one fold of {' and '.join(one.model for one in quick)}", tuple(quick))]
    levels += [Level(f"one fold of {name}, the slower detector", (Pass(name, 0),)) for name in detectors[1:]]
    levels += [
        Level(f"fold {fold} of all models", tuple(Pass(name, fold) for name in models)) for fold in range(1, folds)
    ]
    flips = tuple(Pass(name, fold, True) for fold in range(folds) for name in models if name in mirrored)
    return levels + ([Level("mirror images", flips)] if flips else [])
