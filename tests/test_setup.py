"""What `make setup` must leave behind."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
REQUIREMENTS = (REPOSITORY / "requirements.txt").read_text()


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.+-]+)", text, re.M))


def test_every_requirement_has_an_exact_version_and_a_reason():
    for line in REQUIREMENTS.splitlines():
        assert line.startswith("#") or re.match(r"[\w.-]+==\S+ +# .+", line), line


def test_the_lock_agrees_with_the_requirements():
    lock = pins((REPOSITORY / "requirements.lock").read_text())
    assert {name: lock.get(name) for name in pins(REQUIREMENTS)} == pins(REQUIREMENTS)


def test_the_container_installs_what_the_lock_holds():
    """`requirements-app.txt` names packages alone, so that a version stands in one place."""
    lines = (REPOSITORY / "requirements-app.txt").read_text().splitlines()
    names = [line.partition("#")[0].strip() for line in lines if not line.startswith("#")]
    assert names and set(names) <= set(pins((REPOSITORY / "requirements.lock").read_text()))


@pytest.mark.parametrize(("name", "wanted"), sorted(pins(REQUIREMENTS).items()))
def test_the_environment_holds_what_is_required(name, wanted):
    assert version(name) == wanted


def test_opencv_needs_no_graphics_library():
    """Two wheels own `cv2/`; the one that stands must be the one without libGL, which bare machines lack."""
    if not (REPOSITORY / ".venv" / "bin").is_dir() or sys.prefix != str(REPOSITORY / ".venv"):
        pytest.skip("not run by .venv, so setup.sh had no say in which OpenCV stands")
    assert re.search(r"GUI:\s+NONE", cv2.getBuildInformation())
