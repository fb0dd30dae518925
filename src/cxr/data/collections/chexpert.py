"""CheXpert (Irvin et al., AAAI 2019): 224 316 radiographs of 65 240 patients, 14 findings mined from reports.

`train.csv` and `valid.csv` with `Path` (`CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg`), Sex, Age,
Frontal/Lateral, AP/PA and the findings: 1 there, 0 not, -1 uncertain, blank not mentioned. The patient's number stands
in the path alone.
"""

from pathlib import Path

import pandas as pd

from cxr.data.collections.rows import to_rows
from cxr.data.nih import some
from cxr.faults import DataFault
from cxr.tables import read_csv

SOURCE, PREFIX = "CheXpert", "chexpert"
LICENCE = "Stanford University Dataset Research Use Agreement"
LISTS = {"train.csv": "train", "valid.csv": "validation"}
NEEDED = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"]
FINDINGS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip
SIGNS = {1: "", -1: "?"}  # an uncertain finding keeps its doubt: `Pneumonia?`


def read_chexpert(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the contract and findings. label: `Edema|Pneumonia?`. DataFault for columns that are not there."""
    lists = [folder / name for name in LISTS if (folder / name).is_file()]
    if not lists:
        raise DataFault(f"{folder}: no {' or '.join(LISTS)} there; name the folder that has them")
    findings: list[str] = []
    rows = pd.concat([_read_list(path, folder, findings) for path in lists], ignore_index=True)
    return to_rows(rows, PREFIX, folder, findings), findings


def _read_list(path: Path, folder: Path, findings: list[str]) -> pd.DataFrame:
    raw = read_csv(path, [*NEEDED, *FINDINGS], all_text=True)
    parts = raw["Path"].str.extract(r"(?P<file>(?:train|valid|test)/(?P<patient>patient\d+)/.+)$")
    strange = raw["Path"][parts["file"].isna()]
    if len(strange):
        findings.append(f"{path}: paths without train/patientN/ are left out: {some(strange)}")
    raw, parts = raw[parts["file"].notna()], parts[parts["file"].notna()]
    projection = raw["AP/PA"].where(raw["AP/PA"].isin(("AP", "PA")), "Frontal")
    frontal = raw["Frontal/Lateral"].map({"Frontal": "frontal", "Lateral": "L"}).fillna(raw["Frontal/Lateral"])
    return pd.DataFrame(
        {
            "file": parts["file"],
            "patient": parts["patient"],
            "label": _labels(raw, path),
            "age": raw["Age"],
            "sex": raw["Sex"],
            "view": frontal.mask(frontal == "frontal", projection),
            "source": SOURCE,
            "licence": LICENCE,
            "part": LISTS[path.name],
        }
    )


def _labels(raw: pd.DataFrame, path: Path) -> list[str]:
    numbers = raw[list(FINDINGS)].apply(pd.to_numeric, errors="coerce")
    wrong = (raw[list(FINDINGS)] != "") & ~numbers.isin((0, 1, -1))
    if wrong.to_numpy().any():
        row, column = next(zip(*wrong.to_numpy().nonzero(), strict=True))
        raise DataFault(
            f"{path}: {FINDINGS[column]} of {raw['Path'].iloc[row]} is {raw[FINDINGS[column]].iloc[row]!r}; it must be "
            "1, 0, -1 or nothing; get the file again"
        )
    return [
        "|".join(f"{name}{SIGNS[value]}" for name, value in zip(FINDINGS, row, strict=True) if value in SIGNS)
        for row in numbers.to_numpy()
    ]
