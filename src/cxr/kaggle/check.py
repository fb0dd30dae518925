"""Is a bundle fit to leave this machine? Kaggle's rules for each part, and what must never be in one."""

import os
from pathlib import Path

from cxr.kaggle.metadata import DATASET_FILE, KERNEL_FILE, dataset_faults, kernel_faults

# competition data and what is derived from it image by image
FORBIDDEN_SUFFIXES = (".dcm", ".npy", ".npz", ".png", ".jpg", ".jpeg")
FORBIDDEN_NAMES = (
    "train_study_level.csv",
    "train_image_level.csv",
    "sample_submission.csv",
    "images.csv",
    "folds.csv",
    "boxes.csv",
    "lungs.csv",
    "out_of_fold.csv",
    "inputs.json",
    "kaggle.json",  # the user's key
)
TEXT = (".py", ".json", ".ipynb", ".md", ".txt", ".csv", ".html", ".toml", ".yaml", "")


def bundle_faults(folder: Path, private: list[Path]) -> list[str]:
    """Every broken rule of a bundle, a line each. `private`: folders of this machine whose names must not occur."""
    faults = []
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        if (part / DATASET_FILE).exists():
            faults += dataset_faults(part)
        elif (part / KERNEL_FILE).exists():
            faults += kernel_faults(part)
        else:
            faults.append(f"{part}: has neither {DATASET_FILE} nor {KERNEL_FILE}; remove the folder")
    return faults + content_faults(folder, private)


def content_faults(folder: Path, private: list[Path]) -> list[str]:
    """Links, data and machine paths anywhere in a folder."""
    faults = []
    places = sorted({str(path) for path in private if len(path.parts) > 1}, key=len, reverse=True)
    for root, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(root) / name
            if path.is_symlink():
                faults.append(f"{path}: is a link, which an upload does not follow; copy the file")
            elif path.is_file():
                faults += _file_faults(path, places)
    return faults


def _file_faults(path: Path, places: list[str]) -> list[str]:
    if path.suffix.lower() in FORBIDDEN_SUFFIXES or path.name in FORBIDDEN_NAMES:
        return [f"{path}: data of the competition, or a key, must not travel; remove it"]
    if path.suffix not in TEXT:
        return []
    text = path.read_text(errors="replace")
    found = [place for place in places if _names(text, place)]
    return [f"{path}: names {found[0]}, a folder of this machine; remove it"] if found else []


def _names(text: str, place: str) -> bool:
    """Whether a path occurs as a whole: `/a/b` does in `/a/b/c`, but not in `/a/big`."""
    at = text.find(place)
    while at >= 0:
        after = text[at + len(place) : at + len(place) + 1]
        before = text[at - 1 : at] if at else ""
        if not (after.isalnum() or after in ("-", "_")) and not (before.isalnum() or before in (".", "_", "-")):
            return True
        at = text.find(place, at + 1)
    return False
