"""A detector's out-of-fold table and, beside it, how many rows each fold has.

An image without rows has no box, so a fold in which nothing was found looks like a fold that is missing. The record
tells them apart.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from cxr.faults import DataFault
from cxr.tables import BOXES, write_table
from cxr.workspace import write_json


def write_boxes(table: pd.DataFrame, images: pd.DataFrame, path: Path) -> None:
    """Write BOXES of these images (image_id, fold) to `path`, and their record to the `.json` beside it."""
    write_table(table, path, BOXES)
    write_json({"rows": rows_by_fold(table, images)}, path.with_suffix(".json"))


def check_rows(path: Path, table: pd.DataFrame, images: pd.DataFrame) -> None:
    """Raise DataFault unless a detector's table, read from `path`, holds what was written there, fold by fold.

    A table without a record beside it passes if every fold has rows.
    """
    record, found = path.with_suffix(".json"), rows_by_fold(table, images)
    kept = _read_rows(record) if record.is_file() else {}
    for fold, count in found.items():
        expected = kept.get(str(fold))
        if count == expected or (count and expected is None):
            continue
        said = f"no {record.name} says that nothing was found" if expected is None else f"{record.name} says {expected}"
        raise DataFault(
            f"{path}: {count} rows about images of fold {fold}, but {said}; run the notebook that trains "
            f"{path.parent.name} again"
        )


def rows_by_fold(table: pd.DataFrame, images: pd.DataFrame) -> dict[int, int]:
    """Number of rows of a table by fold of their images (image_id, fold)."""
    folds = table["image_id"].map(images.set_index("image_id")["fold"])
    return {int(fold): int((folds == fold).sum()) for fold in sorted(images["fold"].unique())}


def _read_rows(record: Path) -> dict[str, int]:
    try:
        rows = json.loads(record.read_text())["rows"]
    except (ValueError, KeyError, TypeError):
        rows = None
    if not isinstance(rows, Mapping):
        raise DataFault(f"{record}: does not hold the number of rows of each fold; run its notebook again")
    return dict(rows)


def listed(folds: Iterable[int]) -> str:
    """`0, 2`, for messages."""
    return ", ".join(str(int(fold)) for fold in sorted(folds))
