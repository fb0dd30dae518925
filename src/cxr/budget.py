"""One clock for the whole run, counted over its stages: a run stopped today and resumed tomorrow has lost no hours."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from cxr.profiles import Budget


class Clock:
    """Seconds used and left. Earlier stages' seconds lie in a file; the running stage is measured from now.

    A training that a share of the clock cut short says so in its run.json (`clock_bound`): one that was not is
    reproducible byte for byte.
    """

    def __init__(self, path: Path, budget: Budget, now: Callable[[], float] = time.monotonic):
        self.path, self.budget, self.now = path, budget, now
        self.started = now()
        self.before = sum(_read(path).values())

    @property
    def used(self) -> float:
        return self.before + self.now() - self.started

    @property
    def left(self) -> float:
        """Seconds until the reserve for the submission begins; never negative."""
        return max(0.0, self.budget.hours * 3600 * (1 - self.budget.reserve) - self.used)

    def share(self, fraction: float, parts_left: int = 1) -> float:
        """Seconds that one of `parts_left` equal parts may take of `fraction` of what is left."""
        return self.left * fraction / max(1, parts_left)


def _read(path: Path) -> dict[str, float]:
    """Seconds by stage; a file that cannot be read counts as no seconds (the clock must never stop a run)."""
    try:
        return {str(stage): float(seconds) for stage, seconds in json.loads(path.read_text()).items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}


def restart(path: Path) -> None:
    """Stage 00 begins a run: nothing is used yet."""
    path.unlink(missing_ok=True)


def add_seconds(path: Path, stage: str, seconds: float) -> None:
    """Add what a stage took, finished or failed, so that the next stage's clock knows."""
    spent = _read(path)
    spent[stage] = round(spent.get(stage, 0.0) + seconds, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(spent, indent=1))
    os.replace(partial, path)
