"""The runner is strict where papermill is not."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from cxr import budget
from cxr.faults import DataFault
from cxr.run_notebook import SpentSeconds, alone_in, check_executed, run_notebook


def write(path, *cells, parameters="answer = 1"):
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    notebook.cells = [
        nbformat.v4.new_code_cell(source) for source in ([parameters] if parameters else []) + list(cells)
    ]
    if parameters:
        notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, path)
    return path


def test_a_stage_leaves_its_record_only_when_every_cell_ran(tmp_path):
    notebook, out = write(tmp_path / "n.ipynb", "print(answer * 2)"), tmp_path / "demo" / "runs" / "n.ipynb"
    run_notebook(notebook, out, {"answer": 21})
    cells = nbformat.read(out, as_version=4).cells
    assert "42" in cells[-1].outputs[0].text
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["seconds"] > 0 and record["peak_memory_gb"] > 0.01
    assert not list(out.parent.glob("*.failed.ipynb"))
    assert json.loads((tmp_path / "demo" / "budget.json").read_text())["n"] > 0


def test_a_failing_cell_leaves_no_record_but_its_outputs(tmp_path):
    notebook, out = write(tmp_path / "n.ipynb", "raise ValueError('three blind mice')"), tmp_path / "runs" / "n.ipynb"
    with pytest.raises(PapermillExecutionError, match="three blind mice"):
        run_notebook(notebook, out, {})
    assert not out.exists() and (tmp_path / "runs" / "n.failed.ipynb").is_file()


def test_a_data_fault_is_one_line_that_names_the_stage(tmp_path):
    cell = "from cxr.faults import DataFault\nraise DataFault('train.csv: column boxes is missing')"
    with pytest.raises(DataFault, match=r"column boxes is missing \[stage n; its cells lie in .*n.failed.ipynb\]"):
        run_notebook(write(tmp_path / "n.ipynb", cell), tmp_path / "runs" / "n.ipynb", {})


def test_sys_exit_is_a_failure(tmp_path):
    out = tmp_path / "runs" / "n.ipynb"
    with pytest.raises(DataFault, match="code cell 2 of 3 left by sys.exit"):
        run_notebook(write(tmp_path / "n.ipynb", "import sys; sys.exit(0)", "print(1)"), out, {})
    assert not out.exists()


@pytest.mark.parametrize(
    ("cells", "parameters", "message"),
    [
        ((), {"epoch": "3"}, "unknown parameter epoch; it has answer"),
        (("!false",), {}, "'!false' is a shell line"),
        (("%%bash\nfalse",), {}, "shell line"),
    ],
)
def test_what_papermill_would_pass_over_is_refused(tmp_path, cells, parameters, message):
    with pytest.raises(DataFault, match=message):
        run_notebook(write(tmp_path / "n.ipynb", *cells), tmp_path / "runs" / "n.ipynb", parameters)


def test_a_notebook_without_parameters_cell_is_refused(tmp_path):
    with pytest.raises(DataFault, match="no cell is tagged 'parameters'"):
        run_notebook(write(tmp_path / "n.ipynb", "1", parameters=None), tmp_path / "runs" / "n.ipynb", {})


def test_a_missing_notebook_names_those_that_are_there(tmp_path):
    write(tmp_path / "one.ipynb")
    with pytest.raises(DataFault, match=r"two.ipynb: no such notebook; found one.ipynb"):
        run_notebook(tmp_path / "two.ipynb", tmp_path / "runs" / "n.ipynb", {})


def test_a_cell_that_never_ran_is_found(tmp_path):
    with pytest.raises(DataFault, match="code cell 1 of 2 never ran"):
        check_executed(write(tmp_path / "n.ipynb", "1"))


def test_a_full_disk_in_a_cell_is_one_line(tmp_path):
    cell = "import errno, os\nraise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'tables/images.csv')"
    with pytest.raises(
        DataFault, match=r"the disk is full \(\d+ MB free there\); make room and give the same .*stage n"
    ):
        run_notebook(write(tmp_path / "n.ipynb", cell), tmp_path / "runs" / "n.ipynb", {})


def test_a_kernel_that_was_killed_is_one_line(tmp_path):
    cell = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(DataFault, match=r"the process of the notebook was killed: .* lack of memory.*\[stage n"):
        run_notebook(write(tmp_path / "n.ipynb", cell), tmp_path / "runs" / "n.ipynb", {})
    assert not (tmp_path / "runs" / "n.ipynb").exists()


def test_two_runs_do_not_write_into_one_folder(tmp_path):
    notebook, out = write(tmp_path / "n.ipynb"), tmp_path / "runs" / "n.ipynb"
    out.parent.mkdir()
    with (
        alone_in(out.parent),
        pytest.raises(DataFault, match=rf"another run is at work there \(process {os.getpid()}\); wait for it"),
    ):
        run_notebook(notebook, out, {})
    run_notebook(notebook, out, {})
    assert out.is_file(), "the first has ended"


def test_seconds_are_told_as_they_pass(tmp_path):
    path = tmp_path / "budget.json"
    spent = SpentSeconds(path, "n", every=5.0)
    spent.tell()
    assert not path.exists(), "nothing yet"
    spent.started -= 7
    spent.tell()
    spent.tell()
    assert json.loads(path.read_text())["n"] == pytest.approx(7, abs=0.5), "told once"
    spent.started -= 2
    spent.tell(at_once=True)
    assert json.loads(path.read_text())["n"] == pytest.approx(9, abs=0.5) == spent.seconds


def test_a_disk_too_full_for_the_clock_ends_no_stage(tmp_path, monkeypatch):
    spent, add = SpentSeconds(tmp_path / "budget.json", "n"), budget.add_seconds

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    spent.started -= 7
    monkeypatch.setattr(budget, "add_seconds", full)
    spent.tell(at_once=True)
    monkeypatch.setattr(budget, "add_seconds", add)
    spent.tell(at_once=True)
    assert json.loads((tmp_path / "budget.json").read_text())["n"] == pytest.approx(7, abs=0.5), "nothing is lost"


def test_the_clock_is_told_in_one_place_whatever_folder_papermill_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SpentSeconds.__init__, "__defaults__", (0.2,))
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks" / "n.ipynb", "import time\ntime.sleep(1.5)")
    out = run_notebook("notebooks/n.ipynb", "working/demo/runs/n.ipynb", {})
    told = json.loads((tmp_path / "working" / "demo" / "budget.json").read_text())["n"]
    assert told == pytest.approx(json.loads(out.with_suffix(".json").read_text())["seconds"], abs=0.2) and told > 1.5
    assert not (tmp_path / "notebooks" / "working").exists()


@pytest.mark.slow
def test_the_clock_knows_the_seconds_of_a_stage_that_was_killed(tmp_path):
    notebook = write(tmp_path / "n.ipynb", "import time\ntime.sleep(60)")
    out = tmp_path / "demo" / "runs" / "n.ipynb"
    process = subprocess.Popen([sys.executable, "-m", "cxr", "run", str(notebook), str(out)], start_new_session=True)
    path, patience = tmp_path / "demo" / "budget.json", time.monotonic() + 60
    while not path.is_file() and time.monotonic() < patience:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)  # the kernel ends by itself when its parent is gone
    process.wait()
    assert json.loads(path.read_text())["n"] >= 5
