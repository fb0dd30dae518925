import threading

import numpy as np
import pandas as pd
import pytest

from cxr.budget import endless
from cxr.faults import DataFault
from cxr.prediction.feed import Block, Feed
from cxr.prediction.passes import Level, Pass
from cxr.prediction.schedule import Schedule


def block(number, failures=()):
    images = pd.DataFrame({"image_id": [f"i{number}"], "study_id": [f"s{number}"]})
    return Block(images, np.zeros((1, 4, 4), np.uint8), list(failures))


def drain(feed):
    found = []
    while not feed.finished:
        found += feed.ready(5)
    return found


def test_blocks_come_in_order_and_then_it_is_finished():
    with Feed(block(number) for number in range(5)) as feed:
        assert [each.images["image_id"].item() for each in drain(feed)] == ["i0", "i1", "i2", "i3", "i4"]


def test_what_decoding_raises_reaches_the_one_who_waits():
    def broken():
        yield block(0)
        raise DataFault("disk full")

    with Feed(broken()) as feed, pytest.raises(DataFault, match="disk full"):
        drain(feed)


def test_leaving_early_closes_the_source():
    closed, drawn = threading.Event(), threading.Event()

    def endless_blocks():
        try:
            while True:
                yield block(0)
                drawn.set()
        finally:
            closed.set()

    with Feed(endless_blocks()) as feed:
        assert drawn.wait(5) and feed.ready(5)
    assert closed.is_set(), "its workers end with it"


class Two:
    """Two networks, one asked after the other; remembers what it was asked."""

    def __init__(self, seen):
        self.asked, self.seen = [], seen

    def first_passes(self):
        return [Pass("a", 0), Pass("b", 0)]

    def order_of_work(self, seconds):
        return [Level("first", (Pass("a", 0),)), Level("second", (Pass("b", 0),)), Level("third", (Pass("a", 1),))]

    def run(self, one, images, pixels):
        self.asked.append((one.model, one.fold, images["image_id"].item()))
        self.seen(self.asked)
        return images

    def release(self, one):
        pass


def test_later_passes_work_while_a_block_is_still_decoded():
    enough, written = threading.Event(), []

    def slow():
        yield block(0)
        assert enough.wait(30), "nothing was done while the second block was not there"
        yield block(1)

    system = Two(lambda asked: enough.set() if ("a", 1, "i0") in asked else None)
    Schedule(system, 2, endless(), lambda images, results, words: written.append((len(images), results))).run(
        Feed(slow())
    )
    assert system.asked == [
        *[("a", 0, "i0"), ("b", 0, "i0"), ("a", 1, "i0")],
        *[("a", 0, "i1"), ("b", 0, "i1"), ("a", 1, "i1")],
    ]
    assert written[-1][0] == 2 and set(written[-1][1]) == {Pass("a", 0), Pass("b", 0), Pass("a", 1)}


def test_a_test_set_without_a_readable_image_still_asks_for_a_submission():
    nothing = Block(pd.DataFrame(), np.empty((0, 4, 4), np.uint8), [("x.dcm", "broken"), ("y.dcm", "broken")])
    system, written = Two(lambda asked: None), []
    Schedule(system, 2, endless(), lambda images, results, words: written.append(len(images))).run(Feed([nothing]))
    assert written == [0] and system.asked == []
