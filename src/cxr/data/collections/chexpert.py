"""CheXpert (Irvin et al. 2019): `train.csv` and `valid.csv` with the folders that their column Path names.

Paths begin with the name of the release's folder, which may have been renamed: what follows is looked for below here.
Of 14 labels 1 is yes, 0 no, -1 unsure, empty not mentioned; the label here is what is sure, joined by `|`, and `unsure`
where nothing is. Ages are capped at 90 by the source.
"""

from pathlib import Path, PurePosixPath

import pandas as pd

from cxr.data.collections.contract import UNKNOWN, collection, plain_sex, without_missing
from cxr.faults import DataFault
from cxr.tables import read_csv

NAME, TABLES = "CheXpert", ("train.csv", "valid.csv", "train_visualCheXbert.csv")
ABOUT = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"]
LICENCE = "Stanford University Dataset Research Use Agreement"
UNSURE = "unsure"


def read_chexpert(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures of both tables that are there, and findings. Raises DataFault without a table or its columns."""
    folder, findings = Path(folder).absolute(), []
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if not tables:
        raise DataFault(f"{folder}: no train.csv or valid.csv; unpack CheXpert again")
    raw = pd.concat([read_csv(path, ABOUT) for path in tables], ignore_index=True).drop_duplicates("Path")
    parts = [PurePosixPath(path).parts for path in raw["Path"]]
    labels = [name for name in raw.columns if name not in ABOUT]
    table = pd.DataFrame(
        {
            # patient00001/study1/view1_frontal.jpg
            "image_id": [f"{NAME}-{'-'.join(PurePosixPath(*own[-3:]).with_suffix('').parts)}" for own in parts],
            "path": [str(_find(folder, own)) for own in parts],
            "label": _labels(raw[labels]),
            "patient_id": [f"{NAME}-{own[-3] if len(own) > 2 else own[-1]}" for own in parts],
            "age": raw["Age"].to_numpy(),
            "sex": plain_sex(raw["Sex"]).to_numpy(),
            "view": _views(raw).to_numpy(),
            "source": NAME,
            "licence": LICENCE,
        }
    )
    table = without_missing(table, table["path"].map(lambda path: Path(path).is_file()), str(folder), findings)
    if table.empty:
        raise DataFault(
            f"{folder}: not one of {len(raw)} listed pictures is there; unpack CheXpert's folders beside its tables"
        )
    return collection(table, str(folder)), findings


def _find(folder: Path, parts: tuple[str, ...]) -> Path:
    """The path below this folder, with and without the name of the release in front."""
    places = [folder.joinpath(*parts[start:]) for start in range(min(2, len(parts)))]
    return next((path for path in places if path.is_file()), places[-1])


def _labels(values: pd.DataFrame) -> list[str]:
    sure = values.apply(pd.to_numeric, errors="coerce").to_numpy() == 1
    return ["|".join(values.columns[row]) or UNSURE for row in sure]


def _views(raw: pd.DataFrame) -> pd.Series:
    written = raw["AP/PA"].fillna("").astype(str).str.strip()
    frontal = written.where(written.isin(("AP", "PA")), UNKNOWN)
    return frontal.mask(raw["Frontal/Lateral"].fillna("").str.lower() == "lateral", "lateral")
