"""What every notebook opens first: the profile, the places, the clock, and what stage 00 found."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cxr.budget import Clock
from cxr.faults import DataFault
from cxr.paths import Places, find_places, on_kaggle
from cxr.profiles import Profile, load_profile


@dataclass
class Workspace:
    """One run's settings and places."""

    profile: Profile
    places: Places
    clock: Clock

    @property
    def inputs(self) -> dict:
        """What stage 00 found (`inputs.json`). Raises DataFault when that stage has not run."""
        if not self.places.inputs.is_file():
            raise DataFault(f"{self.places.inputs}: not there yet; run notebook 00_inputs first, or `make all`")
        return json.loads(self.places.inputs.read_text())

    @property
    def competition(self) -> Path:
        """The folder with train/, test/ and the CSV files."""
        return Path(self.inputs["competition"])

    def companion(self, slug: str) -> Path | None:
        """Folder of a data set beside the competition's, as stage 00 found it; None where it is not in the input."""
        folder = self.inputs["companions"].get(slug)
        return Path(folder) if folder else None

    @property
    def is_phantom(self) -> bool:
        return self.inputs["data"] == "phantom"


def open_workspace(
    profile: str = "",
    overrides: str | None = None,
    input_dir: str | None = None,
    working_dir: str = "",
    submissions_dir: str = "",
) -> Workspace:
    """Open a run. An empty profile is `kaggle` on Kaggle and `demo` elsewhere, an empty folder is the usual one.

    `overrides` and `input_dir` of None, and an empty `submissions_dir`, mean: as the last run of this profile had them,
    so that a notebook opened by hand after `make all SET=...` sees the same run.
    """
    # albumentations asks PyPI for a newer version at import, ultralytics asks for much more (see training/yolo.py)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    name = profile or ("kaggle" if on_kaggle() else "demo")
    last = _last_run(find_places(name, "", working_dir, submissions_dir).record)
    overrides = last["overrides"] if overrides is None else overrides
    input_dir = last["input"] if input_dir is None else input_dir
    settings = load_profile(name, overrides)
    places = find_places(name, input_dir, working_dir, submissions_dir or last["submissions"])
    record = {"overrides": overrides, "input": input_dir, "submissions": str(places.submissions)}
    if last != record:  # a finished run that is only looked at may lie where nothing can be written
        write_json(record, places.record)
    return Workspace(settings, places, Clock(places.budget, settings.budget))


def open_run_folder(folder: Path) -> Workspace:
    """Open a finished run by its folder `working/<profile>`, with the settings that it was made with."""
    folder = folder.resolve()
    if not (folder / "profile.json").is_file():
        raise DataFault(
            f"{folder}: no run there (profile.json is missing); run `make all` first, or name another folder"
        )
    return open_workspace(folder.name, working_dir=str(folder.parent))


def _last_run(record: Path) -> dict[str, str]:
    nothing = {"overrides": "", "input": "", "submissions": ""}
    return {**nothing, **json.loads(record.read_text())} if record.is_file() else nothing


def file_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Short digests by `folder/name`, "" for a file that is not there: whether a result still is about these files."""
    return {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""
        for path in paths
    }


def write_json(value: dict, path: Path) -> Path:
    """Write readable JSON atomically: a reader sees the old file or the new one. NaN, no JSON, raises ValueError."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
