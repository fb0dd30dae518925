"""The kernel that trains: stages in order, a failed one, a clock that has run out, and the last cell."""

import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from cxr import paths
from cxr.budget import SESSION
from cxr.faults import DataFault
from cxr.kaggle import pipeline
from cxr.kaggle.kernels import read_stages
from cxr.kaggle.pipeline import Pipeline

SAMPLE = "id,PredictionString\na_study,negative 1 0 0 1 1\nb_image,none 1 0 0 1 1\n"
HOUR = 3600


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session in Kaggle's tree whose stages are faked: `session.ran` names them, `session.fail` those that raise."""
    competition, working = tmp_path / "input" / "siim-covid19-detection", tmp_path / "working"
    competition.mkdir(parents=True)
    working.mkdir()
    (competition / "sample_submission.csv").write_text(SAMPLE)
    monkeypatch.setattr(paths, "KAGGLE_INPUT", tmp_path / "input")
    monkeypatch.setattr(paths, "KAGGLE_WORKING", working)
    monkeypatch.setenv(SESSION, repr(time.monotonic()))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebooks = tmp_path / "input" / "cxr-code" / "notebooks"
    notebooks.mkdir(parents=True)
    (notebooks / "00_inputs.ipynb").write_text("{}")
    found = Pipeline("demo", "", str(working))
    found.ran, found.fail, found.submission = [], {}, working / "submission.csv"

    def run_notebook(notebook, out, parameters):
        found.ran.append(notebook.stem)
        if notebook.stem in found.fail:
            raise found.fail[notebook.stem]
        if notebook.stem in ("00_inputs", "11_submission"):
            found.submission.write_text(SAMPLE.replace("1 0 0", "0.5 0 0") if "11" in notebook.stem else SAMPLE)

    monkeypatch.setattr(pipeline, "run_notebook", run_notebook)
    return found


def run_all(session):
    for stage in read_stages():
        session.run(stage.name, stage.follows)


def test_all_stages_run_in_order_and_the_last_cell_gives_the_submission(session, capsys):
    run_all(session)
    assert session.ran == [stage.name for stage in read_stages()]
    assert session.finish() == session.submission
    said = capsys.readouterr().out
    assert "valid" in said and "!!!" not in said


def test_stages_get_the_places_of_kaggle(session, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(pipeline, "run_notebook", lambda notebook, out, parameters: seen.append((out, parameters)))
    session.run("01_dicom_to_png")
    working = str(tmp_path / "working")
    expected = {"profile": "demo", "overrides": "", "input_dir": "", "working_dir": working}
    assert seen[0][1] == {**expected, "submissions_dir": working}
    assert seen[0][0] == tmp_path / "working" / "demo" / "runs" / "01_dicom_to_png.ipynb"


def test_a_failed_stage_leaves_out_what_follows_and_the_submission_counts(session, capsys):
    session.fail["07_train_yolo"] = RuntimeError("Traceback\nCUDA out of memory")
    run_all(session)
    assert "08_train_faster_rcnn" in session.ran and "09_classify_studies" in session.ran
    assert not {"10_fuse_and_blend", "11_submission", "12_report"} & set(session.ran)
    assert session.finish().read_text() == SAMPLE
    said = capsys.readouterr().out
    assert "!!! stage 07_train_yolo FAILED: CUDA out of memory" in said
    assert "!!! stage 10_fuse_and_blend was left out: it follows 07_train_yolo, which did not finish" in said
    assert "!!! the submission is an earlier one" in said


def test_a_failed_report_costs_nothing(session, capsys):
    session.fail["12_report"] = DataFault("no picture")
    run_all(session)
    assert "0.5 0 0" in session.finish().read_text()
    said = capsys.readouterr().out
    assert "!!! stage 12_report FAILED: no picture" in said and "earlier one" not in said


def test_before_the_first_submission_a_fault_is_final(session):
    session.fail["00_inputs"] = DataFault("no sample_submission.csv found")
    with pytest.raises(DataFault, match="no sample_submission"):
        session.run("00_inputs")
    with pytest.raises(DataFault, match=r"no valid submission \(it is not there\)"):
        session.finish()


def test_an_invalid_submission_is_an_error_at_the_end(session):
    run_all(session)
    session.submission.write_text(SAMPLE.replace("b_image", "c_image"))
    with pytest.raises(DataFault, match=r"no valid submission \(.*and 1 more\)"):
        session.finish()


def test_when_the_hours_are_over_the_rest_is_left_out(session, monkeypatch, capsys):
    session.run("00_inputs")
    monkeypatch.setenv(SESSION, repr(time.monotonic() - 9 * HOUR))
    session.run("01_dicom_to_png", ("00_inputs",))
    session.run("02_explore", ("01_dicom_to_png",))
    assert session.ran == ["00_inputs"]
    session.finish()
    said = capsys.readouterr().out
    assert "!!! stage 01_dicom_to_png was left out: the 9 hours are over" in said
    assert "sacrifice: stage 02_explore is left out" in said


def test_in_the_reserve_trainings_still_leave_their_one_batch(session, monkeypatch):
    session.run("00_inputs")
    # of nine hours: trainings end at 8.1 (reserve .1), the margin begins at 8.82 (.02)
    monkeypatch.setenv(SESSION, repr(time.monotonic() - 8.5 * HOUR))
    session.run("07_train_yolo")
    assert session.ran == ["00_inputs", "07_train_yolo"]


def test_stages_run_in_a_copy_of_the_notebooks(session, tmp_path):
    assert not session.notebooks.is_relative_to(tmp_path / "input")
    assert (session.notebooks / "00_inputs.ipynb").is_file()


@pytest.mark.slow
def test_a_cell_that_fails_in_a_real_notebook_ends_nothing(session, monkeypatch, capsys):
    from cxr.run_notebook import run_notebook

    monkeypatch.setattr(pipeline, "run_notebook", run_notebook)
    session.submission.write_text(SAMPLE)
    names = ("profile", "overrides", "input_dir", "working_dir", "submissions_dir")
    parameters = new_code_cell("\n".join(f'{name} = ""' for name in names), metadata={"tags": ["parameters"]})
    for stage, source in (("01_good", "print('seen here')"), ("02_bad", "1 / 0")):
        notebook = new_notebook(cells=[parameters, new_code_cell(source)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, session.notebooks / f"{stage}.ipynb")
        session.run(stage)
    assert "seen here" in capsys.readouterr().out
    assert session.failed == {"02_bad": "ZeroDivisionError: division by zero"}
    assert session.finish() == session.submission
