"""Images with labels in a CSV of any origin: our table, the competition's file names, published fold files."""

from pathlib import Path

import pandas as pd

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES, STUDY_COLUMNS, parse_boxes
from cxr.tables import MISSING, Contract, read_csv

LABELLED = Contract("table for folds", ("image_id", "study_id", "patient_id"), STUDY_CLASSES, key="image_id")
BOX_SOURCES = ("has_box", "boxes", "label")  # each tells whether an image has a box; the first one found is used
NAMES = {name.replace("_", ""): name for name in (*LABELLED.columns, *BOX_SOURCES, "pixel_hash", "fold")}
NAMES |= {name.lower().replace(" ", ""): short for name, short in STUDY_COLUMNS.items()}
NAMES |= {"studyinstanceuid": "study_id"}
WORDS = {
    "has_box": {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False},
    "label": {"opacity": True, "none": False},
}


def read_labelled(csv: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """An images table with labels, in our names or in those of the competition's files and of published fold files.

    Rows without any label (test images, other sources) are left out. Returns what `make_folds` wants, and findings.
    Raises DataFault naming file, row (1 is the first below the header), value, rule and remedy.
    """
    table = _read_text(csv)
    source = next((name for name in BOX_SOURCES if name in table.columns), None)
    missing = [name for name in LABELLED.columns if name not in table.columns]
    missing += [] if source else [" or ".join(BOX_SOURCES)]
    if missing:
        raise DataFault(
            f"{csv}: column {', '.join(missing)} is missing; found {', '.join(table.columns)}. Folds need "
            "image_id, study_id, patient_id, the four classes, and one of " + ", ".join(BOX_SOURCES)
        )
    unlabelled = table[list(STUDY_CLASSES)].isna().all(axis=1)
    notes = [f"{csv}: {unlabelled.sum()} row(s) without a label are left out"] if unlabelled.any() else []
    table = table[~unlabelled]  # the index still counts the rows of the file
    if table.empty:
        raise DataFault(f"{csv}: no row has a label in {', '.join(STUDY_CLASSES)}; folds are made from training images")
    _check_ids(table, csv)
    table = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in STUDY_CLASSES})
    check_labels(table, csv)
    cells = zip(table.index, table["image_id"], table[source], strict=True)
    table["has_box"] = [_has_box(source, text, f"{csv}: image {image}, row {row + 1}") for row, image, text in cells]
    return table.reset_index(drop=True), notes


def read_folds(csv: str | Path) -> pd.DataFrame:
    """image_id and fold (a whole number) of a folds file of anybody. Raises DataFault for a missing or wrong value."""
    table = _read_text(csv)
    missing = [name for name in ("image_id", "fold") if name not in table.columns]
    if missing:
        raise DataFault(
            f"{csv}: column {', '.join(missing)} is missing; found {', '.join(table.columns)}; "
            "give a file that names the fold of every image"
        )
    _check_ids(table, csv, ("image_id",))
    folds = pd.to_numeric(table["fold"], errors="coerce")
    _refuse(folds.isna() | (folds % 1 != 0), table["fold"], csv, "fold", "a whole number", "correct that row")
    return pd.DataFrame({"image_id": table["image_id"], "fold": folds.astype(int)})


def check_labels(table: pd.DataFrame, origin: str | Path) -> None:
    """Raise DataFault unless every image has exactly one class, and a study the same one on all its images.

    The index of `table` counts the rows of the file, from 0.
    """
    classes = table[list(STUDY_CLASSES)]
    wrong = ~(classes.isin([0, 1]).all(axis=1) & (classes.sum(axis=1) == 1))
    if wrong.any():
        row = wrong.idxmax()
        values = ", ".join(f"{name} {classes.at[row, name]:g}" for name in STUDY_CLASSES)
        raise DataFault(
            f"{origin}: image {table.at[row, 'image_id']}, row {row + 1}, and {wrong.sum() - 1} more have not exactly "
            f"one 1 and three 0 among the classes ({values}); correct these rows"
        )
    differ = classes.groupby(table["study_id"]).nunique().max(axis=1) > 1
    if differ.any():
        raise DataFault(
            f"{origin}: study {differ.index[differ][0]} has images with different labels; give all of them its label"
        )


def _read_text(csv: str | Path) -> pd.DataFrame:
    """Every cell as text, since ids of digits alone must stay text; columns in our names."""
    read_csv(csv)  # complains in words about a missing or unreadable file
    raw = pd.read_csv(csv, dtype=str, keep_default_na=False, na_values=MISSING, index_col=False)
    return _our_names(raw)


def _our_names(table: pd.DataFrame) -> pd.DataFrame:
    """Rename known aliases, whatever their case, spaces and underscores; a column that has our name already wins."""
    renamed = {}
    for column in table.columns:
        name = NAMES.get(column.lower().replace(" ", "").replace("_", ""))
        if name and name not in table.columns and name not in renamed.values():
            renamed[column] = name
    return table.rename(columns=renamed)


def _check_ids(table: pd.DataFrame, csv: str | Path, columns: tuple[str, ...] = LABELLED.text) -> None:
    for name in columns:
        empty = table[name].isna() | (table[name].str.strip() == "")
        if empty.any():
            raise DataFault(
                f"{csv}: {empty.sum()} row(s) without {name}, the first is row {empty.idxmax() + 1}; "
                "fill it in or remove the row"
            )
    twice = table["image_id"].duplicated()
    _refuse(twice, table["image_id"], csv, "image_id", "in one row alone", "keep one row for each image")


def _refuse(wrong: pd.Series, values: pd.Series, csv: str | Path, name: str, rule: str, remedy: str) -> None:
    """Raise DataFault for the first wrong value, if there is one."""
    if wrong.any():
        row = wrong.idxmax()
        raise DataFault(f"{csv}: {name} {values[row]!r} of row {row + 1} must be {rule}; {remedy}")


def _has_box(source: str, text: object, place: str) -> bool:
    """Read one cell of has_box (1 or true), boxes (a literal) or label (`opacity ...` or `none ...`)."""
    if source == "boxes":
        try:
            return len(parse_boxes(text)) > 0
        except DataFault as fault:
            raise DataFault(f"{place}: {fault}") from None
    known, word = WORDS[source], str(text).strip().lower().split(" ")[0]
    if word not in known:
        raise DataFault(f"{place}: {source} is {text!r}, expected one of {', '.join(known)}; correct that row")
    return known[word]
