"""NIH ChestX-ray14 as a collection: `cxr.data.nih` reads it."""

from pathlib import Path

import pandas as pd

from cxr.data.collections.rows import to_rows
from cxr.data.nih import FINDINGS, read_nih

SOURCE, PREFIX, LICENCE = "NIH ChestX-ray14", "nih", "free with attribution to the NIH Clinical Center"
PARTS = {"train_val": "train", "test": "test"}  # theirs: ours


def read_nih_collection(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the contract and findings. label: the findings joined by `|`. DataFault as `read_nih`."""
    table, findings = read_nih(folder)
    labels = ["|".join(name for name in FINDINGS if row[name] == 1) for row in table[list(FINDINGS)].to_dict("records")]
    rows = pd.DataFrame(
        {
            "file": table["path"],
            "name": table["image_id"],
            "label": labels,
            "patient": table["patient_id"].str.removeprefix("nih-"),
            "age": table["age"].map("{:.0f}".format),
            "sex": table["sex"],
            "view": table["view"],
            "source": SOURCE,
            "licence": LICENCE,
            "part": table["part"].map(PARTS),
        }
    )
    return to_rows(rows, PREFIX, folder, findings), findings
