"""Wheels of what Kaggle's image lacks: fetched once by pip, kept in a cache, packed with the digest of each.

`requirements-wheels.txt` lists them with exact pins; dependencies are left out on purpose (`--no-deps`): what they need
is in the image, and torch or numpy must never come along.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from cxr.faults import DataFault
from cxr.kaggle.unpack import MANIFEST, fits, same_package
from cxr.workspace import write_json

# manylinux tags (PEP 600) of glibc up to 2.28: Kaggle's image, an Ubuntu 22.04, has 2.35
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64")
NEVER = re.compile(r"(torch|torchvision|numpy|nvidia-.*)==")


def read_pins(requirements: Path) -> dict[str, str]:
    """Versions by package from lines `name==version  # reason`, in file order. Raises DataFault for any other line."""
    pins = {}
    for number, line in enumerate(requirements.read_text().splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        name, equals, version = (part.strip() for part in text.partition("=="))
        if not equals or not re.fullmatch(r"[A-Za-z0-9._-]+", name) or not re.fullmatch(r"[A-Za-z0-9.+!]+", version):
            raise DataFault(f"{requirements}:{number}: {text!r} is no exact pin; write name==version  # reason")
        pins[name] = version
    return pins


def pack_wheels(requirements: Path, pythons: list[str], cache: Path, out: Path) -> list[str]:
    """Fill `out` with the wheels for these Pythons ("3.12") and their manifest; returns a line for each missing.

    What lies in `cache` is not fetched again. A pure wheel serves all Pythons. Raises DataFault for a package that must
    never travel.
    """
    pins = read_pins(requirements)
    for name, version in pins.items():
        if NEVER.match(f"{name}=="):
            raise DataFault(f"{requirements}: {name}=={version} must not travel, the image's fits its GPU; remove it")
    files, missing = {}, []
    out.mkdir(parents=True, exist_ok=True)
    for name, version in pins.items():
        for python in pythons:
            wheel = cached(cache, name, version, python) or fetch(cache, name, version, python)
            if wheel is None:
                missing.append(f"{name}=={version} for Python {python}: no wheel in {cache}, and pip found none")
            elif wheel.name not in files:
                shutil.copyfile(wheel, out / wheel.name)
                files[wheel.name] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    write_json({"python": pythons, "packages": pins, "files": files}, out / MANIFEST)
    return missing


def cached(cache: Path, name: str, version: str, python: str) -> Path | None:
    """A whole wheel of this package for this Python in the cache."""
    number = tuple(map(int, python.split(".")))
    for path in sorted(cache.glob("*.whl")):
        if same_package(path.name, name, version) and fits(path.name, number) and zipfile.is_zipfile(path):
            return path
    return None


def fetch(cache: Path, name: str, version: str, python: str) -> Path | None:
    """Fetch one wheel into the cache; None, after saying what pip said, when there is none or no way to the index."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        where = [f"--platform={platform}" for platform in PLATFORMS]
        what = ["--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *where]
        command = [*pip(), "download", "--quiet", "--retries=1", *what, "--dest", folder, f"{name}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            print(f"{name}=={version}, Python {python}: {lines[-1] if lines else 'pip fetched nothing'}")
            return None
        os.replace(wheels[0], cache / wheels[0].name)
    return cache / wheels[0].name


def pip() -> list[str]:
    """A pip to download with: this environment's, else the one on PATH (uv makes environments without one).

    Any will do, since Python and platform of the wheels are named. Raises DataFault when there is none.
    """
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise DataFault("no pip to fetch wheels with: neither in this environment nor on PATH; `uv pip install pip`")
    return [found]


def wheel_licences(folder: Path) -> dict[str, str]:
    """Licence that each wheel declares (core metadata: License-Expression, License, or its classifier), by file."""
    return {path.name: _licence(path) for path in sorted(folder.glob("*.whl"))}


def _licence(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        head = archive.read(names[0]).decode("utf-8", "replace").partition("\n\n")[0] if names else ""
    for field in ("License-Expression: ", "Classifier: License :: (?:OSI Approved :: )?", "License: "):
        found = re.search(rf"^{field}(.+)$", head, re.M)
        if found and found[1].strip() not in ("OSI Approved", "UNKNOWN"):
            return found[1].strip()[:60]
    return "see the wheel"
