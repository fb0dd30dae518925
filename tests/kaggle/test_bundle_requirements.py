"""Every package that runs on Kaggle is in its image or among the wheels, in the version of the lock."""

import ast
import importlib.metadata
import re
import sys

import pytest
from made_bundle import REPOSITORY
from packaging.requirements import Requirement

from cxr.kaggle.wheels import NEVER, read_pins

IMAGE = read_pins(REPOSITORY / "requirements-kaggle.txt")
WHEELS = read_pins(REPOSITORY / "requirements-wheels.txt")
LOCK = read_pins(REPOSITORY / "requirements.lock")
# the web page, benches, the browser of studies, clusters and TensorBoard are for home: no notebook of the bundle
# imports them
AT_HOME = ("app/", "bench/", "browse/", "images/cluster.py", "kaggle/rehearsal/", "report/tensorboard.py")
# named by lightning's metadata, never imported by it
NOT_IMPORTED = {"pytorch-lightning"}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def third_party_imports():
    """Top-level names of other people's modules by the file that imports them."""
    found = {}
    for path in sorted((REPOSITORY / "src" / "cxr").rglob("*.py")):
        name = path.relative_to(REPOSITORY / "src" / "cxr").as_posix()
        if name.startswith(AT_HOME):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            found.update({module.partition(".")[0]: name for module in names})
    return {module: name for module, name in found.items() if module not in {"cxr", *sys.stdlib_module_names}}


@pytest.mark.parametrize("pins", [IMAGE, WHEELS], ids=["requirements-kaggle", "requirements-wheels"])
def test_pins_are_those_of_the_lock(pins):
    lock = {plain(name): version for name, version in LOCK.items()}
    assert {name: version for name, version in pins.items() if lock.get(plain(name)) != version} == {}


def test_every_pin_has_its_reason():
    for name in ("requirements-kaggle.txt", "requirements-wheels.txt"):
        lines = [line for line in (REPOSITORY / name).read_text().splitlines() if "==" in line]
        assert all(line.partition("# ")[2].strip() for line in lines)


def test_every_import_is_in_the_image_or_in_a_wheel():
    known = {plain(name) for name in (*IMAGE, *WHEELS)}
    owners = importlib.metadata.packages_distributions()
    imports = third_party_imports()
    unknown = {
        module: file
        for module, file in imports.items()
        if not known & {plain(owner) for owner in owners.get(module, [module])}
    }
    assert unknown == {}, "add a line to requirements-kaggle.txt (in the image) or requirements-wheels.txt (not in it)"
    assert {"torch", "pydicom", "gdcm", "ultralytics", "lightning", "xxhash"} <= set(imports)


def test_what_the_wheels_need_is_there_too():
    known = {plain(name) for name in (*IMAGE, *WHEELS)} | NOT_IMPORTED
    lacking = {
        (name, need.name)
        for name in WHEELS
        for need in map(Requirement, importlib.metadata.requires(name) or [])
        if (not need.marker or need.marker.evaluate({"extra": "", "python_version": "3.12"}))
        and plain(need.name) not in known
    }
    assert lacking == set()


def test_nothing_is_in_both_lists_and_torch_never_travels():
    assert not {plain(name) for name in IMAGE} & {plain(name) for name in WHEELS}
    assert not [name for name in WHEELS if NEVER.match(f"{name}==")]
