"""Numbered notebooks are thin: they say what they answer, define nothing, hold no outputs, and run as stages."""

import json
import re
import subprocess
from pathlib import Path

import nbformat
import papermill
import pytest

from cxr.run_notebook import check_notebook

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def code(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_thin(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    source = "\n".join(cell.source for cell in code(path))
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert not any(cell.outputs or cell.execution_count for cell in code(path)), "outputs do not belong in git"
    assert not re.search(r"^\s*(def|class) ", source, re.M)
    assert len(source.splitlines()) <= 60
    first = notebook.cells[0].source
    assert first.startswith("# ") and "| reads | writes | minutes" in first and "?**" in first, "title, question, table"
    assert notebook.cells[-1].cell_type == "markdown" or "md" not in path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_papermill_understands_every_parameter(path):
    check_notebook(path, {})
    known = papermill.inspect_notebook(str(path))
    assert {"profile", "overrides", "input_dir", "working_dir", "submissions_dir"} <= set(known)


def test_make_lists_every_numbered_notebook_in_order(tmp_path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "installed").touch()
    for target, last in (("all", "2"), ("systems", "3")):
        make = ["make", "-n", target, f"WORKING={tmp_path / 'w'}", f"VENV={tmp_path / 'venv'}"]
        listed = subprocess.run(make, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
        ran = re.findall(r"cxr run notebooks/(\w+)\.ipynb", listed)
        wanted = [path.stem for path in NOTEBOOKS if path.stem < last]
        if target == "all":
            assert ran == wanted
        else:  # those of the spine that they need, and all of their own
            assert set(ran) <= set(wanted)
            assert [name for name in ran if name >= "20"] == [name for name in wanted if name >= "20"]


def test_bare_make_prints_help():
    shown = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for target in ("make all", "make test", "make setup", "make lab", "INPUT=dir"):
        assert target in shown


def test_the_makefile_names_real_profile_sections():
    from cxr.profiles import SECTIONS

    lines = re.findall(r"call stage,(\w+),[^,]*,([\w ,]*?)(?:,-p|\)\))", (REPOSITORY / "Makefile").read_text())
    assert [name for name, _ in lines] == [path.stem for path in NOTEBOOKS]
    for _, sections in lines:
        assert set(sections.split()) <= {*SECTIONS, "members", "collected"}


def test_no_notebook_holds_a_path_of_some_machine():
    for path in NOTEBOOKS:
        assert not re.search(r"/(home|root|Users|tmp)/", json.dumps(json.loads(path.read_text())))
