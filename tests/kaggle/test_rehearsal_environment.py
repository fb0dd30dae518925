"""The Python that stands for Kaggle's: what is accepted, what is refused, which versions differ."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.faults import DataFault
from cxr.kaggle.rehearsal.environment import PROGRAM, differing_versions, find_environment, read_pins
from cxr.paths import REPOSITORY


def fake_python(tmp_path, version=(3, 12, 1), packages=(), sees=False) -> Path:
    """A program that answers as an interpreter with these packages would."""
    answer = f'{{"version": {list(version)}, "packages": {{{", ".join(packages)}}}, "sees": {str(sees).lower()}}}'
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_a_python_of_kaggles_version_is_taken(tmp_path):
    found = find_environment(fake_python(tmp_path, packages=['"papermill": "2.7.0"']))
    assert (found.version, found.packages, found.is_kaggles) == ("3.12.1", {"papermill": "2.7.0"}, True)


@pytest.mark.parametrize(
    ("version", "packages", "reason"),
    [
        ((3, 11, 4), ['"papermill": "2.7.0"'], "is Python 3.11.4, Kaggle's is 3.12"),
        ((3, 12, 1), [], "has no papermill, so it is half made"),
    ],
)
def test_another_python_is_replaced_by_ours_in_words(tmp_path, version, packages, reason):
    python = fake_python(tmp_path, version, packages)
    found = find_environment(python)
    assert found.python == Path(sys.executable)
    assert found.note.startswith(f"{python}: {reason}; rehearsing with our own Python {sys.version.split()[0]}")
    assert "sh setup_kaggle.sh" in found.note


def test_no_python_and_a_shim_without_one_are_named(tmp_path):
    assert "no Python there" in find_environment(tmp_path / "none").note
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert "does not run (command not found)" in find_environment(shim).note


def test_an_environment_that_has_what_kaggle_lacks_is_refused(tmp_path):
    python = fake_python(tmp_path, packages=['"papermill": "1"', '"ultralytics": "8"'], sees=True)
    with pytest.raises(DataFault, match=r"has ultralytics, cxr \(by a .pth file\), which Kaggle's image lacks"):
        find_environment(python)


def test_the_question_that_is_asked_works_on_a_real_python():
    done = subprocess.run([sys.executable, "-I", "-c", PROGRAM], capture_output=True, text=True)
    assert f'"version": [{", ".join(map(str, sys.version_info[:3]))}]' in done.stdout


def test_versions_that_differ_are_named():
    pins = {"torch": "2.10.0", "numpy": "2.0.2", "timm": "1.0.26", "pandas": "2.2.2"}
    packages = {"torch": "2.10.0+cpu", "numpy": "2.1.0", "pandas": "2.2.2"}
    assert differing_versions(pins, packages) == [
        "numpy is 2.1.0, there it is 2.0.2",
        "timm is missing, there it is 1.0.26",
    ]


def test_pins_are_read_with_their_reasons_beside_them(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# a heading\ntorch==2.10.0   # networks\nPyYAML==6.0.3\ntyping_extensions==4.16.0\n\n")
    assert read_pins(file) == {"torch": "2.10.0", "pyyaml": "6.0.3", "typing-extensions": "4.16.0"}
    file.write_text("torch\n")
    with pytest.raises(DataFault, match="no line name==version in it"):
        read_pins(file)
    with pytest.raises(DataFault, match="no such file; `make kaggle` writes it"):
        read_pins(tmp_path / "none.txt")


def run_setup(tmp_path, **variables) -> subprocess.CompletedProcess:
    """setup_kaggle.sh where nothing but a shell's own programs is on PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "grep", "cksum", "rm"):
        (tools / name).symlink_to(next(p for p in (f"/usr/bin/{name}", f"/bin/{name}") if os.path.exists(p)))
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "VENV_KAGGLE": str(tmp_path / "venv"), **variables}
    return subprocess.run(
        ["sh", "setup_kaggle.sh"], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def test_setup_without_a_python_says_so_and_is_no_failure(tmp_path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    done = run_setup(tmp_path, PYTHON312=str(shim))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("note: no Python 3.12 here (looked for uv, PYTHON312")
    assert not (tmp_path / "venv").exists()
