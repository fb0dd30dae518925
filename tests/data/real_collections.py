"""Real pictures laid out as the collections are, by links; what they hold is read from the pack's own table."""

import subprocess
import sys
from pathlib import Path

import pandas as pd


def real_images(realdata: Path, *subsets: str) -> pd.DataFrame:
    """Rows of images.csv, all as text."""
    table = pd.read_csv(realdata / "images.csv", dtype=str, keep_default_na=False)
    return table[table["subset"].isin(subsets)].reset_index(drop=True)


def link_ieee8023(realdata: Path, folder: Path) -> pd.DataFrame:
    """metadata.csv in the columns of ieee8023, and links below images/; returns the rows that it was made from."""
    table = real_images(realdata, "covid_ieee")
    names = [Path(path).name for path in table["path"]]
    (folder / "images").mkdir(parents=True)
    for name, path in zip(names, table["path"], strict=True):
        (folder / "images" / name).symlink_to(realdata / path)
    columns = {"patientid": table["patient_id"].str.removeprefix("ieee:"), "sex": table["sex"], "age": table["age"]}
    columns |= {"finding": table["label_raw"], "view": table["view"], "modality": "X-ray", "folder": "images"}
    rows = pd.DataFrame({**columns, "filename": names, "license": table["licence"]})
    rows.to_csv(folder / "metadata.csv", index=False)
    return table


def link_classes(realdata: Path, folder: Path, *subsets: str) -> pd.DataFrame:
    """A folder for each label group, with links to the pictures of these subsets; returns their rows."""
    table = real_images(realdata, *subsets)
    for group, subset, path in zip(table["label_group"], table["subset"], table["path"], strict=True):
        link = folder / group / f"{subset}_{Path(path).name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(realdata / path)
    return table


def build_inputs(realdata: Path, folder: Path) -> Path:
    """NIH and RSNA as Kaggle mounts them, some twenty pictures each; returns the folder input/."""
    command = [sys.executable, realdata / "build_inputs.py", "--out", folder / "input", "--limit", "24"]
    subprocess.run([*command, "--solution", folder / "solution.csv"], check=True, capture_output=True)
    return folder / "input"
