"""The Python that stands for Kaggle's: 3.12, held to the versions of Kaggle's image (`setup_kaggle.sh` makes it)."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cxr.faults import DataFault

KAGGLE_PYTHON = (3, 12)
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;#]+)")
# what Kaggle's image lacks (kaggle.com, November 2026): these must come out of the bundle
LACKING = ("ultralytics", "ultralytics-thop", "ensemble-boxes", "python-gdcm", "lightning", "cxr")
PROGRAM = """
import importlib.metadata, importlib.util, json, sys
names = {str(d.metadata["Name"]).lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
print(json.dumps(dict(version=sys.version_info[:3], packages=names, sees=importlib.util.find_spec("cxr") is not None)))
"""


@dataclass(frozen=True)
class Environment:
    """A Python to run the kernel with. `note` says what of Kaggle's it cannot stand for, "" for nothing."""

    python: Path
    version: str
    packages: dict[str, str]
    note: str = ""

    @property
    def is_kaggles(self) -> bool:
        return not self.note


def find_environment(python: Path) -> Environment:
    """The environment of `python`, or ours with a note in words when that is not there or is no Python 3.12.

    Raises DataFault when it is there and holds what Kaggle's image lacks: then a missing wheel would go unseen.
    """
    version, packages, sees, reason = look_at(python)
    if reason:
        ours, packages, _, _ = look_at(Path(sys.executable))
        note = (
            f"{python}: {reason}; rehearsing with our own Python {ours}, so neither wheels nor Kaggle's versions are "
            "tried. Remedy: sh setup_kaggle.sh (it needs uv or a python3.12)"
        )
        return Environment(Path(sys.executable), ours, packages, note)
    there = sorted(set(LACKING) & packages.keys()) + ["cxr (by a .pth file)"] * sees
    if there:
        raise DataFault(
            f"{python}: has {', '.join(there)}, which Kaggle's image lacks, so a wheel missing in the bundle would go "
            "unseen; remove that environment and run sh setup_kaggle.sh"
        )
    return Environment(python, version, packages)


def look_at(python: Path) -> tuple[str, dict[str, str], bool, str]:
    """Version, packages, whether it finds `cxr` by itself, and why it cannot be used ("" if it can)."""
    try:
        done = subprocess.run([str(python), "-I", "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", {}, False, "no Python there" if isinstance(error, FileNotFoundError) else str(error)
    if done.returncode:
        return "", {}, False, f"does not run ({(done.stderr.strip().splitlines() or ['no message'])[-1]})"
    found = json.loads(done.stdout)
    version, reason = ".".join(map(str, found["version"])), ""
    if tuple(found["version"][:2]) != KAGGLE_PYTHON:
        reason = f"is Python {version}, Kaggle's is {'.'.join(map(str, KAGGLE_PYTHON))}"
    elif "papermill" not in found["packages"]:
        reason = "has no papermill, so it is half made"
    return version, found["packages"], found["sees"], reason


def read_pins(requirements: Path) -> dict[str, str]:
    """Version by package of a requirements file. Raises DataFault when it is not there or pins nothing."""
    if not requirements.is_file():
        raise DataFault(f"{requirements}: no such file; `make kaggle` writes it into the bundle")
    pins = {}
    for line in requirements.read_text().splitlines():
        if found := PIN.match(line):
            pins[found[1].lower().replace("_", "-")] = found[2]
    if not pins:
        raise DataFault(f"{requirements}: no line name==version in it; take the file of the repository")
    return pins


def differing_versions(pins: dict[str, str], packages: dict[str, str]) -> list[str]:
    """A line for each pinned package that is absent or of another version; +cpu and its kind do not count."""
    return [
        f"{name} is {packages.get(name, 'missing')}, there it is {wanted}"
        for name, wanted in sorted(pins.items())
        if packages.get(name, "").partition("+")[0] != wanted
    ]
