"""Stage 00: what is in the input folder? If nothing, make the phantom. Leave a valid submission behind."""

import importlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from cxr.budget import SUBMISSION
from cxr.data.mask_sets.sets import MASK_SETS
from cxr.data.prepare import read_priors
from cxr.data.siim import (
    find_competition,
    find_dataset,
    find_weights,
    labelled_images,
    prediction_table,
    read_sample,
    training_table,
)
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES, UNIT_BOX, Prediction
from cxr.paths import default_input
from cxr.submission_format import write_submission
from cxr.workspace import Workspace, write_json

COMPANIONS = {
    "rsna-pneumonia-detection-challenge": "stage_2_train_labels.csv",
    "data": "Data_Entry_2017*.csv",
    **{name: sentinel for name, (sentinel, _) in MASK_SETS.items()},
}  # data sets of the pretraining stages, and the file that tells one is there


def look_at_inputs(workspace: Workspace, solution_csv: str = "") -> dict:
    """Find the data, or make the phantom; write `inputs.json` and a fallback submission; return what was found.

    Raises DataFault when a competition folder is there but half unpacked, or its test set is empty.
    """
    workspace.clock.restart()
    root, data = workspace.places.input, "competition"
    if not root.is_dir() and root != default_input():
        raise DataFault(f"INPUT={root}: no such folder; name the folder that holds siim-covid19-detection/")
    if not has_files(root):
        root, data = make_phantom_input(workspace), "phantom"
        solution_csv = solution_csv or str(workspace.places.phantom / "solution.csv")
    competition = find_competition(root)
    if solution_csv and not Path(solution_csv).is_file():
        raise DataFault(f"SOLUTION={solution_csv}: no such file; leave it out, or name the truth of the test set")
    training, findings = training_table(competition)
    testing, more = prediction_table(competition)
    profile = workspace.profile
    names = (part.weights for part in (profile.nih, profile.yolo, profile.faster_rcnn, profile.study))
    weights = {name: find_weights(workspace.places.input, name) for name in dict.fromkeys(names)}
    found = {
        "data": data,
        "competition": str(competition),
        "solution": solution_csv,
        "train_images": len(training),
        "test_images": len(testing),
        "weights": {name: str(path) if path else None for name, path in weights.items()},
        "companions": {slug: str(find_dataset(root, slug, sentinel) or "") for slug, sentinel in COMPANIONS.items()},
        "findings": findings + more,
    }
    write_json(found, workspace.places.inputs)
    write_fallback(workspace, *frequencies(competition))
    # by name: what is counted there must not decide when this stage, and with it every other, runs again
    for line in importlib.import_module("cxr.footprint.room").disk_notes(workspace):
        print(f"note: {line}")
    report(found)
    return found


def has_files(folder: Path) -> bool:
    """Whether a user put data there. Weights, members, collections and the folder's own README are no data."""
    if not folder.is_dir():
        return False
    return any(
        path.name not in ("README.md", "weights", "members", "collections") and not path.name.startswith(".")
        for path in folder.iterdir()
    )


def make_phantom_input(workspace: Workspace) -> Path:
    """The phantom of this profile's settings, made only if it is not there yet; returns its input folder."""
    from cxr.phantom.datasets import FEWEST, make_phantom

    settings, folder = workspace.profile.phantom, workspace.places.phantom
    stamp = folder / "settings.json"
    wanted = {**asdict(settings), "code": phantom_code()}
    if not (folder / "input").is_dir() or not stamp.is_file() or json_of(stamp) != wanted:
        stamp.unlink(missing_ok=True)  # first: a kill in between must not leave half a phantom with a stamp
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        nih, rsna = (max(FEWEST, round(settings.studies * share)) for share in (settings.nih, settings.rsna))
        make_phantom(folder, studies=settings.studies, seed=settings.seed, nih=nih, rsna=rsna)
        write_json(wanted, stamp)
    return folder / "input"


def phantom_code() -> str:
    """Digest of the modules that draw the phantom: a changed one draws other pictures."""
    from cxr.stamps import modules_digest

    return modules_digest("cxr.phantom.datasets")


def json_of(path: Path) -> dict:
    """The content of one of our own JSON files; an unreadable one counts as empty, so that it is made anew."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        return {}


def look_at_tests(workspace: Workspace) -> dict:
    """What stage 00 does where a finished run only predicts: `inputs.json` and a first submission from its priors.

    Needs no training data. Raises DataFault when there is no competition folder or its test set is empty.
    """
    places = workspace.places
    competition = find_competition(places.input)
    testing, findings = prediction_table(competition)
    found = {
        "data": "competition",
        "competition": str(competition),
        "solution": "",
        "train_images": 0,
        "test_images": len(testing),
        "weights": {},
        "companions": {},
        "findings": findings,
    }
    write_json(found, places.inputs)
    print(f"{len(testing)} test images in {competition}")
    for line in findings:
        print(f"note: {line}")
    priors = read_priors(workspace)
    write_fallback(workspace, priors["studies"], priors["none"])
    return found


def frequencies(competition: Path) -> tuple[dict[str, float], float]:
    """Shares of the four classes among training studies, and of images without a box."""
    labels, _ = labelled_images(competition)
    studies = labels.drop_duplicates("study_id")
    return {name: float(studies[name].mean()) for name in STUDY_CLASSES}, float(1 - labels["has_box"].mean())


def write_fallback(workspace: Workspace, studies: dict[str, float], none: float) -> Path:
    """A valid submission from class frequencies: there from the first minute."""
    classes = [Prediction(name, studies[name], *UNIT_BOX) for name in STUDY_CLASSES]
    boxless = [Prediction("none", none, *UNIT_BOX)]
    sample_csv = workspace.competition / "sample_submission.csv"
    sample = read_sample(sample_csv)
    rows = {row.id: classes if row.kind == "study" else boxless for row in sample.itertuples()}
    written = write_submission(rows, sample_csv, workspace.places.submission)
    workspace.clock.tell(SUBMISSION, f"{written}: {len(rows)} rows, valid (class frequencies)")
    return written


def report(found: dict) -> None:
    """Say in a few lines which data this run uses."""
    kind = (
        "PHANTOM data (synthetic: its scores say nothing about patients)"
        if found["data"] == "phantom"
        else "competition data"
    )
    print(f"{kind}: {found['competition']}")
    print(f"{found['train_images']} training images, {found['test_images']} test images")
    for name, path in found["weights"].items():
        print(f"weights {name}: {path or 'none in input/weights, the network starts from RANDOM weights'}")
    for slug, path in found["companions"].items():
        if path or slug not in MASK_SETS:
            print(f"{slug}: {path or 'not in the input, what would learn from it goes without'}")
    if not any(found["companions"].get(slug) for slug in MASK_SETS):
        print(f"lung masks ({', '.join(MASK_SETS)}): not in the input, what would learn from them goes without")
    for line in found["findings"]:
        print(f"note: {line}")
