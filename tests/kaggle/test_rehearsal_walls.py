"""The walls: namespaces that hold, the block that stands in for them, and a kernel run behind each."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from cxr.kaggle.rehearsal import isolation
from cxr.kaggle.rehearsal.environment import Environment
from cxr.kaggle.rehearsal.inside import can_write
from cxr.kaggle.rehearsal.isolation import HERE, RAN, Isolation, find_isolation, kernel_environment, write_plan
from cxr.kaggle.rehearsal.session import NO_HOME, Session, log_tail, run_session
from cxr.kaggle.rehearsal.tree import Bind, changed_files, remove_tree, snapshot

BLOCKED = """
import errno, socket
trials = []
for family, address in ((socket.AF_INET, ("192.0.2.1", 9)), (socket.AF_INET6, ("2001:db8::1", 9))):
    try:
        socket.socket(family).connect(address)
    except OSError as error:
        trials.append(errno.errorcode[error.errno])
trials.append(socket.socket().connect_ex(("192.0.2.1", 80)) == errno.ENETUNREACH)
try:
    socket.getaddrinfo("kaggle.com", 443)
except socket.gaierror:
    trials.append("no name")
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(("localhost", server.getsockname()[1])).close()
print(trials)
"""

LEAKY = """
import json, sys
plan = json.load(open(sys.argv[-1]))
json.dump({"writable": ["x"], "network": "cut off"}, open(plan["facts"], "w"))
"""
LOOK = """
import os, runpy, sys
script, plan, data, hidden = sys.argv[1:]
sys.argv = [script, plan]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    print(end.code)
print(open(f"{data}/a.txt").read(), os.listdir(hidden))
"""


@pytest.fixture(scope="module")
def walls(tmp_path_factory) -> Isolation:
    found = find_isolation(tmp_path_factory.mktemp("walls"))
    if not found.namespaces:
        pytest.skip(f"no namespaces on this system: {found.reason}")
    return found


def environment_of(tmp_path, rerun=False) -> dict[str, str]:
    short = tmp_path / "short"
    short.mkdir(exist_ok=True)
    return kernel_environment(Path(sys.executable), tmp_path / "kaggle", tmp_path / "home", short, rerun)


def test_a_system_without_unshare_gets_the_block_and_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "UNSHARE", ("no-such-program",))
    found = find_isolation(tmp_path)
    assert not found.namespaces
    assert found.words.startswith(
        "socket block and copies without write permission (no namespaces here: unshare: No such"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_system_that_refuses_gets_the_block_and_its_words(tmp_path, monkeypatch):
    refuse = "import sys; sys.exit('unshare: Operation not permitted')"
    monkeypatch.setattr(isolation, "UNSHARE", (sys.executable, "-c", refuse))
    assert find_isolation(tmp_path).reason == "unshare: Operation not permitted"


def test_walls_that_do_not_hold_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "UNSHARE", (sys.executable, "-c", LEAKY))
    assert find_isolation(tmp_path).reason == "they do not hold: {'writable': ['x'], 'network': 'cut off'}"


def test_namespaces_bind_hide_and_protect(walls, tmp_path):
    source, target, hidden = tmp_path / "source", tmp_path / "input" / "data", tmp_path / "hidden"
    for folder in (source, target, hidden):
        folder.mkdir(parents=True)
    (source / "a.txt").write_text("seen inside")
    (hidden / "secret").touch()
    files = {"facts": tmp_path / "facts.json"}
    plan = write_plan(
        tmp_path / "plan.json", True, [Bind(source, target)], [tmp_path / "input", target], [hidden], files
    )
    command = [*isolation.UNSHARE, sys.executable, "-c", LOOK, str(HERE / RAN), str(plan), str(target), str(hidden)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "0\nseen inside []\n", done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert (facts["writable"], facts["network"], facts["interfaces"]) == ([], "cut off", ["lo"])
    assert list(target.iterdir()) == []


def test_the_block_refuses_the_world_notes_it_and_leaves_loopback(tmp_path):
    environment = environment_of(tmp_path)
    done = subprocess.run([sys.executable, "-c", BLOCKED], env=environment, capture_output=True, text=True)
    assert done.stdout == "['ENETUNREACH', 'ENETUNREACH', True, 'no name']\n", done.stderr
    noted = (tmp_path / "short" / "network.log").read_text().split()
    assert noted == ["192.0.2.1:9", "2001:db8::1:9", "192.0.2.1:80", "kaggle.com"]


def test_the_kernel_sees_these_variables_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    seen = environment_of(tmp_path, rerun=True)
    assert seen["KAGGLE_IS_COMPETITION_RERUN"] == "1"
    assert seen["CXR_KAGGLE_ROOT"] == str(tmp_path / "kaggle")
    assert "src" not in seen["PYTHONPATH"]
    assert "SECRET" not in seen
    assert "KAGGLE_IS_COMPETITION_RERUN" not in environment_of(tmp_path)


def test_a_session_is_told_what_it_must_not_do(tmp_path):
    facts = {"network": "a connection was made", "writable": ["/kaggle/input"]}
    session = Session(tmp_path, error="ValueError: no", facts=facts, kernel={"cxr": "/checkout/src/cxr/__init__.py"})
    session.changed_inputs, session.sizes = ["/kaggle/input/a"], {"working": 21_000_000_000}
    assert session.problems(Isolation()) == [
        "the notebook ended with ValueError: no",
        "the network was not cut off: a connection was made",
        "could be written: /kaggle/input",
        "inputs were written: 1 files, such as /kaggle/input/a",
        "left 21.0 GB in working, Kaggle keeps 20",
        "ran the code of /checkout/src/cxr/__init__.py, not that of the mounted data set",
    ]


def test_the_end_of_a_log_is_shown_without_colours(tmp_path):
    (tmp_path / "log.txt").write_text("".join(f"line {n}\n" for n in range(20)) + "\x1b[31mValueError\x1b[0m: no\n")
    assert log_tail(tmp_path / "log.txt") == [*(f"line {n}" for n in range(9, 20)), "ValueError: no"]
    assert log_tail(tmp_path / "none.txt") == []


def test_trying_a_folder_leaves_no_trace(tmp_path):
    before = snapshot([tmp_path])
    assert can_write(tmp_path)
    assert not can_write(NO_HOME)
    assert changed_files(before, snapshot([tmp_path])) == []


CELLS = """
import os
from pathlib import Path
root = Path(os.environ["CXR_KAGGLE_ROOT"])
text = (root / "input" / "data" / "a.txt").read_text()
Path("submission.csv").write_text(text)
try:
    (root / "input" / "data" / "b.txt").write_text("")
except OSError as error:
    print("refused:", error.strerror)
"""


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["", "asked for"])
def test_a_notebook_runs_behind_either_wall(tmp_path, reason, walls):
    source, results = tmp_path / "source", tmp_path / "results"
    source.mkdir()
    results.mkdir()
    (source / "a.txt").write_text("id,PredictionString\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (CELLS, "1 / 0")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "k.ipynb")
    kaggle = results / "kaggle"
    binds = [Bind(source / "a.txt", kaggle / "input" / "data" / "a.txt")]
    python = Environment(Path(sys.executable), "", {})
    session = run_session(tmp_path / "k.ipynb", kaggle, binds, results, False, Isolation(reason), python)
    try:
        assert session.error == "ZeroDivisionError: division by zero"
        assert session.submission.read_text() == "id,PredictionString\n"
        assert session.facts["network"] == "cut off"
        assert (results / "k.ipynb").is_file()
        assert "ZeroDivisionError" in (results / "log.txt").read_text()
        if not reason:
            assert "refused: Read-only file system" in (results / "log.txt").read_text()
            assert session.changed_inputs == []
        elif session.facts["user"] == 0:  # root writes where nobody may: the check afterwards sees it
            assert str(kaggle / "input" / "data" / "b.txt") in session.changed_inputs
    finally:
        remove_tree(kaggle)
