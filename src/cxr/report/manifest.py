"""What identifies a run: its settings, code, data and packages, and digests of the files that decide its submission."""

import hashlib
import json
import platform
from collections.abc import Iterator
from pathlib import Path

from cxr.evaluation.run_files import RunFiles, read_json
from cxr.labels import STUDY_CLASSES
from cxr.profiles import section_values
from cxr.provenance import commit, data_digest, package_versions
from cxr.report.page import Html, Number, folded, heading, table
from cxr.tables import IMAGES, read_table

LISTED = 16  # files of one folder that are listed each by name
NAMES = {"commit": "commit of this page", "trainings": "commits of the trainings", "input": "digest of the input"}
SEEN = ("image_id", "study_id", "pixel_hash", "role", *STUDY_CLASSES, "has_box")


def manifest(files: RunFiles) -> dict:
    """profile, overrides, data, input, settings, commit, python, packages, device, trainings, digests (sha256, bytes).

    `input` is a digest of the training images, their labels and boxes and of the test images' ids: the same data gives
    the same digest wherever it lies; "" before stage 03. Commit and packages are those of this moment, `trainings` and
    `device` are where the models were trained, by commit and by machine. A digest is None where the file is absent.
    """
    return {
        "profile": files.profile.name,
        "overrides": (read_json(files.places.record) or {}).get("overrides", ""),
        "data": files.inputs.get("data", ""),
        "input": input_digest(files),
        "settings": settings(files),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "device": _different(files, "device"),
        "trainings": _different(files, "commit"),
        "digests": {path.name: file_digest(path) for path in deciding_files(files)},
    }


def deciding_files(files: RunFiles) -> list[Path]:
    """What the submission came from, and the submission."""
    places = files.places
    tables = [places.images_table, places.boxes_table, places.folds_table, places.test_images_table]
    return [*tables, places.blend, places.submission, places.score]


def file_digest(path: Path) -> dict | None:
    """{'sha256': 64 hex digits, 'bytes': size}; None where there is no such file."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def input_digest(files: RunFiles) -> str:
    """16 hex digits for images, labels and true boxes of training and the ids of the test set; "" before stage 03."""
    if files.images is None or files.truth is None:
        return ""
    seen = files.images[[name for name in SEEN if name in files.images]].sort_values("image_id")
    test = files.places.test_images_table
    ids = sorted(read_table(test, IMAGES)["image_id"]) if test.is_file() else []
    return data_digest(seen, files.truth.sort_values(list(files.truth.columns)), ids)


def settings(files: RunFiles) -> dict[str, dict]:
    """Values of the profile by section, as the stages saw them (their stamps), else as the profile has them now."""
    known = {name: values for name, values in vars(files.profile).items() if name != "name"}
    found = section_values(files.profile, list(known))
    for path in sorted(files.places.runs.glob("[0-9][0-9]_*.stamp")):
        stamped = (read_json(path) or {}).get("settings") or {}
        found |= {name: values for name, values in stamped.items() if name in found}
    return json.loads(json.dumps(found))


def _different(files: RunFiles, key: str) -> list[str]:
    """What the trainings recorded under a name, each once."""
    records = [record for runs in files.trainings.values() for record in runs.values()]
    return sorted({str(record[key]) for record in records if record.get(key)})


def identity(files: RunFiles) -> list[Html]:
    """The manifest as tables: what identifies the run, digests, and the files that lie in its folder."""
    found = manifest(files)
    digests = found.pop("digests")
    del found["settings"]
    packages = ", ".join(f"{name} {version}" for name, version in found.pop("packages").items())
    facts = [
        [NAMES.get(name, name), ", ".join(value) if isinstance(value, list) else value or "none"]
        for name, value in found.items()
    ]
    rows = [[name, *_digest_cells(digest)] for name, digest in digests.items()]
    return [
        table(["what", "value"], [*facts, ["packages", packages]]),
        heading("files that decide the submission"),
        table(["file", "bytes", "sha256"], rows),
        folded(
            f"Everything in the folder of the run (more than {LISTED} files of one folder in one line)",
            table(["file or folder", "files", "kB"], list(folder_rows(files.places.root))),
        ),
    ]


def _digest_cells(digest: dict | None) -> list[object]:
    return ["absent", None] if digest is None else [Number(f"{digest['bytes']:,}"), digest["sha256"]]


def folder_rows(folder: Path) -> Iterator[list[object]]:
    """Name, number and kilobytes of each file, or of a folder with many, sorted by place."""
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            by_folder.setdefault(path.parent, []).append(path)
    for parent, paths in sorted(by_folder.items()):
        groups = [[path] for path in paths] if len(paths) <= LISTED else [paths]
        for group in groups:
            size = sum(path.stat().st_size for path in group) / 1e3
            place = group[0] if len(group) == 1 else parent
            yield [str(place.relative_to(folder)), Number(len(group)), Number(f"{size:,.1f}")]
