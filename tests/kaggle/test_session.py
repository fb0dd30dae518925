"""What a notebook does first on Kaggle: in trees like its own, in a process of its own, and fault by fault."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from made_bundle import list_wheels, made_run, mount, toy_wheel, values, wanted

from cxr import paths
from cxr.faults import DataFault
from cxr.kaggle import bundle, session
from cxr.kaggle.earlier import earlier_runs, take_up_earlier

# what a process tells after the cells of a kernel that come before the first prediction
TELL = """
import json, os, subprocess, sys
import cxr, cxrtoy
from cxr.provenance import commit
ask = [sys.executable, "-c", "import cxr, cxrtoy; print(cxrtoy.__file__)"]
child = subprocess.run(ask, capture_output=True, text=True)
print(json.dumps({"working": working_dir, "cxr": cxr.__file__, "toy": cxrtoy.__file__, "child": child.stdout.strip(),
  "commit": commit(), "started": os.environ["CXR_SESSION_STARTED"], "env": dict(os.environ)}))
"""
ALONE = "-S"  # a Python without site-packages: the standard library is all that the first cells may need


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A bundle with both kernels and one toy wheel."""
    root = tmp_path_factory.mktemp("bundle")
    made_run(root / "working")
    assert bundle.build(wanted(root, pipeline_profile="demo", pipeline_overrides="folds.count=2")) == 0
    toy_wheel(root / "out" / "wheels")
    list_wheels(root / "out" / "wheels", {"cxrtoy": "1.0"})
    return root / "out"


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """An empty tree that `paths` takes for Kaggle's; changes of the environment and of sys.path end with the test."""
    for name in ("input", "working"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(paths, "KAGGLE_INPUT", tmp_path / "input")
    monkeypatch.setattr(paths, "KAGGLE_WORKING", tmp_path / "working")
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = dict(os.environ)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def run_cells(notebook, root, *flags):
    """Execute the first two code cells of a kernel in a bare process below `root`, HOME not writable; what it tells."""
    cells = [cell.source for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"][:2]
    home = root / "home"  # a file: no folder can be made in it, whoever asks
    home.write_text("")
    (root / "tmp").mkdir(exist_ok=True)
    bare = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(root / "tmp"), "CXR_KAGGLE_ROOT": str(root)}
    program = "\n".join([*cells, TELL])
    command = [sys.executable, *flags, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=bare, cwd=root / "working")
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("layout", "nested"), [("new", ""), ("old", ""), ("new", "*"), ("old", "folder")])
def test_the_first_cells_find_everything_in_both_layouts(built, tmp_path, layout, nested):
    root = mount(built, tmp_path, layout, nested)
    said, told = run_cells(built / "submission" / "submission.ipynb", root, ALONE)
    assert Path(told["cxr"]).is_relative_to(root / "input") and "packages from" in said and "cxrtoy==1.0" in said
    assert told["child"] == told["toy"] and Path(told["toy"]).is_relative_to(root / "tmp")
    assert told["commit"] == (built / "code/src/cxr/COMMIT").read_text().strip()
    assert float(told["started"]) > 0
    run = Path(told["working"]) / "demo"
    assert (run / "models/yolo/fold_1/weights.pt").read_bytes() == b"yolo 1"
    assert (run / "models/yolo/fold_1/weights.pt").is_symlink() and not (run / "blend.json").is_symlink()
    assert list((root / "working").iterdir()) == [], "Kaggle keeps what lies there"


@pytest.mark.parametrize("nested", ["", "*"])
def test_the_notebooks_are_found_beside_the_code_or_in_a_folder_of_their_own(built, kaggle, nested):
    mount(built, kaggle, nested=nested)
    assert (session.find_notebooks() / "11_submission.ipynb").is_file()


def test_without_the_notebooks_it_says_what_to_attach(kaggle):
    with pytest.raises(DataFault, match=r"no data set holds notebooks/00_inputs.ipynb; attach the code data set"):
        session.find_notebooks()


def test_every_library_gets_a_place_that_can_be_written(built, tmp_path):
    root = mount(built, tmp_path)
    _, told = run_cells(built / "submission" / "submission.ipynb", root, ALONE)
    for name in session.WRITABLE:
        place = Path(told["env"][name])
        assert place.is_dir() and place.is_relative_to(root / "tmp")
    # a socket's path may have 107 bytes, and Jupyter adds some 60: what we add must be short
    added = Path(told["env"]["JUPYTER_RUNTIME_DIR"]).relative_to(root / "tmp")
    assert len(str(added)) < 20


def test_the_pipeline_begins_in_kaggle_s_working_folder(built, tmp_path):
    root = mount(built, tmp_path)
    said, told = run_cells(built / "pipeline" / "pipeline.ipynb", root)
    assert told["working"] == str(root / "working") and "no earlier session" in said


def test_without_the_code_the_first_cell_says_what_to_attach(built, tmp_path):
    (tmp_path / "input").mkdir()
    (tmp_path / "working").mkdir()
    with pytest.raises(AssertionError, match=r"no data set with the code .* attach it to this notebook"):
        run_cells(built / "submission" / "submission.ipynb", tmp_path, ALONE)


def test_at_home_the_notebook_says_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "KAGGLE_INPUT", tmp_path / "nowhere")
    with pytest.raises(DataFault, match="this notebook runs on Kaggle"):
        session.prepare()


def test_without_wheels_it_says_what_to_attach(kaggle):
    with pytest.raises(DataFault, match=r"no data set with a wheels.json in it; attach the wheels data set"):
        session.begin_submission("demo")


def test_without_the_profile_s_models_it_names_those_that_are_there(built, kaggle):
    mount(built, kaggle)
    with pytest.raises(DataFault, match=r"no data set holds full/profile.json .*there: demo.*attach the weights"):
        session.begin_submission("full")


def test_a_choice_of_the_image_stays(kaggle, monkeypatch, tmp_path):
    monkeypatch.setenv("MPLCONFIGDIR", "/chosen")
    session.writable_places(tmp_path / "scratch")
    assert os.environ["MPLCONFIGDIR"] == "/chosen"


def earlier(root, folder, seconds=0):
    """A finished session's output, mounted; `seconds`: how much later than others it was written."""
    run = made_run(root / "earlier" / folder.replace("/", "-"))
    (run / "inputs.json").write_text("{}")
    target = root / "input" / folder / "demo"
    shutil.copytree(run, target)
    stamp = 1_700_000_000 + seconds
    os.utime(target / "inputs.json", (stamp, stamp))
    return target


def test_an_earlier_session_is_taken_up_and_the_later_one_wins(kaggle, capsys):
    earlier(kaggle, "cxr-pipeline")
    last = earlier(kaggle, "notebooks/somebody/cxr-pipeline", seconds=60)
    (last / "models/yolo/fold_0/weights.pt").write_bytes(b"later")
    for path in last.rglob("*.json"):
        path.chmod(0o444)  # as Kaggle mounts it
    count = take_up_earlier("demo")
    taken = kaggle / "working" / "demo"
    assert (taken / "models/yolo/fold_0/weights.pt").read_bytes() == b"later"
    assert count == len([path for path in last.rglob("*") if path.is_file()])
    assert not list(taken.rglob(".*")), "nothing half copied"
    assert (taken / "blend.json").stat().st_mode & 0o200, "this session writes there"
    said = capsys.readouterr().out
    assert f"earlier session: {last}; {count} files" in said
    assert "older sessions, not used" in said
    assert (taken / "blend.json").stat().st_mtime == (last / "blend.json").stat().st_mtime


def test_what_is_there_already_is_newer_and_stays(kaggle, capsys):
    earlier(kaggle, "cxr-pipeline")
    own = kaggle / "working/demo/models/yolo/fold_0/weights.pt"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"of this session")
    take_up_earlier("demo")
    assert own.read_bytes() == b"of this session" and "1 were there already" in capsys.readouterr().out


def test_weights_other_profiles_and_data_sets_are_no_earlier_session(built, kaggle):
    mount(built, kaggle)
    earlier(kaggle, "siim-covid19-detection/train")  # thousands of folders lie there: it is not searched
    earlier(kaggle, "a/b/c/d")  # too deep
    assert earlier_runs("demo") == [] and earlier_runs("full") == []
    assert take_up_earlier("demo") == 0


def test_an_earlier_session_that_does_not_fit_is_refused(kaggle, monkeypatch):
    earlier(kaggle, "cxr-pipeline")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DataFault, match=r"0.0 GB do not fit into .*attach a smaller one"):
        take_up_earlier("demo")
    assert not (kaggle / "working" / "demo").exists()


def test_a_wrong_setting_fails_in_the_first_minute(built, kaggle):
    mount(built, kaggle)
    with pytest.raises(DataFault, match="yolo has no 'epoch'"):
        session.begin_pipeline("demo", "yolo.epoch=1")


def test_the_record_of_the_run_keeps_its_overrides(built, tmp_path):
    session.link_run(built / "weights" / "demo", tmp_path / "demo")
    assert values(tmp_path / "demo" / "profile.json")["overrides"] == "folds.count=2"
