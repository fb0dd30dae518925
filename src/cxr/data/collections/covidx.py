"""COVIDx (Wang, Lin, Wong, 2020): a collection of collections as lists, `patientid filename class source` a line.

`<part>*.txt` (train, test, later val) beside folders of these names; the first five versions lack the last word, and
binary versions have the classes positive and negative. It holds RICORD and BIMCV, which repeat the competition: what
learned from it, by whatever name of a source, must not blend there.
"""

import re
from pathlib import Path

import pandas as pd

from cxr.data.collections.contract import PARTS
from cxr.data.collections.rows import to_rows
from cxr.data.nih import some
from cxr.faults import DataFault

SOURCE, PREFIX = "COVIDx", "covidx"
FOLDERS = {"train": "train", "val": "validation", "test": "test"}  # theirs: ours
# names of files may hold spaces, so it is their suffix that ends them
LINE = re.compile(
    r"(?P<patient>\S+)\s+(?P<listed>\S.*?\.(?:png|jpe?g|webp|dcm))\s+(?P<label>\S+)(?:\s+(?P<origin>\S+))?", re.I
)


def read_covidx(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the contract and findings; age, sex and view are not listed. DataFault without a list or a picture."""
    lists = sorted(path for path in folder.glob("*.txt") if _folder_of(path) and not path.name.startswith("."))
    if not lists:
        raise DataFault(f"{folder}: no list such as train_COVIDx5.txt or test.txt there; name the folder that has them")
    findings: list[str] = []
    read = pd.concat([_read_list(path, findings) for path in lists], ignore_index=True)
    _tell_crossing(read, folder, findings)
    origin = read["origin"]
    rows = read.assign(
        file=[_place(folder, *row) for row in zip(read["folder"], read["listed"], strict=True)],
        source=(SOURCE + " (" + origin + ")").mask(origin == "", SOURCE),
        # numbers of one origin mean others in the next
        patient=(origin + "-" + read["patient"]).mask(origin == "", read["patient"]),
        part=read["folder"].map(FOLDERS),
    )
    return to_rows(rows, PREFIX, folder, findings), findings


def _folder_of(path: Path) -> str | None:
    return next((name for name in FOLDERS if path.name.lower().startswith(name)), None)


def _read_list(path: Path, findings: list[str]) -> pd.DataFrame:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataFault(f"{path}: no UTF-8 text ({error.reason} at byte {error.start}); get the list again") from None
    found = [(line, LINE.fullmatch(line)) for line in lines]
    strange = [line[:60] for line, match in found if not match]
    if strange:
        findings.append(f"{path}: lines that are not `patientid filename class source` are left out: {some(strange)}")
    rows = [{name: value or "" for name, value in match.groupdict().items()} for _, match in found if match]
    table = pd.DataFrame(rows, columns=["patient", "listed", "label", "origin"], dtype=str)
    return table.assign(folder=_folder_of(path))


def _place(folder: Path, part: str, name: str) -> str:
    """Where a listed picture lies: in the folder of its part, or with all the others."""
    inside = f"{part}/{name}"
    return name if not (folder / inside).is_file() and (folder / name).is_file() else inside


def _tell_crossing(read: pd.DataFrame, folder: Path, findings: list[str]) -> None:
    patients = read.drop_duplicates(["origin", "patient", "folder"])
    crossing = patients["patient"][patients.duplicated(["origin", "patient"])]
    if len(crossing):
        findings.append(f"{folder}: patients in several of the parts {', '.join(PARTS)} as listed: {some(crossing)}")
