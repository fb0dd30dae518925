import json

import pytest

from cxr.budget import SACRIFICE, Clock, add_seconds, endless
from cxr.profiles import Budget


class FakeTime:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


def test_the_clock_counts_stages_not_the_time_between_them(tmp_path):
    path, now = tmp_path / "demo" / "budget.json", FakeTime()
    add_seconds(path, "00_inputs", 60)
    add_seconds(path, "01_dicom_to_png", 540)
    clock = Clock(path, Budget(hours=1, reserve=0.1), now)
    assert clock.left == pytest.approx(0.9 * 3600 - 600)
    now.seconds += 1000
    assert clock.used == 1600 and clock.left == pytest.approx(3240 - 1600)
    now.seconds += 10_000
    assert clock.left == 0, "never negative"


def test_a_share_is_split_over_the_parts_that_are_left(tmp_path):
    clock = Clock(tmp_path / "budget.json", Budget(hours=1, reserve=0.0), FakeTime())
    assert clock.share(0.5, 2) == pytest.approx(3600 * 0.5 / 2)


def test_a_failed_attempt_costs_time_too(tmp_path):
    path = tmp_path / "budget.json"
    add_seconds(path, "07", 10)
    add_seconds(path, "07", 5)
    assert json.loads(path.read_text()) == {"07": 15}
    clock = Clock(path, Budget(), FakeTime())
    assert clock.used == 15
    clock.restart()
    assert clock.used == 0 and Clock(path, Budget(), FakeTime()).used == 0


def test_an_unreadable_record_does_not_stop_a_run(tmp_path):
    path = tmp_path / "budget.json"
    path.write_text("{half")
    assert Clock(path, Budget(), FakeTime()).used == 0


def test_a_session_counts_from_its_first_cell_whatever_the_stages_took(tmp_path, monkeypatch):
    path, now = tmp_path / "budget.json", FakeTime()
    add_seconds(path, "01", 60)
    monkeypatch.setenv("CXR_SESSION_STARTED", "40.0")
    clock = Clock(path, Budget(hours=1, reserve=0.1, margin=0.05), now)
    assert clock.used == 60, "the clock stands at 100"
    now.seconds += 1000
    assert clock.used == 1060 and clock.left == 3240 - 1060 and clock.left_for_submission == 3420 - 1060


def test_events_are_kept_until_a_run_begins_anew(tmp_path, capsys):
    now = FakeTime()
    clock = Clock(tmp_path / "demo" / "budget.json", Budget(), now)
    now.seconds += 3723.4
    clock.tell(SACRIFICE, "mirror images, and more")
    assert capsys.readouterr().out == "[1:02:03] sacrifice: mirror images, and more\n"
    lines = (tmp_path / "demo" / "timeline.csv").read_text().splitlines()
    assert lines == ["seconds,kind,text", '3723.4,sacrifice,"mirror images, and more"']
    clock.restart()
    assert not (tmp_path / "demo" / "timeline.csv").exists()


def test_work_outside_of_a_run_has_all_the_time_there_is(monkeypatch, capsys):
    monkeypatch.setenv("CXR_SESSION_STARTED", "0.0")
    clock = endless()
    clock.tell("submission", "one")
    assert clock.left_for_submission == float("inf") and "submission: one" in capsys.readouterr().out
