"""All passes over all test pictures, as far as the clock allows, with a submission in place after each level.

Every task is one pass over one block. While a block is still being decoded, later passes work on the blocks that are
there, so that neither side waits. Seconds an image are measured as it goes; a pass that would not be finished in time
is left out with its level and all levels behind it in the order of work (`passes`), and that is told.
"""

import itertools
from collections.abc import Callable
from typing import Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.budget import SACRIFICE, Clock
from cxr.prediction.feed import Block, Feed
from cxr.prediction.passes import Level, Pass

WAIT = 0.5  # seconds between two looks at the clock while nothing is decoded yet
ROW_SECONDS = 0.003  # to fuse, format and write an image's rows, until it has been measured
PUBLISHING = 0.05  # of the work ahead: what writing a submission in between may cost at most
ENOUGH = 0.5  # of the images: below, the fallback for the rest is worse than the submission that stands

Results = dict[Pass, pd.DataFrame]  # BOXES or IMAGE_SCORES of the same images
Publish = Callable[[pd.DataFrame, Results, str], None]  # images, results and what they are, in words


class System(Protocol):
    """Trained models that can be asked pass by pass."""

    def first_passes(self) -> list[Pass]: ...
    def order_of_work(self, seconds: dict[str, float]) -> list[Level]: ...
    def run(self, one: Pass, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame: ...
    def release(self, one: Pass) -> None: ...


class Schedule:
    """One prediction of a test set of `total` files."""

    def __init__(self, system: System, total: int, clock: Clock, publish: Publish):
        self.system, self.total, self.clock, self.publish = system, total, clock, publish
        self.blocks: list[Block] = []
        self.done: dict[Pass, dict[int, pd.DataFrame]] = {}
        self.seconds: dict[Pass, float] = {}  # an image
        self.levels: list[Level] = []
        self.started, self.out_of_time, self.published = clock.used, False, -1
        self.write_seconds = ROW_SECONDS * total

    def run(self, feed: Feed) -> None:
        """Predict all that there is time for. What was done is in the submission, `blocks` and `levels`."""
        with feed, tqdm(desc="test images times networks", unit="") as self.bar:
            self._measure(feed)
            while not self.out_of_time:
                self.blocks += feed.ready()
                self._leave_out(feed.finished)
                if self.out_of_time:
                    break
                task = self._next_task()
                if task and self._cost(task[0]) * self.blocks[task[1]].files > self._left():
                    self.out_of_time = True
                elif task:
                    self._do(*task)
                    self._publish_levels(feed.finished)
                elif feed.finished:
                    break
                else:
                    self.blocks += feed.ready(WAIT)
        self._finish()

    def _measure(self, feed: Feed) -> None:
        """One fold of every model over the first block with a readable image: their speeds decide the order."""
        while not any(len(block.images) for block in self.blocks) and not feed.finished and self._left() > 0:
            self.blocks += feed.ready(WAIT)
        known = [number for number, block in enumerate(self.blocks) if len(block.images)]
        if known:
            for one in self.system.first_passes():
                if self._left() > 0:
                    self._do(one, known[0])
        self.levels = self.system.order_of_work({one.model: seconds for one, seconds in self.seconds.items()})
        self.bar.total = self.total * len(self._passes())
        self._say_projection()

    def _say_projection(self) -> None:
        if self.seconds and np.isfinite(self.clock.left_for_submission):
            each = ", ".join(f"{one.model} {seconds:.3f} s" for one, seconds in self.seconds.items())
            needed = sum(self._cost(one) * self.total for level in self.levels for one in level.passes)
            print(
                f"{self.total} images; an image takes {each}; all passes {needed:.0f} s, "
                f"there are {self.clock.left_for_submission:.0f} s"
            )

    def _passes(self) -> list[Pass]:
        return [one for level in self.levels for one in level.passes]

    def _next_task(self) -> tuple[Pass, int] | None:
        """The first level block by block, so that an early end leaves whole images; the others pass by pass."""
        numbers = range(len(self.blocks))
        first = [(one, number) for number in numbers for one in self.levels[0].passes] if self.levels else []
        rest = ((one, number) for level in self.levels[1:] for one in level.passes for number in numbers)
        tasks = itertools.chain(first, rest)
        return next(((one, number) for one, number in tasks if number not in self.done.get(one, {})), None)

    def _do(self, one: Pass, number: int) -> None:
        block, started = self.blocks[number], self.clock.used
        if len(block.images):
            self.done.setdefault(one, {})[number] = self.system.run(one, block.images, block.pixels)
            # the first block's figure holds the loading of the model, so a later one counts alone
            self.seconds[one] = (self.clock.used - started) / len(block.images)
        else:
            self.done.setdefault(one, {})[number] = pd.DataFrame()
        self.bar.update(block.files)
        if self._files(one) == self.total:
            self.system.release(one)

    def _files(self, one: Pass) -> int:
        return sum(self.blocks[number].files for number in self.done.get(one, {}))

    def _cost(self, one: Pass) -> float:
        """Seconds an image: its own, else those of the same network's other folds."""
        others = [seconds for other, seconds in self.seconds.items() if other.model == one.model]
        return self.seconds.get(one, others[-1] if others else 0.0)

    def _left(self) -> float:
        return self.clock.left_for_submission - self.write_seconds

    def _decoding(self) -> float:
        """Seconds until the last picture is there, if it goes on as it went."""
        there = sum(block.files for block in self.blocks)
        return (self.clock.used - self.started) / there * (self.total - there) if there else 0.0

    def _leave_out(self, decoded: bool) -> None:
        """Cut the order of work where the clock would; the first level stays until there is no time at all."""
        left, needed, kept = self._left(), 0.0, []
        if left <= 0:
            self.out_of_time = not decoded or self._next_task() is not None
            return
        decoding = 0.0 if decoded else self._decoding()
        for level in self.levels:
            ahead = [(one, self.total - self._files(one)) for one in level.passes]
            needed += sum(self._cost(one) * files for one, files in ahead)
            if level is not self.levels[0] and max(needed, decoding) > left and any(files for _, files in ahead):
                break
            kept.append(level)
        if len(kept) < len(self.levels):
            self._cut(kept, needed, left)

    def _cut(self, kept: list[Level], needed: float, left: float) -> None:
        lost = self.levels[len(kept) :]
        self.clock.tell(
            SACRIFICE,
            f"left out for lack of time: {'; '.join(level.name for level in reversed(lost))} "
            f"(with the first of them {needed:.0f} s, {left:.0f} s are left)",
        )
        for one in [one for level in lost for one in level.passes]:
            self.done.pop(one, None)
            self.system.release(one)
        self.levels = kept
        self.bar.total = self.total * len(self._passes())

    def _complete(self, level: Level) -> bool:
        return all(self._files(one) == self.total for one in level.passes)

    def _publish_levels(self, decoded: bool) -> None:
        """Write a submission when a level is complete and much is still ahead."""
        reached = -1
        while reached + 1 < len(self.levels) and self._complete(self.levels[reached + 1]):
            reached += 1
        ahead = sum(self._cost(one) * (self.total - self._files(one)) for one in self._passes())
        if decoded and reached > self.published and self.write_seconds < PUBLISHING * ahead:
            self._write(reached)

    def _write(self, reached: int, numbers: list[int] | None = None) -> None:
        """Publish the levels up to `reached`, on all blocks or on some."""
        passes = [one for level in self.levels[: reached + 1] for one in level.passes]
        numbers = range(len(self.blocks)) if numbers is None else numbers
        numbers = [number for number in numbers if len(self.blocks[number].images)]
        started = self.clock.used
        images = pd.concat([pd.DataFrame(), *(self.blocks[number].images for number in numbers)], ignore_index=True)
        results = {
            one: pd.concat([pd.DataFrame(), *(self.done[one][number] for number in numbers)], ignore_index=True)
            for one in passes
        }
        self.publish(images, results, f"passes up to: {self.levels[reached].name}")
        self.published = reached
        self.write_seconds = max(self.write_seconds, self.clock.used - started)

    def _finish(self) -> None:
        """The best submission of what was done: all levels, those that are complete, or half of the first."""
        if not self.out_of_time:
            self._write(len(self.levels) - 1)
            return
        complete = [self._complete(level) for level in self.levels]
        reached = (complete.index(False) if False in complete else len(complete)) - 1
        if reached >= 0:
            self.clock.tell(SACRIFICE, "the clock ran out; the passes that were complete are submitted")
            if reached > self.published:
                self._write(reached)
            return
        done = [
            number
            for number in range(len(self.blocks))
            if all(number in self.done.get(one, {}) for one in self.levels[0].passes)
        ]
        files = sum(self.blocks[number].files for number in done)
        if files < ENOUGH * self.total:
            self.clock.tell(SACRIFICE, f"the clock ran out after {files} of {self.total} images; what stands is kept")
            return
        self.clock.tell(SACRIFICE, f"the clock ran out: {self.total - files} of {self.total} images get the fallback")
        self._write(0, done)
