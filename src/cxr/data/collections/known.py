"""NIH ChestX-ray14 and RSNA pneumonia as collections, by the readers that the pretraining stages use."""

from pathlib import Path

import pandas as pd

from cxr.data.collections.contract import UNKNOWN, collection, plain_sex
from cxr.data.nih import FINDINGS, read_nih
from cxr.data.rsna import read_rsna

NIH_LICENCE = "NIH: free with attribution"
RSNA_LICENCE = "RSNA, Kaggle: research and education"


def read_nih_collection(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The label is the findings, joined by `|`; `No Finding` is one of them."""
    folder = Path(folder).absolute()
    table, findings = read_nih(folder)
    marks = table[list(FINDINGS)].to_numpy() == 1
    labels = ["|".join(name for name, mark in zip(FINDINGS, row, strict=True) if mark) for row in marks]
    table = table.assign(
        image_id="nih-" + table["image_id"],
        path=[str(folder / path) for path in table["path"]],
        label=labels,
        sex=plain_sex(table["sex"]),
        view=table["view"].where(table["view"].isin(("PA", "AP")), UNKNOWN),
        source="NIH",
        licence=NIH_LICENCE,
    )
    return collection(table, str(folder)), findings


def read_rsna_collection(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The label is the detailed class, or where that file is missing whether there is a box."""
    folder = Path(folder).absolute()
    table, _, findings = read_rsna(folder)
    boxed = table["has_box"].map({1: "Lung Opacity", 0: "no box"})
    detailed = table["rsna_class"].fillna("").astype(str)
    table = table.assign(
        image_id="rsna-" + table["image_id"],
        path=[str(folder / path) for path in table["path"]],
        label=detailed.where(detailed != "", boxed),
        source="RSNA",
        licence=RSNA_LICENCE,
    )
    return collection(table, str(folder)), findings
