"""One clock for the whole run, and a record of what happened when.

At home it counts over the stages: a run stopped today and resumed tomorrow has lost no hours. In a Kaggle session it
counts from the first cell, whatever happened between the stages: there the nine hours go on.
"""

import csv
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from cxr.profiles import Budget

SESSION = "CXR_SESSION_STARTED"  # time.monotonic() of a session's first cell: one value for all processes of a machine
TIMELINE = ("seconds", "kind", "text")
SUBMISSION, SACRIFICE, TRAINING = "submission", "sacrifice", "training"  # kinds of events


class Clock:
    """Seconds used and left. Earlier stages' seconds lie in a file; the running stage is measured from now.

    A training that a share of the clock cut short says so in its run.json (`clock_bound`): one that was not is
    reproducible byte for byte.
    """

    def __init__(
        self, path: Path | None, budget: Budget, now: Callable[[], float] = time.monotonic, session: float | None = None
    ):
        self.path, self.budget, self.now = path, budget, now
        self.session = session_start() if session is None else session
        self.started = now()
        self.before = sum(_read(path).values()) if path else 0.0

    @property
    def used(self) -> float:
        if self.session is not None:
            return self.now() - self.session
        return self.before + self.now() - self.started

    @property
    def left(self) -> float:
        """Seconds until the reserve for the submission begins; never negative."""
        return self._left(1 - self.budget.reserve)

    @property
    def left_for_submission(self) -> float:
        """Seconds until the margin begins, which nothing may use; never negative."""
        return self._left(1 - self.budget.margin)

    def _left(self, part: float) -> float:
        return max(0.0, self.budget.hours * 3600 * part - self.used)

    def share(self, fraction: float, parts_left: int = 1) -> float:
        """Seconds that one of `parts_left` equal parts may take of `fraction` of what is left."""
        return self.left * fraction / max(1, parts_left)

    def restart(self) -> None:
        """Stage 00 begins a run: nothing is used yet, nothing has happened. A session's nine hours go on."""
        if self.path:
            self.path.unlink(missing_ok=True)
            self.path.with_name("timeline.csv").unlink(missing_ok=True)
        self.started, self.before = self.now(), 0.0

    def tell(self, kind: str, text: str) -> None:
        """Print an event and add it to the time line (`timeline.csv` beside the clock's file, if it has one)."""
        print(f"[{_clock_time(self.used)}] {kind}: {text}", flush=True)
        if not self.path:
            return
        path = self.path.with_name("timeline.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", newline="") as file:
            rows = csv.writer(file)
            if file.tell() == 0:
                rows.writerow(TIMELINE)
            rows.writerow((round(self.used, 1), kind, text))


def endless() -> Clock:
    """A clock for work outside of a run, which may take as long as it takes and leaves no record."""
    return Clock(None, Budget(hours=math.inf))


def session_start() -> float | None:
    """When this Kaggle session began, as its first cell noted; None at home."""
    return float(os.environ[SESSION]) if os.environ.get(SESSION) else None


def _clock_time(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def _read(path: Path) -> dict[str, float]:
    """Seconds by stage; a file that cannot be read counts as no seconds (the clock must never stop a run)."""
    try:
        return {str(stage): float(seconds) for stage, seconds in json.loads(path.read_text()).items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return {}


def add_seconds(path: Path, stage: str, seconds: float) -> None:
    """Add what a stage took, finished or failed, so that the next stage's clock knows."""
    spent = _read(path)
    spent[stage] = round(spent.get(stage, 0.0) + seconds, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        partial.write_text(json.dumps(spent, indent=1))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
