"""The tables that stages exchange: one contract each, checked on every read and write.

| contract | one row is | columns |
|---|---|---|
| IMAGES | an image | image_id, study_id, patient_id, source, path, height, width, label columns (1, 0, NaN = unknown) |
| FOLDS | an image | image_id, study_id, patient_id, group, fold |
| BOXES | a predicted or true box | image_id, label, score, x_min, y_min, x_max, y_max in *original* pixels |
| STUDY_SCORES | a study | study_id, one probability a class |
| IMAGE_SCORES | an image | image_id, one probability a class; `none` too where a network says it |
| LUNGS | an image | image_id, lungs' box in original pixels, parts, area (share), accepted (1 or 0) |
| FAILURES | a file that could not be used | path, reason |
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES

NONE = "none"  # column of image scores beside the classes, where a network says that too
BOX_COLUMNS = ["x_min", "y_min", "x_max", "y_max"]
# hex digits alone may look like a number (`12e4`), and must come back as they were written
TEXT_COLUMNS = (
    "id",
    "Id",
    "image_id",
    "study_id",
    "patient_id",
    "item_id",
    "StudyInstanceUID",
    "group",
    "patientId",
    "patientid",
    "label",
    "pixel_hash",
    "age",
    "transfer_syntax",
)

MISSING = ["", "NaN", "nan", "NA", "N/A", "null", "None"]


@dataclass(frozen=True)
class Contract:
    """What a table must hold: `text` columns never empty, `numbers` finite, `unit` within 0..1, `key` unique."""

    name: str
    text: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    key: str | None = None

    @property
    def columns(self) -> list[str]:
        return [*self.text, *self.numbers, *self.unit]


IMAGES = Contract(
    "images table", ("image_id", "study_id", "patient_id", "source", "path"), ("height", "width"), key="image_id"
)
FOLDS = Contract("folds table", ("image_id", "study_id", "patient_id", "group"), ("fold",), key="image_id")
BOXES = Contract("box table", ("image_id", "label"), tuple(BOX_COLUMNS), ("score",))
STUDY_SCORES = Contract("study scores", ("study_id",), unit=STUDY_CLASSES, key="study_id")
IMAGE_SCORES = Contract("image scores", ("image_id",), unit=STUDY_CLASSES, key="image_id")
LUNGS = Contract("lungs table", ("image_id",), (*BOX_COLUMNS, "parts"), ("area", "accepted"), key="image_id")
FAILURES = Contract("failures table", ("path", "reason"))


def check_table(table: pd.DataFrame, contract: Contract, origin: str | Path) -> pd.DataFrame:
    """Return the table if it keeps its contract; raise DataFault with `origin`, value, rule and remedy."""
    missing = [column for column in contract.columns if column not in table.columns]
    if missing:
        raise DataFault(
            f"{origin}: the {contract.name} lacks {', '.join(missing)}; found {', '.join(table.columns)}. "
            "Make it again with the stage that writes it"
        )
    for column in contract.text:
        empty = table[column].isna() | (table[column].astype(str) == "")
        if empty.any():
            raise DataFault(
                f"{origin}: {empty.sum()} row(s) without {column}, the first is row {_first(empty)}; "
                "fill it in or remove the row"
            )
    for column in contract.numbers + contract.unit:
        values = pd.to_numeric(table[column], errors="coerce")
        bad = ~np.isfinite(values.astype(float))
        if column in contract.unit:
            bad |= (values < 0) | (values > 1)
        if bad.any():
            rule = "a probability between 0 and 1" if column in contract.unit else "a finite number"
            raise DataFault(
                f"{origin}: {column} of row {_first(bad)} is {table[column][bad.to_numpy()].iloc[0]!r}, "
                f"it must be {rule}"
            )
    if contract.key and table[contract.key].duplicated().any():
        twice = table[contract.key][table[contract.key].duplicated()].iloc[0]
        raise DataFault(f"{origin}: {contract.key} {twice!r} stands there more than once; keep one row for each")
    return table


def _first(mask: pd.Series) -> int:
    return int(np.flatnonzero(mask.to_numpy())[0]) + 1


def read_csv(path: str | Path, columns: list[str] | None = None, all_text: bool = False) -> pd.DataFrame:
    """Read a CSV with every id as text; raise DataFault when it is missing, empty, unreadable or lacks a column.

    all_text: every column as text, and "" where nothing stands.
    """
    path = Path(path)
    if not path.is_file():
        raise DataFault(f"{path}: no such file")
    try:
        names = pd.read_csv(path, nrows=0, index_col=False).columns
        # an id `NA` or `None` is an id; in other columns pandas' words for "missing" count
        missing_words = {name: [""] if name in TEXT_COLUMNS else MISSING for name in names}
        table = pd.read_csv(
            path,
            dtype=str if all_text else dict.fromkeys(TEXT_COLUMNS, str),
            keep_default_na=False,
            na_values=None if all_text else missing_words,
            index_col=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataFault(
            f"{path}: not a readable CSV ({str(error).splitlines()[0]}); unpack or download it again"
        ) from None
    missing = [column for column in columns or [] if column not in table.columns]
    if missing:
        raise DataFault(
            f"{path}: column {', '.join(map(repr, missing))} is missing; found {', '.join(table.columns)}; "
            "name the right file, or take it from the data set again"
        )
    return table


def read_table(path: str | Path, contract: Contract) -> pd.DataFrame:
    """Read and check one of our own tables; the columns of an empty one still have the types of a filled one."""
    table = check_table(read_csv(path), contract, path)
    return table.astype(dict.fromkeys((*contract.numbers, *contract.unit), float)) if table.empty else table


def empty_boxes() -> pd.DataFrame:
    """A box table without rows, columns typed."""
    numbers = {name: pd.Series(dtype=float) for name in ["score", *BOX_COLUMNS]}
    return pd.DataFrame({"image_id": pd.Series(dtype=object), "label": pd.Series(dtype=object), **numbers})


def write_table(table: pd.DataFrame, path: str | Path, contract: Contract) -> Path:
    """Check, then write atomically: a reader sees the old file or the new one, never half of one."""
    return write_csv(check_table(table, contract, path), path)


def write_csv(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a CSV atomically, making its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        table.to_csv(partial, index=False)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
