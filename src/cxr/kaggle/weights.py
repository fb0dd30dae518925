"""What of a finished run travels to Kaggle: the models, the constants of the blend, class frequencies. No images, no
tables of images, no labels; no path of the machine that trained.
"""

import json
import shutil
from pathlib import Path

from cxr.data.lung_views import WHOLE
from cxr.data.siim import find_weights
from cxr.faults import DataFault
from cxr.prediction.constants import read_constants
from cxr.profiles import load_profile, settings_of
from cxr.workspace import write_json

OF_A_MODEL = ("weights.pt", "config.json", "model.json", "run.json")  # model.json: of YOLO alone
START = "weights"  # where stages look for starting weights in a mounted data set (`cxr.data.siim.find_weights`)


def missing_parts(run: Path) -> list[str]:
    """What a run lacks to be packed, one line each; an empty list means that it is finished."""
    lacking = [name for name in ("profile.json", "blend.json", "tables/priors.json") if not (run / name).is_file()]
    if lacking:
        return [f"{run / name} is not there" for name in lacking]
    return [
        f"{folder / name} is not there"
        for folder in model_folders(run)
        for name in ("weights.pt", "config.json", "run.json")
        if not (folder / name).is_file()
    ]


def model_folders(run: Path) -> list[Path]:
    """`models/<name>/fold_k` of every model that the blend uses, in order.

    A member (`input/members`) knows no hidden image, so the constants without members say which these are. The lung
    segmenter is among them if one of these models looks at lungs alone.
    """
    constants = read_constants(run / "blend.json", members=False)
    weights = {**constants.box_weights, **constants.class_weights}
    profile = load_profile(run.name, json.loads((run / "profile.json").read_text())["overrides"])
    used = [name for name, weight in weights.items() if weight > 0]
    folders = [run / "models" / name / f"fold_{k}" for name in used for k in range(profile.folds.count)]
    lungs = any(settings_of(profile, name).lungs != WHOLE for name in used)
    return [*folders, *([run / "models" / "lungs"] if lungs else [])]


def pack_run(run: Path, out: Path) -> list[str]:
    """Copy what travels of `working/<profile>` to `out/<profile>`; returns lines that the user should read."""
    lacking = missing_parts(run)
    if lacking:
        raise DataFault(f"{run}: not a finished run ({lacking[0]}); run `make all` first")
    target, folders, notes = out / run.name, model_folders(run), []
    (target / "tables").mkdir(parents=True)
    shutil.copyfile(run / "tables" / "priors.json", target / "tables" / "priors.json")
    blend = json.loads((run / "blend.json").read_text())
    write_json(without_paths(blend, run), target / "blend.json")
    record = {**json.loads((run / "profile.json").read_text()), "input": "", "submissions": ""}
    write_json(record, target / "profile.json")
    for folder in folders:
        copy_model(folder, target / folder.relative_to(run), run)
    sources = training_sources(folders)
    if any("phantom" in name for name in sources):
        notes.append("PHANTOM: these models learned from synthetic pictures and know nothing about patients")
    if blend.get("members"):
        names = ", ".join(str(member.get("name")) for member in blend["members"])
        notes.append(f"foreign members stay at home, they know no hidden image: {names}; the blend goes without them")
    (out / "README.md").write_text(readme(run.name, folders, sources, notes))
    return notes


def copy_model(folder: Path, target: Path, run: Path) -> None:
    """One fold's files; JSON without paths of this machine."""
    target.mkdir(parents=True)
    for name in OF_A_MODEL:
        if not (folder / name).is_file():
            continue
        if name.endswith(".json"):
            write_json(without_paths(json.loads((folder / name).read_text()), run), target / name)
        else:
            shutil.copyfile(folder / name, target / name)


def without_paths(value: object, run: Path) -> object:
    """A JSON value in which absolute paths are relative to the run where they lie in it, and bare names elsewhere."""
    if isinstance(value, dict):
        return {key: without_paths(item, run) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item, run) for item in value]
    if not isinstance(value, str) or not Path(value).is_absolute():
        return value
    # the run may have been moved since: the folders from its profile's name on are what says something
    parts = Path(value).parts
    return "/".join(parts[parts.index(run.name) + 1 :]) if run.name in parts[:-1] else parts[-1]


def training_sources(folders: list[Path]) -> list[str]:
    """Names of all data sets that these models learned from, pretraining included, as their records say."""
    records = [json.loads((folder / "run.json").read_text()) for folder in folders]
    return sorted({name for record in records for name in record.get("training_sources", ["not recorded"])})


def pack_starting_weights(input_dir: Path, out: Path, profile: str, overrides: str) -> list[str]:
    """Copy the weight files that a training with this profile starts from; returns lines that the user should read."""
    settings, notes = load_profile(profile, overrides), []
    parts = (settings.nih, settings.yolo, settings.faster_rcnn, settings.study)
    for name in dict.fromkeys(part.weights for part in parts):
        path = find_weights(input_dir, name)
        if path is None:
            notes.append(f"no {name}*.pth or .pt in {input_dir.name}/weights: there its training starts at RANDOM")
            continue
        (out / START).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / START / path.name)
    return notes


def readme(profile: str, folders: list[Path], sources: list[str], notes: list[str]) -> str:
    """What the data set is, what it learned from, and under which terms."""
    models = "".join(f"- `{profile}/{'/'.join(folder.parts[folder.parts.index('models') :])}`\n" for folder in folders)
    learned = "".join(f"- {name}\n" for name in sources)
    said = "".join(f"**{note}.**\n\n" for note in notes)
    return (
        f"# Weights of a chest X-ray pipeline, profile {profile}\n\n{said}"
        "For the SIIM-FISABIO-RSNA COVID-19 Detection challenge. For research; no medical device.\n\n"
        f"## Models\n\n{models}\n## Learned from\n\n{learned}\n"
        "## Terms\n\n"
        "The weights are under AGPL-3.0 (LICENSE), since networks and training code of ultralytics are. Labels and "
        "images of SIIM-FISABIO-RSNA, RSNA and RICORD may be used for non-commercial purposes only, and weights that "
        "learned from them should be treated alike. Neither images nor labels are in this data set. Files in "
        f"`{START}/`, if any, are starting weights of their own authors, under their terms.\n"
    )
