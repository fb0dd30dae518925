"""The command: what it needs, which test set it takes, and (slow) a whole rehearsal of a real bundle."""

import argparse
import json

import pytest
from made_bundle import wanted

from cxr.faults import DataFault
from cxr.kaggle import bundle
from cxr.kaggle.rehearsal import judge, run
from cxr.kaggle.rehearsal.environment import Environment
from cxr.kaggle.rehearsal.hidden import Planted
from cxr.kaggle.rehearsal.isolation import Isolation
from cxr.kaggle.rehearsal.judge import Case, Result, Setting, judge_submission
from cxr.kaggle.rehearsal.session import Session
from cxr.kaggle.unpack import MANIFEST
from cxr.phantom.datasets import make_phantom
from cxr.workspace import write_json

SAMPLE = "id,PredictionString\ns_study,negative 1 0 0 1 1\ni_image,none 1 0 0 1 1\n"
LOCAL = SAMPLE.replace("negative 1", "negative 0.5")


def arguments(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    return parser.parse_args(list(words))


def test_an_unknown_case_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as end:
        arguments("--cases", "nothing")
    assert end.value.code == 2


def test_without_a_bundle_it_says_what_to_run(tmp_path):
    with pytest.raises(DataFault, match=r"no submission/submission.ipynb, code, wheels, weights there; run `make kag"):
        run.prepare(arguments("--bundle", str(tmp_path)))


def test_without_a_finished_run_there_is_nothing_to_compare_with(tmp_path):
    for name in run.NEEDED:
        (tmp_path / "bundle" / name).mkdir(parents=True)
    with pytest.raises(DataFault, match=r"demo: no finished run to compare with; run `make all` first"):
        run.prepare(arguments("--bundle", str(tmp_path / "bundle"), "--working", str(tmp_path / "working")))


@pytest.fixture
def setting(tmp_path):
    competition = tmp_path / "input" / "siim-covid19-detection"
    competition.mkdir(parents=True)
    (competition / "sample_submission.csv").write_text(SAMPLE)
    python = Environment(tmp_path / "python", "3.12.1", {"torch": "2.10.0"})
    (tmp_path / "bundle" / "code").mkdir(parents=True)
    (tmp_path / "bundle" / "code" / "requirements-kaggle.txt").write_text("torch==2.10.0\n")
    write_json({"packages": {"python-gdcm": "3.2.6"}, "files": {}}, tmp_path / "bundle" / "wheels" / MANIFEST)
    return Setting(tmp_path / "bundle", tmp_path / "run", competition, None, tmp_path, Isolation(), python)


def test_the_input_decides_and_the_run_stands_in_for_it(setting, tmp_path, capsys):
    assert run.find_visible(tmp_path / "input", tmp_path / "run") == setting.competition
    write_json({"competition": str(setting.competition), "data": "phantom"}, tmp_path / "run" / "inputs.json")
    assert run.find_visible(tmp_path / "empty", tmp_path / "run") == setting.competition
    assert "the phantom data of the run is taken" in capsys.readouterr().out
    with pytest.raises(DataFault, match="no sample_submission.csv or"):
        run.find_visible(tmp_path / "empty", tmp_path / "no run")


def judged(setting, tmp_path, monkeypatch, submission, planted=()):
    """judge_submission with a kernel that wrote `submission` and local models that say LOCAL."""
    session = Session(tmp_path / "kaggle")
    if submission:
        session.submission.parent.mkdir(parents=True)
        session.submission.write_text(submission)
    (tmp_path / "local.csv").write_text(LOCAL)
    monkeypatch.setattr(judge, "predict_here", lambda *_: tmp_path / "local.csv")
    result = Result(Case("visible", "new", False), [], session)
    entries = {"sample_submission.csv": setting.competition / "sample_submission.csv"}
    judge_submission(result, entries, list(planted), setting, tmp_path)
    return result


def test_a_submission_like_the_local_one_passes_and_is_kept(setting, tmp_path, monkeypatch):
    result = judged(setting, tmp_path, monkeypatch, LOCAL)
    assert (result.problems, result.rows, result.comparison.rows) == ([], 2, 2)
    assert (tmp_path / "submission.csv").read_text() == LOCAL


@pytest.mark.parametrize(
    ("submission", "problem"),
    [
        ("", "no submission.csv in Kaggle's working folder"),
        (SAMPLE.replace("i_image", "j_image"), "submission.csv: j_image: unknown id"),
        (SAMPLE, "differs from the local models in 1 rows"),
    ],
)
def test_a_missing_invalid_or_other_submission_fails(setting, tmp_path, monkeypatch, submission, problem):
    assert judged(setting, tmp_path, monkeypatch, submission).problems[0].startswith(problem)


def test_planted_rows_need_not_be_equal_but_valid(setting, tmp_path, monkeypatch):
    planted = [Planted("truncated", "s", "i")]
    assert judged(setting, tmp_path, monkeypatch, SAMPLE, planted).problems == []


def test_versions_count_in_kaggles_environment_alone(setting):
    session = Session(setting.out, kernel={"packages": {"torch": "2.9.0"}})
    assert judge.version_problems(session, setting) == [
        "python-gdcm is missing, there it is 3.2.6",
        "torch is 2.9.0, there it is 2.10.0",
    ]
    assert judge.version_problems(Session(setting.out), setting) == []  # it never started: that is said elsewhere
    ours = Setting(**{**vars(setting), "python": Environment(setting.python.python, "3.11.4", {}, note="ours")})
    assert judge.version_problems(session, ours) == []


def test_the_report_says_what_was_found(setting, tmp_path, monkeypatch):
    result = judged(setting, tmp_path, monkeypatch, SAMPLE)
    result.session.kernel = {"python": "3.12.1", "packages": {"torch": "2.9.0", "python-gdcm": "3.2.6", "other": "1"}}
    found = json.loads(json.dumps(judge.record(result, [Planted("truncated", "s", "i")], setting)))
    assert found["passed"] is False
    assert found["packages"] == {"python-gdcm": "3.2.6", "torch": "2.9.0"}
    assert found["versions_that_differ"] == ["torch is 2.9.0, there it is 2.10.0"]
    assert found["comparison"]["largest_difference_of_scores"] == 0.5
    assert found["planted"] == [{"fault": "truncated", "study_id": "s", "image_id": "i"}]


def test_the_table_has_a_line_a_case_and_names_problems(setting, tmp_path, monkeypatch, capsys):
    result = judged(setting, tmp_path, monkeypatch, SAMPLE)
    result.session.sizes = {"working": 1_500_000}
    judge.print_table([result])
    shown = capsys.readouterr()
    line = shown.out.splitlines()[1].split()
    assert line == ["visible", "no", "2", "0", "5.0e-01", "0.00", "0", "1.5"]
    assert "visible: differs from the local models in 1 rows" in shown.err


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A finished run on a small phantom and its bundle; the wheels' packages are those of the tests' own Python."""
    from test_pipeline import run_all  # with torch: the quick tests here do without

    root = tmp_path_factory.mktemp("rehearsal")
    make_phantom(root / "phantom", studies=48, seed=4)
    run_all(root, root / "phantom" / "input")
    assert bundle.build(wanted(root, input=root / "phantom" / "input")) == 0
    (root / "out" / "wheels").mkdir()
    write_json({"id": "somebody/cxr-wheels"}, root / "out" / "wheels" / "dataset-metadata.json")
    write_json({"packages": {}, "files": {}}, root / "out" / "wheels" / MANIFEST)
    return root


@pytest.mark.slow
def test_a_whole_rehearsal_passes_and_an_older_bundle_fails(tiny, capsys):
    words = ["--working", str(tiny / "working"), "--input", str(tiny / "phantom" / "input")]
    words += ["--bundle", str(tiny / "out"), "--python", str(tiny / "no python")]
    assert run.main(arguments(*words)) == 0, capsys.readouterr()
    for name, planted in (("visible", 0), ("hidden", 4)):
        folder = tiny / "working" / "rehearse" / name
        left = {"submission.csv", "log.txt", "report.json", "submission.ipynb"}
        assert {path.name for path in folder.iterdir()} == left
        report = json.loads((folder / "report.json").read_text())
        assert (report["passed"], report["comparison"]["rows_spared_for_planted_faults"]) == (True, planted)
        assert report["comparison"]["rows"] == report["rows"] - planted
        assert report["comparison"]["boxes"] > 0

    blend = tiny / "out" / "weights" / "demo" / "blend.json"
    constants = json.loads(blend.read_text())["constants"]
    write_json({**json.loads(blend.read_text()), "constants": {**constants, "max_boxes": 1}}, blend)
    assert run.main(arguments(*words, "--cases", "visible")) == 1
    assert "visible: differs from the local models in" in capsys.readouterr().err
