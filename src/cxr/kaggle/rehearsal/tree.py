"""A `/kaggle`-like tree for a rehearsal: the competition and our data sets mounted as Kaggle mounts them.

Today competitions lie at `input/competitions/<slug>` and data sets at `input/datasets/<owner>/<slug>`; in older
notebooks both lie at `input/<slug>`. A mount here is a list of entries, so that a hidden test set can stand in the
place of the visible one without a copy of the rest.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cxr.data.siim import SLUG
from cxr.faults import DataFault

NEW, OLD = "new", "old"
METADATA = "dataset-metadata.json"  # tells the upload what it is, and does not travel itself
SWAPPED = ("test", "sample_submission.csv")  # what a rerun on the hidden test set replaces
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Bind:
    """A file or folder that shall be seen at `target`."""

    source: Path
    target: Path


def mount_point(kaggle_input: Path, layout: str, slug: str, owner: str | None = None) -> Path:
    """Where Kaggle mounts a competition (no owner) or a data set."""
    if layout == OLD:
        return kaggle_input / slug
    return kaggle_input / "competitions" / slug if owner is None else kaggle_input / "datasets" / owner / slug


def competition_entries(competition: Path, hidden: Path | None) -> dict[str, Path]:
    """Name and source of everything in the competition's folder; `hidden` gives test and sample file, if named."""
    entries = {path.name: path for path in sorted(competition.iterdir()) if not path.name.startswith(".")}
    if hidden:
        missing = [name for name in SWAPPED if not (hidden / name).exists()]
        if missing:
            raise DataFault(f"{hidden}: no {' and no '.join(missing)}; a hidden test set has {' and '.join(SWAPPED)}")
        entries.update({name: hidden / name for name in SWAPPED})
    return entries


def binds_of(
    kaggle_input: Path, layout: str, competition: dict[str, Path], datasets: dict[tuple[str, str], Path]
) -> list[Bind]:
    """All entries of all mounts. `datasets`: folder by (owner, slug)."""
    point = mount_point(kaggle_input, layout, SLUG)
    binds = [Bind(source.resolve(), point / name) for name, source in competition.items()]
    for (owner, slug), folder in datasets.items():
        point = mount_point(kaggle_input, layout, slug, owner)
        entries = [path for path in sorted(folder.iterdir()) if path.name != METADATA]
        binds += [Bind(path.resolve(), point / path.name) for path in entries]
    return binds


def datasets_of(bundle: Path, names: Iterable[str]) -> dict[tuple[str, str], Path]:
    """Folder by (owner, slug) of data sets that `make kaggle` built, as their metadata name them."""
    found = {}
    for name in names:
        owner, slug = json.loads((bundle / name / METADATA).read_text())["id"].split("/")
        found[owner, slug] = bundle / name
    return found


def make_mount_points(binds: Iterable[Bind]) -> None:
    """Empty folders and files for namespaces to mount upon."""
    for bind in binds:
        bind.target.parent.mkdir(parents=True, exist_ok=True)
        if bind.source.is_dir():
            bind.target.mkdir()
        else:
            bind.target.touch()


def copy_read_only(binds: Iterable[Bind], kaggle_input: Path) -> None:
    """Without namespaces: copies without write permission below `kaggle_input`; DICOMs are hard links where possible.

    A link shares its mode with the user's file, which is left alone: `changed_files` looks at it afterwards.
    """
    for bind in binds:
        bind.target.parent.mkdir(parents=True, exist_ok=True)
        if bind.source.is_dir():
            shutil.copytree(bind.source, bind.target, copy_function=_link_or_copy)
        else:
            _link_or_copy(str(bind.source), str(bind.target))
    for path in sorted(kaggle_input.rglob("*")):
        if path.suffix != ".dcm":
            path.chmod(0o555 if path.is_dir() else 0o444)
    kaggle_input.chmod(0o555)


def _link_or_copy(source: str, target: str) -> None:
    if source.endswith(".dcm"):
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or links are not allowed there
            pass
    shutil.copy2(source, target)


def snapshot(paths: Iterable[Path]) -> dict[str, Stamp]:
    """Size, time of last change and kind of every file and folder at and below `paths`."""
    found = {}
    for top in paths:
        for path in (top, *top.rglob("*")):
            status = path.stat()
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            found[str(path)] = (size, status.st_mtime_ns, stat.S_IFMT(status.st_mode))
    return found


def changed_files(before: dict[str, Stamp], after: dict[str, Stamp]) -> list[str]:
    """Paths that are new, gone or changed."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def remove_tree(folder: Path) -> None:
    """Remove a tree, folders without write permission included."""
    if not folder.exists():
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
