"""What every adapter returns and `python -m cxr collect` writes: one row a picture.

| column | values |
|---|---|
| image_id | unique; begins with the name of its adapter or folder |
| path | of the file, absolute |
| label | as the source says, several findings joined by `|`, an uncertain one with `?`; or a class of a label map |
| patient_id | begins with its source's name: it can be compared inside one source only |
| age, sex | completed years or NaN; M, F or empty |
| view | one of VIEWS; empty where unknown |
| source | what a run names among its `training_sources` |
| licence | as the source says it; empty where it does not |
| part | train, validation or test, where the source has a split of its own; else empty |

What `collect` writes has two more: `group`, the patient or all patients that share a picture; `split`, if asked for.
"""

from pathlib import Path

import pandas as pd

from cxr.data.ages import OLDEST
from cxr.faults import DataFault
from cxr.tables import Contract, check_table, read_csv, write_csv

COLLECTION = Contract("collection", ("image_id", "path", "label", "patient_id", "source"), key="image_id")
SEXES = ("M", "F", "")
FRONTAL = ("PA", "AP", "AP Supine", "Frontal")  # Frontal: from front or back, the source does not say which
NO_RADIOGRAPH = "CT"  # the collection of ieee8023 holds slices and volumes of CT too
VIEWS = (*FRONTAL, "L", NO_RADIOGRAPH, "")
PARTS = ("train", "validation", "test")
ALLOWED = {"sex": SEXES, "view": VIEWS, "part": (*PARTS, "")}
COLUMNS = ("image_id", "path", "label", "patient_id", "age", "sex", "view", "source", "licence", "part")


def check_collection(table: pd.DataFrame, origin: str | Path) -> pd.DataFrame:
    """The table if it keeps the contract above; DataFault with column, value and rule otherwise."""
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataFault(
            f"{origin}: the collection lacks {', '.join(missing)}; found {', '.join(table.columns)}; "
            "make it again with `python -m cxr collect`"
        )
    check_table(table, COLLECTION, origin)
    for name, allowed in ALLOWED.items():
        wrong = table[name][~table[name].isin(allowed)]
        if len(wrong):
            words = ", ".join(value or "nothing" for value in allowed)
            raise DataFault(f"{origin}: {name} {wrong.iloc[0]!r} of {len(wrong)} row(s) is none of {words}; correct it")
    odd = table["age"][table["age"].notna() & ~table["age"].between(0, OLDEST)]
    if len(odd):
        raise DataFault(f"{origin}: age {odd.iloc[0]:g} of {len(odd)} row(s) is not between 0 and {OLDEST}; correct it")
    return table


def read_collection(path: str | Path) -> pd.DataFrame:
    """A file that `write_collection` wrote, checked."""
    table = read_csv(path, list(COLUMNS), all_text=True)
    ages = pd.to_numeric(table["age"], errors="coerce")
    strange = table["age"][ages.isna() & (table["age"] != "")]
    if len(strange):
        raise DataFault(f"{path}: age {strange.iloc[0]!r} of {len(strange)} row(s) is no number; correct it")
    return check_collection(table.assign(age=ages), path)


def write_collection(table: pd.DataFrame, path: str | Path) -> Path:
    """Check and write it atomically."""
    return write_csv(check_collection(table, path), path)
