"""covid-chestxray-dataset (Cohen et al. 2020): `metadata.csv` beside `images/`; papers 000 to 003 take from it.

`finding` is a path, `Pneumonia/Viral/COVID-19`, whose last part is the label here; `modality` tells radiographs from
CT; licences are stated picture by picture.
"""

from pathlib import Path

import pandas as pd

from cxr.data.collections.contract import NO_PATIENTS, UNKNOWN, collection, plain_sex, without_missing, words
from cxr.faults import DataFault
from cxr.tables import read_csv

NAME, TABLE = "ieee8023", "metadata.csv"
NEEDED = ["finding", "filename"]
VIEWS = {
    "PA": "PA",
    "AP": "AP",
    "AP ERECT": "AP",
    "AP SEMI ERECT": "AP",
    "AP SUPINE": "AP supine",
    "L": "lateral",
    "LATERAL": "lateral",
}


def read_ieee8023(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Radiographs whose file is there, and findings. Raises DataFault without the table or its columns."""
    folder, findings = Path(folder).absolute(), []
    raw = read_csv(folder / TABLE, NEEDED)
    if "modality" in raw:
        other = raw["modality"].fillna("").str.upper().isin(("CT", "MRI"))
        if other.any():
            findings.append(
                f"{folder / TABLE}: pictures that are no radiographs are left out: {words(raw['filename'][other])}"
            )
        raw = raw[~other].reset_index(drop=True)
    raw = raw[raw["filename"].notna()].reset_index(drop=True)
    home = raw["folder"].fillna("images") if "folder" in raw else pd.Series("images", index=raw.index)
    table = pd.DataFrame(
        {
            "image_id": [f"{NAME}-{Path(name).stem}" for name in raw["filename"]],
            "path": [str(folder / part / name) for part, name in zip(home, raw["filename"], strict=True)],
            "label": raw["finding"].fillna("").str.split("/").str[-1].str.strip().replace("", UNKNOWN),
            "patient_id": _patients(raw, folder, findings),
            "age": raw.get("age"),
            "sex": plain_sex(raw["sex"]) if "sex" in raw else UNKNOWN,
            "view": _views(raw, folder, findings),
            "source": NAME,
            "licence": raw.get("license", UNKNOWN),
        }
    )
    table = table.drop_duplicates("path")
    twice = table["image_id"].duplicated(keep=False)  # a.png and a.jpg
    table.loc[twice, "image_id"] = [f"{NAME}-{Path(path).name}" for path in table.loc[twice, "path"]]
    table = without_missing(table, table["path"].map(lambda path: Path(path).is_file()), str(folder), findings)
    if table.empty:
        raise DataFault(f"{folder / TABLE}: not one of its pictures is there; put them into images/")
    return collection(table, str(folder / TABLE)), findings


def _patients(raw: pd.DataFrame, folder: Path, findings: list[str]) -> list[str]:
    known = raw["patientid"] if "patientid" in raw else pd.Series([None] * len(raw), dtype=object)
    missing = known.isna() | (known.astype(str).str.strip() == "")
    if missing.any():
        findings.append(f"{folder / TABLE}: of {missing.sum()} pictures it {NO_PATIENTS}")
    own = [f"picture-{Path(name).stem}" for name in raw["filename"]]
    return [f"{NAME}-{mine if lost else given}" for given, mine, lost in zip(known, own, missing, strict=True)]


def _views(raw: pd.DataFrame, folder: Path, findings: list[str]) -> pd.Series:
    if "view" not in raw:
        return pd.Series(UNKNOWN, index=raw.index)
    written = raw["view"].fillna("").astype(str).str.strip()
    views = written.str.upper().map(VIEWS).fillna(UNKNOWN)
    odd = written[(views == UNKNOWN) & (written != "")]
    if len(odd):
        findings.append(f"{folder / TABLE}: views that are not known here count as unknown: {words(sorted(set(odd)))}")
    return views
