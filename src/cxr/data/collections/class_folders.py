"""Pictures sorted into one folder a class: `<root>/<class>/*.png`, or `<root>/<class>/images/*.png`."""

import os
from pathlib import Path

import pandas as pd

from cxr.data.collections.rows import SUFFIXES, to_rows
from cxr.data.nih import some
from cxr.faults import DataFault
from cxr.images.files import written_name

INNER = "images"  # the COVID-19 Radiography Database keeps masks beside them


def read_class_folders(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the contract and findings; the label is a folder's name, the source that of the root.

    Nothing says whose a picture is, so each counts as a patient of its own. DataFault where no folder holds a picture.
    """
    findings, name = [], Path(os.path.abspath(folder)).name
    if not folder.is_dir():
        raise DataFault(f"{folder}: no such folder; name the one that holds a folder for each class")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {path: _pictures(path, findings) for path in classes}
    empty = [written_name(Path(path.name)) for path, pictures in found.items() if not pictures]
    if len(empty) == len(classes):
        raise DataFault(
            f"{folder}: none of {len(classes)} folders in it holds a picture ({', '.join(SUFFIXES)}); name the folder "
            "that holds a folder for each class"
        )
    if empty:
        findings.append(f"{folder}: folders without a picture: {some(empty)}")
    rows = [
        (picture.relative_to(folder).as_posix(), path.name) for path, pictures in found.items() for picture in pictures
    ]
    table = pd.DataFrame(rows, columns=["file", "label"], dtype=str).assign(source=name)
    return to_rows(table, name, folder, findings), findings


def _pictures(folder: Path, findings: list[str]) -> list[Path]:
    """Pictures directly in it, or else in its folder `images`, sorted."""
    for place in (folder, folder / INNER):
        files = [path for path in sorted(place.glob("*")) if path.is_file() and not path.name.startswith(".")]
        named = [path for path in files if path.suffix.lower() in SUFFIXES]
        strange = [path for path in named if written_name(path) != path.as_posix()]
        if strange:
            words = some(written_name(Path(path.name)) for path in strange)
            findings.append(
                f"{written_name(place)}: pictures whose names are no UTF-8 are left out, rename them: {words}"
            )
        others = [written_name(Path(path.name)) for path in files if path.suffix.lower() not in SUFFIXES]
        if others:
            findings.append(f"{written_name(place)}: files not named as pictures are left out: {some(others)}")
        if named:
            return [path for path in named if path not in strange]
    return []
