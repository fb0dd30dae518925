"""One row a picture, whatever it came from.

| column | meaning |
|---|---|
| image_id | unique; begins with the source where names could be those of another |
| path | of the picture, absolute |
| label | as the source calls it |
| patient_id | begins with the source: nobody knows who is in two |
| age | years, NaN = unknown |
| sex | F, M or unknown |
| view | PA, AP, AP supine, lateral or unknown |
| source | where a picture was taken from; a collection that repeats the competition keeps its name in it |
| licence | as stated; `unknown` where nothing is stated |
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cxr.tables import Contract, check_table

COLLECTION = Contract(
    "collection table",
    ("image_id", "path", "label", "patient_id", "sex", "view", "source", "licence"),
    key="image_id",
)
COLUMNS = [*COLLECTION.text[:4], "age", *COLLECTION.text[4:]]
UNKNOWN = "unknown"
VIEWS = ("PA", "AP", "AP supine", "lateral", UNKNOWN)
NO_PATIENTS = "says nothing of patients: each picture counts as a patient of its own"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".dcm", ".dicom")


def collection(rows: pd.DataFrame, origin: str) -> pd.DataFrame:
    """The table in the order of COLUMNS, checked; unknown sex, view and licence become `unknown`."""
    table = rows.copy()
    for column in ("sex", "view", "licence"):
        table[column] = table[column].fillna("").replace("", UNKNOWN) if column in table else UNKNOWN
    table["age"] = pd.to_numeric(table["age"], errors="coerce") if "age" in table else np.nan
    return check_table(table[COLUMNS].reset_index(drop=True), COLLECTION, origin)


def plain_sex(values: pd.Series) -> pd.Series:
    """F, M or unknown of what sources write: F, female, Male, m, empty."""
    first = values.fillna("").astype(str).str.strip().str.upper().str[:1]
    return first.where(first.isin(("F", "M")), UNKNOWN)


def words(names: Iterable[str]) -> str:
    """`3 (a, b, c)` or `7 (a, b, c, ...)`, in the given order."""
    names = list(map(str, names))
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def without_missing(table: pd.DataFrame, there: pd.Series, origin: str, findings: list[str]) -> pd.DataFrame:
    """The rows whose picture is there; the others are counted."""
    if not there.all():
        findings.append(f"{origin}: pictures that are listed and not there: {words(table['image_id'][~there])}")
    return table[there]
