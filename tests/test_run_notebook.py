"""The runner is strict where papermill is not."""

import json

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from cxr.faults import DataFault
from cxr.run_notebook import check_executed, run_notebook


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
