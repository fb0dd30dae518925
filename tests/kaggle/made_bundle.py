"""A small finished run to pack (its weights are a few bytes), a tree like Kaggle's, and wheels of toy packages."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

from cxr.kaggle.bundle import Wanted
from cxr.kaggle.unpack import MANIFEST
from cxr.workspace import write_json

REPOSITORY = Path(__file__).resolve().parents[2]
SLUGS = {"code": "cxr-code", "wheels": "cxr-wheels", "weights": "cxr-weights"}


def made_run(working, profile="demo", sources=("phantom of SIIM-FISABIO-RSNA train",), members=()):
    """`working/<profile>` with two folds of two models that the blend uses, and one that it does not."""
    run = working / profile
    constants = {"wbf_iou": 0.55, "wbf_skip": 0.001, "max_boxes": 30, "class_weights": {"studies": 1.0}}
    constants["box_weights"] = {"yolo": 2.0, "faster_rcnn": 0.0}
    blend = {"constants": constants, "members": [{"name": name, "weight": 1.0} for name in members]}
    if members:
        without = {**constants, "box_weights": {"yolo": 1.0, "faster_rcnn": 0.0}}
        joined = {**constants, "box_weights": {**constants["box_weights"], **dict.fromkeys(members, 1.0)}}
        blend.update(constants=joined, constants_without_members=without)
    write_json(blend, run / "blend.json")
    write_json({"studies": {"negative": 0.3}, "none": 0.3, "boxes": []}, run / "tables" / "priors.json")
    record = {
        "overrides": "folds.count=2",
        "input": str(working / "input"),
        "submissions": str(working / "submissions"),
    }
    write_json(record, run / "profile.json")
    for name in ("yolo", "faster_rcnn", "studies", "yolo_without_pretraining"):
        for fold in (0, 1):
            folder = run / "models" / name / f"fold_{fold}"
            start = str(run / "models" / "pretrain_rsna_yolo")
            record = {"weights": start, "training_sources": list(sources), "seed": 1}
            for file, value in (("config.json", {"fold": fold}), ("run.json", record), ("model.json", {"yaml": {}})):
                write_json(value, folder / file)
            (folder / "weights.pt").write_bytes(f"{name} {fold}".encode())
            (folder / "metrics.csv").write_text("epoch\n1\n")
    for name in ("images.csv", "folds.csv"):
        (run / "tables" / name).write_text("image_id\nsecret\n")
    return run


def wanted(root, **changes):
    """What a test builds: out of `root/working` into `root/out`, without wheels."""
    plain = {"profile": "demo", "working": root / "working", "input": root / "input", "out": root / "out"}
    return Wanted(**{**plain, "user": "somebody", "wheels": False, "repository": REPOSITORY, **changes})


def toy_wheel(folder, name="cxrtoy", version="1.0", tags="py3-none-any", text="WORTH = 7\n"):
    """A wheel with one module, and one more in its `.data/purelib`; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tags}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", text)
        archive.writestr(f"{name}-{version}.data/purelib/{name}_more.py", "MORE = 1\n")
        archive.writestr(f"{name}-{version}.data/scripts/{name}", "#!python\n")
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n\nLong words.\n"
        archive.writestr(f"{name}-{version}.dist-info/METADATA", about)
    return path


def list_wheels(folder, packages):
    """Write the manifest of the wheels in a folder."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.whl")}
    write_json({"python": ["3.12"], "packages": packages, "files": files}, folder / MANIFEST)
    return folder


def mount(bundle, root, layout="new", nested=""):
    """Kaggle's tree below `root`: the datasets of a bundle in today's layout or the old one, maybe a folder deeper.

    nested "*": each folder of a dataset lies in one of its own name, as if Kaggle had unpacked its zip so.
    """
    base = root / "input" / "datasets" / "somebody" if layout == "new" else root / "input"
    for part, slug in SLUGS.items():
        if (bundle / part).is_dir():
            for path in (bundle / part).iterdir():
                folder = base / slug / (path.name if nested == "*" and path.is_dir() else nested.strip("*"))
                folder.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, folder / path.name)
    (root / "working").mkdir(parents=True, exist_ok=True)
    return root


def values(path):
    return json.loads(path.read_text())
