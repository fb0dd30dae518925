"""Which files below a folder may be DICOM, and what their pictures are called."""

import os
from collections.abc import Iterable
from pathlib import Path

STATE = ".convert"  # folder in which conversions remember what they have done
# never DICOM by these names, unless the content says otherwise
OTHER_SUFFIXES = frozenset((
    ".csv", ".txt", ".md", ".json", ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".zip", ".gz", ".html",
    ".py", ".pdf", ".npy",
))  # fmt: skip


def find_files(root: Path) -> list[Path]:
    """Every file below `root` that may be DICOM, sorted; follows links to folders, each folder once."""
    found, seen = [], set()
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        # sorted: which of two links to a folder is followed must not depend on the file system
        folders[:] = sorted(name for name in folders if name != STATE)
        found += [Path(folder, name) for name in names if may_be_dicom(Path(folder, name))]
    return sorted(found)


def may_be_dicom(file: Path) -> bool:
    """Content decides, whatever the name; only names of other formats are left out if DICM is not in its place."""
    if file.name.upper() == "DICOMDIR" or not file.is_file():
        return False
    if file.suffix.lower() not in OTHER_SUFFIXES:
        return True
    try:
        with open(file, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return True  # to be listed as a failure with its reason


def written_name(path: Path) -> str:
    """A relative path as tables hold it: bytes that are no UTF-8 become backslash escapes."""
    return os.fsencode(path.as_posix()).decode(errors="backslashreplace")


def unique_names(names: Iterable[str]) -> list[str]:
    """Keep the first of equal names, append _2, _3, ... to the stem of the others: depends on their order alone."""
    taken: set[str] = set()
    result = []
    for name in names:
        base, dot, suffix = name.rpartition(".") if name.endswith(".png") else (name, "", "")
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}{dot}{suffix}"
        taken.add(name)
        result.append(name)
    return result


def png_name(file: Path) -> str:
    """x.dcm to x.png; any other name gets .png appended."""
    return f"{bare_name(file)}.png"


def bare_name(file: Path) -> str:
    """The name without .dcm. Not `Path.stem`: the name may be a bare UID, whose last part is no suffix."""
    return file.stem if file.suffix.lower() == ".dcm" else file.name
