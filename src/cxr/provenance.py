"""What a result came from: the commit, the packages, a digest of the data."""

import hashlib
import importlib.metadata
import json
import subprocess
from pathlib import Path

from cxr.paths import REPOSITORY

RECORD = "COMMIT"  # beside this file in a bundle, which has no git
PACKAGES = (
    "torch",
    "torchvision",
    "ultralytics",
    "lightning",
    "albumentations",
    "numpy",
    "opencv-python-headless",
    "pydicom",
)


def commit() -> str:
    """The commit of the checkout, `+` for uncommitted changes, `unknown` without git; in a bundle the one it is of.

    Submissions do not count as changes: a run adds a line to their log, and would make every later one look dirty.
    """
    record = Path(__file__).with_name(RECORD)
    if record.is_file():  # first: a checkout around the bundle would answer for itself
        return record.read_text().strip()
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!submissions")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{found}{'+' if changed else ''}"


def _git(*words: str) -> str:
    run = ["git", "-C", str(REPOSITORY), *words]
    return subprocess.run(run, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def package_versions() -> dict[str, str]:
    """Installed versions of PACKAGES, which decide what a training gives."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def data_digest(*parts: object) -> str:
    """Short digest of tables (as CSV text), arrays (as bytes) and plain values: what a training saw."""
    total = hashlib.sha256()
    for part in parts:
        if hasattr(part, "to_csv"):
            total.update(part.to_csv(index=False).encode())
        elif hasattr(part, "tobytes"):
            total.update(part.tobytes())
        else:
            total.update(json.dumps(part, sort_keys=True).encode())
    return total.hexdigest()[:16]
