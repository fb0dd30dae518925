"""COVIDx (Wang, Lin, Wong 2020): text lists beside pictures; papers 002 and 003 use its splits.

`train*.txt` and `test*.txt`, a line a picture: `patient file class source`, in older releases without the source.
Pictures lie in `train/`, `test/` or beside the list. COVIDx takes from BIMCV and RICORD, which repeat the competition:
its name stays in `source`, and stage 10 refuses what learned from it.
"""

from pathlib import Path

import pandas as pd

from cxr.data.collections.contract import UNKNOWN, collection, without_missing, words
from cxr.faults import DataFault

NAME = "COVIDx"
PARTS = ("train", "test", "val")


def read_covidx(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures of all lists that are there, and findings. Raises DataFault without any list or picture."""
    folder, findings, rows = Path(folder).absolute(), [], []
    lists = [path for part in PARTS for path in sorted(folder.glob(f"{part}*.txt"))]
    if not lists:
        raise DataFault(f"{folder}: no train*.txt or test*.txt; put COVIDx's lists beside its folders")
    for path in lists:
        rows += _rows(path, findings)
    table = pd.DataFrame(rows, columns=["patient", "file", "label", "from", "part"]).drop_duplicates("file")
    table["path"] = [str(_find(folder, row.part, row.file)) for row in table.itertuples()]
    table["image_id"] = [f"{NAME}-{name}" for name in table["file"]]
    table["patient_id"] = f"{NAME}-" + table["patient"]
    table["source"] = [f"{NAME}, {origin}" if origin else NAME for origin in table["from"]]
    table = without_missing(table, table["path"].map(lambda path: Path(path).is_file()), str(folder), findings)
    if table.empty:
        raise DataFault(f"{folder}: not one of {len(rows)} listed pictures is there; put them into train/ and test/")
    return collection(table.assign(view=UNKNOWN, sex=UNKNOWN, licence=UNKNOWN), str(folder)), findings


def _rows(path: Path, findings: list[str]) -> list[tuple[str, str, str, str, str]]:
    part = next(name for name in PARTS if path.name.startswith(name))
    rows, odd = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        fields = line.split()
        if len(fields) in (3, 4):
            rows.append((*fields[:3], fields[3] if len(fields) == 4 else "", part))
        elif fields:
            odd.append(f"line {number}")
    if odd:
        findings.append(f"{path}: lines that are not `patient file class source` are left out: {words(odd)}")
    return rows


def _find(folder: Path, part: str, file: str) -> Path:
    places = (folder / part / file, folder / file, folder / "data" / part / file)
    return next((path for path in places if path.is_file()), places[0])
