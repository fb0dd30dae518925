"""What every notebook opens first: the profile, the places, the clock, and what stage 00 found."""

import json
import os
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

    @property
    def is_phantom(self) -> bool:
        return self.inputs["data"] == "phantom"

    def weights(self, name: str) -> Path | None:
        """A weight file that stage 00 found in the input, or None."""
        found = self.inputs["weights"].get(name)
        return Path(found) if found else None


def open_workspace(
    profile: str = "", overrides: str = "", input_dir: str = "", working_dir: str = "", submissions_dir: str = ""
) -> Workspace:
    """Open a run. Empty names mean: profile kaggle on Kaggle and demo elsewhere, and the usual places."""
    # albumentations asks PyPI for a newer version at import, ultralytics asks for much more (see training/yolo.py)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    settings = load_profile(profile or ("kaggle" if on_kaggle() else "demo"), overrides)
    places = find_places(settings.name, input_dir, working_dir, submissions_dir)
    return Workspace(settings, places, Clock(places.budget, settings.budget))


def write_json(value: dict, path: Path) -> Path:
    """Write readable JSON atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    os.replace(partial, path)
    return path
