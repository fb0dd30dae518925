"""Imports go only downward, and what must stay light never imports torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.stamps import PACKAGE, imported

LAYERS = [
    {"faults", "paths", "compiled"},
    {"profiles", "labels", "full_disk"},
    {"budget", "boxes"},
    {"workspace", "stamps", "tables", "provenance"},
    {"run_notebook"},
    {"images", "phantom", "submission_format"},
    {"data"},
    {"models", "figures", "baseline"},
    {"training"},
    {"prediction"},
    {"evaluation"},
    {"explain"},
    {"systems", "footprint"},
    {"papers"},
    {"inputs", "submit", "summary", "report", "browse", "train"},
    {"app"},
    {"ablations", "bench", "kaggle"},
    {"__main__"},
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
WITHOUT_TORCH = [
    "faults",
    "compiled",
    "full_disk",
    "labels",
    "boxes",
    "tables",
    "images",
    "phantom",
    "stamps",
    "budget",
    "provenance",
    "submission_format",
]


def part(module: str) -> str:
    """`cxr.images.dicom` -> `images`."""
    return module.split(".")[1] if "." in module else ""


def modules() -> list[str]:
    files = sorted(PACKAGE.rglob("*.py"))
    return [
        ".".join(["cxr", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__") for path in files
    ]


@pytest.mark.parametrize("module", [m for m in modules() if m != "cxr"])
def test_a_module_imports_only_from_its_own_room_or_below(module):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    above = [
        name
        for name in imported(ast.parse(path.read_text()), module)
        if part(name) and part(name) != part(module) and HEIGHT[part(name)] >= HEIGHT[part(module)]
    ]
    assert not above, f"{module} imports {above}"


def test_every_part_of_the_package_has_its_layer():
    assert {part(module) for module in modules() if part(module)} <= set(HEIGHT)


def test_light_modules_do_not_load_torch():
    names = [m for m in modules() if part(m) in WITHOUT_TORCH]
    program = (
        f"import sys, importlib\nfor m in {names!r}: importlib.import_module(m)\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(PACKAGE.parent)}
    )
    assert done.returncode == 0, done.stderr


def test_systems_do_not_import_each_other():
    for path in sorted(Path(PACKAGE, "systems").glob("*.py")):
        names = imported(ast.parse(path.read_text()), f"cxr.systems.{path.stem}")
        assert not [name for name in names if name.startswith("cxr.systems.")], path.name
