"""An earlier session's run, attached as input of this one: found, and copied to where this session goes on with it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cxr import paths
from cxr.data.siim import SLUG
from cxr.faults import DataFault
from cxr.inputs import COMPANIONS

DEPTH = 4  # folders below the input in which a run may lie: `notebooks/<owner>/<slug>/<profile>`


def take_up_earlier(profile: str) -> int:
    """Copy the run of an earlier session, attached as input, to the working folder; returns how many files came.

    Files that are there already stay: they are newer. Of several sessions the one that wrote last is taken.
    """
    found = earlier_runs(profile)
    if not found:
        print("no earlier session among the inputs: everything is trained from the start")
        return 0
    source, target = found[-1], paths.KAGGLE_WORKING / profile
    files = [path for path in source.rglob("*") if path.is_file()]
    new = [path for path in files if not (target / path.relative_to(source)).exists()]
    needed, free = sum(path.stat().st_size for path in new), shutil.disk_usage(paths.KAGGLE_WORKING).free
    if needed > free:
        raise DataFault(
            f"{source}: the earlier session's {needed / 1e9:.1f} GB do not fit into {paths.KAGGLE_WORKING} "
            f"({free / 1e9:.1f} GB free); attach a smaller one, or none"
        )
    for path in new:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.copyfile(path, partial)  # without its mode: mounts are read-only, and this is to be written on
        os.utime(partial, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        os.replace(partial, place)
    kept = f", {len(files) - len(new)} were there already" if len(new) < len(files) else ""
    print(f"earlier session: {source}; {len(new)} files, {needed / 1e6:.0f} MB copied{kept}")
    if len(found) > 1:
        print(f"older sessions, not used: {', '.join(map(str, found[:-1]))}")
    return len(new)


def earlier_runs(profile: str) -> list[Path]:
    """Runs of earlier sessions among the inputs, the last one last. Stage 00 ran there, so the weights are none."""
    marks = [folder / "inputs.json" for folder in _folders(paths.KAGGLE_INPUT, DEPTH, {SLUG, *COMPANIONS})]
    runs = {mark.parent: mark.stat().st_mtime for mark in marks if mark.parent.name == profile and mark.is_file()}
    runs = {folder: time for folder, time in runs.items() if (folder / "profile.json").is_file()}
    return sorted(
        (folder for folder in runs if (folder / "models").is_dir()), key=lambda folder: (runs[folder], folder)
    )


def _folders(root: Path, depth: int, without: set[str]) -> Iterator[Path]:
    """Folders down to a depth. Those of data sets with pictures are left out: there are thousands in them."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in without):
        yield folder
        if depth > 1:
            yield from _folders(folder, depth - 1, without)
