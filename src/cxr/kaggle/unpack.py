"""Wheels to a folder of packages, with the standard library alone.

A wheel is a zip file whose content is laid out as it is to be imported (PEP 427), so unpacking it is what pip does
there, and works where an image has no pip or a read-only one. Each is checked against its digest first: half an upload
must not become half a package.
"""

import hashlib
import importlib.metadata
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

from cxr.faults import DataFault

MANIFEST = "wheels.json"  # {"packages": {name: version}, "files": {name of a wheel: sha256}}


def unpack_wheels(folder: Path, target: Path) -> tuple[list[str], list[str]]:
    """Unpack what this Python needs from a folder of wheels; returns (unpacked, there already), as name==version.

    Raises DataFault for a manifest that is not ours, a package without a wheel for this Python, a damaged file.
    """
    manifest = read_manifest(folder)
    taken, there = [], []
    for name, version in manifest["packages"].items():
        if installed_version(name) == version:
            there.append(f"{name}=={version}")
            continue
        wheel = choose_wheel(name, version, manifest["files"])
        data = (folder / wheel).read_bytes() if (folder / wheel).is_file() else b""
        if hashlib.sha256(data).hexdigest() != manifest["files"][wheel]:
            raise DataFault(
                f"{folder / wheel}: is missing or not the file that was packed; upload the wheels data set again"
            )
        unpack(folder / wheel, target)
        taken.append(f"{name}=={version}")
    return taken, there


def read_manifest(folder: Path) -> dict:
    """`wheels.json` of a wheels dataset."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return {"packages": dict(manifest["packages"]), "files": dict(manifest["files"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFault(
            f"{folder / MANIFEST}: no list of wheels ({error}); build the bundle again with `make kaggle`"
        ) from None


def installed_version(name: str) -> str | None:
    """Version of an installed package, None where it is not."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def choose_wheel(name: str, version: str, files: dict[str, str]) -> str:
    """The wheel of a package for the running Python. Raises DataFault when there is none."""
    own = [file for file in sorted(files) if same_package(file, name, version)]
    fitting = [file for file in own if fits(file, sys.version_info[:2])]
    if not fitting:
        python = ".".join(map(str, sys.version_info[:2]))
        raise DataFault(
            f"{name}=={version}: no wheel for Python {python} among {', '.join(own) or 'the wheels'}; "
            f"build the bundle again with KAGGLE_PYTHON={python} and upload a new version of the wheels"
        )
    return fitting[0]


def same_package(file: str, name: str, version: str) -> bool:
    """Whether a wheel's file name (PEP 427: name-version-python-abi-platform.whl) is of this package and version."""
    return file.split("-")[:2] == [re.sub(r"[-_.]+", "_", name).lower(), version]


def fits(file: str, python: tuple[int, int]) -> bool:
    """Whether a wheel runs on this Python by its tags: any Python 3, this one, or a stable ABI from an older one."""
    pythons, abi, _ = file.removesuffix(".whl").split("-")[-3:]
    exact = f"cp{python[0]}{python[1]}"
    for tag in pythons.split("."):
        if tag == "py3" or (tag == exact and abi in (exact, "abi3", "none")):
            return True
        number = re.fullmatch(r"cp3(\d+)", tag)
        if number and abi == "abi3" and int(number[1]) <= python[1]:
            return True
    return False


def unpack(wheel: Path, target: Path) -> None:
    """Unpack one wheel; `*.data/purelib` and `platlib` belong to the packages too, scripts do not."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    for data in target.glob("*.data"):
        for library in (data / "purelib", data / "platlib"):
            if library.is_dir():
                shutil.copytree(library, target, dirs_exist_ok=True)
        shutil.rmtree(data)
