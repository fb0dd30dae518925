"""`dataset-metadata.json` and `kernel-metadata.json`: written, and checked by Kaggle's rules before an upload is tried.

Rules and where they are written (documentation of github.com/Kaggle/kaggle-cli as of autumn 2026):
- docs/datasets_metadata.md: a dataset's title has 6 to 50 characters, its subtitle 20 to 80, its slug 3 to 50; exactly
  one licence, of a list of names. The client itself asks 6 to 50 of the slug: the narrower rule is checked.
- docs/kernels_metadata.md: id, title, code_file, language, kernel_type; "a kernel slug is always the title lowercased
  with dashes replacing spaces". The client refuses titles under 5 characters.
- enable_internet: documented as false by default, taken for true by clients of before, so it must stand there.
- machine_shape: `NvidiaTeslaT4` is the T4 x2 (issue 1196 and pull request 1198 of kaggle-cli, September 2026);
  `NvidiaTeslaT4Highmem`, which older pages of the documentation call so, is internal.
- docs/datasets.md: folders are skipped unless `-r zip` or `-r tar` is given (see `commands`).
Unverified, told by users: at most 50 entries in the top folder of an upload, at most 200 GB a dataset.
"""

import json
import re
from pathlib import Path

import nbformat

from cxr.data.siim import SLUG as COMPETITION
from cxr.workspace import write_json

DATASET_FILE, KERNEL_FILE = "dataset-metadata.json", "kernel-metadata.json"
TITLE, SUBTITLE, DATASET_SLUG, KERNEL_TITLE = (6, 50), (20, 80), (6, 50), (5, 50)
# fmt: off
LICENCES = frozenset(
    {
        "CC0-1.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "GPL-2.0", "ODbL-1.0", "DbCL-1.0",
        "copyright-authors", "other", "unknown", "CC-BY-4.0", "CC-BY-NC-4.0", "PDDL", "CC-BY-3.0", "CC-BY-3.0-IGO",
        "US-Government-Works", "CC-BY-NC-SA-3.0-IGO", "CDLA-Permissive-1.0", "CDLA-Sharing-1.0", "CC-BY-ND-4.0",
        "CC-BY-NC-ND-4.0", "ODC-BY-1.0", "LGPL-3.0", "AGPL-3.0", "FDL-1.3", "EU-ODP-Legal-Notice", "apache-2.0",
        "GPL-3.0"
    }
)
# fmt: on
T4_X2 = "NvidiaTeslaT4"
MOST_ENTRIES, MOST_BYTES = 50, 200e9
OWNER = re.compile(r"[a-z0-9][a-z0-9-]{1,49}")


def slug_of(title: str) -> str:
    """The slug that Kaggle makes of a title: lower case, one dash for whatever is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def write_dataset(folder: Path, owner: str, title: str, subtitle: str, licence: str, description: str) -> Path:
    """Write the metadata of a private dataset."""
    metadata = {
        "title": title,
        "id": f"{owner}/{slug_of(title)}",
        "subtitle": subtitle,
        "description": description,
        "isPrivate": True,
        "licenses": [{"name": licence}],
        "keywords": [],
    }
    return write_json(metadata, folder / DATASET_FILE)


def write_kernel(
    folder: Path,
    owner: str,
    title: str,
    notebook: str,
    datasets: list[str],
    competitions: list[str],
    kernels: list[str],
) -> Path:
    """Write the metadata of a private notebook on two T4, without internet."""
    metadata = {
        "id": f"{owner}/{slug_of(title)}",
        "title": title,
        "code_file": notebook,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": False,
        "machine_shape": T4_X2,
        "dataset_sources": datasets,
        "competition_sources": competitions,
        "kernel_sources": kernels,
        "model_sources": [],
    }
    return write_json(metadata, folder / KERNEL_FILE)


def dataset_faults(folder: Path) -> list[str]:
    """Every rule of Kaggle's that a dataset folder breaks, a line each."""
    path = folder / DATASET_FILE
    found, faults = _read(path)
    if found is None:
        return faults
    faults += _identity(path, found, TITLE, DATASET_SLUG)
    faults += _length(path, "subtitle", found.get("subtitle"), SUBTITLE)
    licences = found.get("licenses")
    names = [licence.get("name") for licence in licences] if isinstance(licences, list) else []
    if len(names) != 1 or names[0] not in LICENCES:
        faults.append(
            f"{path}: licenses are {names}; give exactly one of Kaggle's names, for example AGPL-3.0 or other"
        )
    if names == ["other"] and not found.get("description"):
        faults.append(f"{path}: licence 'other' needs a description that says which; add one")
    if found.get("isPrivate") is not True:
        faults.append(f"{path}: isPrivate is {found.get('isPrivate')!r}; it must be true")
    entries, size = list(folder.iterdir()), sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if len(entries) - 1 > MOST_ENTRIES:
        faults.append(f"{folder}: {len(entries) - 1} files and folders at the top; Kaggle takes {MOST_ENTRIES}")
    if size > MOST_BYTES:
        faults.append(f"{folder}: {size / 1e9:.0f} GB; Kaggle takes {MOST_BYTES / 1e9:.0f}")
    if len(entries) < 2:
        faults.append(f"{folder}: nothing to upload; remove the folder")
    return faults


def kernel_faults(folder: Path) -> list[str]:
    """Every rule of Kaggle's and of this competition that a kernel folder breaks, a line each."""
    path = folder / KERNEL_FILE
    found, faults = _read(path)
    if found is None:
        return faults
    faults += _identity(path, found, KERNEL_TITLE, KERNEL_TITLE)
    fixed = {"language": "python", "kernel_type": "notebook", "is_private": True, "enable_gpu": True}
    for key, value in {**fixed, "enable_internet": False, "machine_shape": T4_X2}.items():
        if found.get(key) != value:
            faults.append(f"{path}: {key} is {found.get(key)!r}; it must be {json.dumps(value)}")
    if COMPETITION not in found.get("competition_sources", []):
        faults.append(f"{path}: competition_sources lacks {COMPETITION}; without it the notebook sees no test set")
    for key in ("dataset_sources", "kernel_sources"):
        for source in found.get(key, []):
            owner, slash, slug = str(source).partition("/")
            if not slash or not OWNER.fullmatch(owner) or slug_of(slug) != slug:
                faults.append(f"{path}: {key} has {source!r}; a source is owner/slug")
    return faults + _notebook_faults(path, found.get("code_file"))


def _notebook_faults(path: Path, name: object) -> list[str]:
    notebook = path.parent / str(name)
    if not name or not notebook.is_file():
        return [f"{path}: code_file is {name!r}, which is not beside it; name the notebook"]
    try:
        content = nbformat.read(notebook, as_version=4)
        nbformat.validate(content)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"{notebook}: no valid notebook ({str(error).splitlines()[0]}); build it again"]
    faults = []
    if content.metadata.get("kernelspec", {}).get("name") != "python3":
        faults.append(f"{notebook}: its kernelspec is not python3, so Kaggle would not know how to run it")
    if any(cell.get("outputs") for cell in content.cells):
        faults.append(f"{notebook}: holds outputs; they may show data, remove them")
    return faults


def _read(path: Path) -> tuple[dict | None, list[str]]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return None, [f"{path}: cannot be read ({error}); build the bundle again"]
    return (found, []) if isinstance(found, dict) else (None, [f"{path}: no JSON object; build the bundle again"])


def _identity(path: Path, found: dict, title: tuple[int, int], slug: tuple[int, int]) -> list[str]:
    owner, slash, name = str(found.get("id", "")).partition("/")
    faults = _length(path, "title", found.get("title"), title) + _length(path, "slug", name, slug)
    if not slash or not OWNER.fullmatch(owner):
        faults.append(f"{path}: id {found.get('id')!r} names no owner; it must be user/slug in lower case")
    if name != slug_of(str(found.get("title", ""))):
        faults.append(
            f"{path}: slug {name!r} does not follow from title {found.get('title')!r}, which gives "
            f"{slug_of(str(found.get('title', '')))!r}; Kaggle would make another one than the kernels ask for"
        )
    return faults


def _length(path: Path, key: str, text: object, limits: tuple[int, int]) -> list[str]:
    length = len(text) if isinstance(text, str) else 0
    if limits[0] <= length <= limits[1]:
        return []
    return [f"{path}: {key} {text!r} has {length} characters; Kaggle takes {limits[0]} to {limits[1]}"]
