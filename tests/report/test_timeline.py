"""The time line: bars where the clock was, marks where something happened, and every event in words."""

import numpy as np
import pandas as pd
import pytest

from cxr.budget import SACRIFICE, SUBMISSION, TRAINING
from cxr.evaluation.run_files import RunFiles
from cxr.figures.timeline import MARKS, Span, duration, timeline
from cxr.profiles import Budget
from cxr.report.head import costs
from cxr.report.timeline import MOST, read_events, spans, times
from cxr.workspace import write_json
from made_run import TAG, workspace_in

NINE = Budget(hours=9, reserve=0.1, margin=0.02)


@pytest.fixture
def run(tmp_path):
    """Two stages of 100 and 300 s, the second of which ran twice."""
    workspace = workspace_in(tmp_path)
    places = workspace.places
    for stage, seconds in (("00_inputs", 100), ("11_submission", 300)):
        write_json({"stage": stage, "seconds": seconds, "peak_memory_gb": 1.5}, places.runs / f"{stage}.json")
    write_json({"00_inputs": 100.0, "11_submission": 450.0}, places.budget)
    return workspace


def tell(run, *rows):
    run.places.timeline.write_text("seconds,kind,text\n" + "".join(f"{row}\n" for row in rows))
    return RunFiles(run)


def happened(*rows):
    return pd.DataFrame(rows, columns=["seconds", "kind", "text"])


def test_a_stage_that_ran_again_is_as_long_as_the_clock_counted(run):
    assert spans(RunFiles(run)) == [Span("00_inputs", 0, 100, 1.5), Span("11_submission", 100, 550, 1.5)]


def test_without_a_budget_file_a_stage_is_as_long_as_its_last_run(run):
    run.places.budget.unlink()
    assert spans(RunFiles(run))[1] == Span("11_submission", 100, 400, 1.5)


def test_events_stand_in_words_without_folders_of_this_machine(run):
    path = run.places.submission
    files = tell(run, f"50,submission,{path}: 9 rows", "540.0,sacrifice,fold 4 is left out of /kaggle/working/x.csv")
    page = "".join(times(files))
    assert "0:00:50" in page and "submission.csv: 9 rows" in page and "left out of x.csv" in page
    assert str(path.parent) not in page and "/kaggle" not in page
    assert costs(files)[1] == "Left out for lack of time: 1, which the time line names."


def test_a_line_that_a_kill_cut_off_is_left_out(run):
    events = read_events(tell(run, "50,submission,whole", "60,subm"))
    assert list(events["text"]) == ["whole"]


def test_text_of_events_is_no_markup(run):
    page = "".join(times(tell(run, f'5,training,"{TAG.replace(chr(34), chr(39))}"')))
    assert "<img src=x" not in page and "&lt;img src=x" in page


def test_many_events_are_folded_under_their_numbers(run):
    rows = [f"{second},submission,better" for second in range(MOST)]
    assert "<details>" not in "".join(times(tell(run, *rows)))
    page = "".join(times(tell(run, *rows, "99,sacrifice,mirror images")))
    assert f"All {MOST + 1} events: {MOST} submission, 1 sacrifice" in page and "mirror images" in page


def test_a_run_without_a_time_line_says_so_and_shows_its_stages(run):
    page = "".join(times(RunFiles(run)))
    assert "kept no time line" in page and page.count("<img") == 1 and "11_submission" in page
    assert [line for line in costs(RunFiles(run)) if "lack of time" in line] == []
    assert ">None.<" in "".join(times(tell(run)))


def test_bars_and_marks_stand_where_the_clock_was():
    events = happened((1800, SUBMISSION, ""), (30_600, SACRIFICE, ""), (30_700, SACRIFICE, ""))
    axes = timeline([Span("00", 0, 3600, 1.0), Span("11", 3600, 31_000, 2.0)], events, NINE).axes[0]
    bars = axes.containers
    assert [(bar[0].get_x(), bar[0].get_width()) for bar in bars] == [(0, 1), (1, pytest.approx(27_400 / 3600))]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["00", "11", MARKS[SUBMISSION][0], MARKS[SACRIFICE][0]], "no row for what did not happen"
    marks = [line for line in axes.lines if line.get_marker() in ("^", "v")]
    assert [list(line.get_xdata()) for line in marks] == [[0.5], [8.5, pytest.approx(30_700 / 3600)]]
    assert [line.get_ydata()[0] for line in marks] == [2, 3]


def test_reserve_and_margin_are_shaded_where_the_hours_end():
    axes = timeline([Span("07", 0, 20_000, 1.0)], happened(), NINE).axes[0]
    shaded = [patch for patch in axes.patches if patch not in list(axes.containers[0])]
    # of 9 hours .1 are the reserve, the last .02 of them the margin
    ends = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in shaded]
    assert np.allclose(ends, [(8.1, 8.82), (8.82, 9.0)]) and axes.get_xlim()[1] > 9


def test_a_budget_far_away_is_told_instead_of_drawn():
    picture = timeline([Span("07", 0, 1200, 1.0)], happened((600, TRAINING, "")), NINE)
    axes = picture.axes[0]
    assert axes.get_title(loc="right") == "8.7 of 9 hours left →" and axes.get_xlim()[1] == pytest.approx(20.4)
    assert axes.get_xlabel().startswith("minutes") and picture._repr_png_()


def test_nothing_at_all_is_no_picture():
    assert timeline([], happened(), NINE) is None


@pytest.mark.parametrize(("seconds", "words"), [(45, "45 s"), (119, "119 s"), (2100, "35 min"), (7560, "2.1 h")])
def test_durations_are_words_that_people_use(seconds, words):
    assert duration(seconds) == words
