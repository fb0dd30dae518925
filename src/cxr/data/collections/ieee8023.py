"""ieee8023/covid-chestxray-dataset (Cohen et al., 2020): COVID-19 and other pneumonias out of publications.

`metadata.csv` beside the folder `images`. Its columns changed over time: the first releases write `Patientid`, findings
such as `COVID-19, ARDS` and CT as a view; later ones have `modality`, `folder` and findings such as
`Pneumonia/Viral/COVID-19`. The licence is the single picture's; many have none.
"""

from pathlib import Path

import pandas as pd

from cxr.data.collections.contract import NO_RADIOGRAPH
from cxr.data.collections.rows import to_rows
from cxr.faults import DataFault
from cxr.tables import read_csv

SOURCE, PREFIX, LIST = "ieee8023 covid-chestxray-dataset", "ieee8023", "metadata.csv"
NEEDED, PICTURES = ("filename", "finding"), "images"
COLUMNS = {"patient": "patientid", "age": "age", "sex": "sex", "view": "view", "licence": "license"}  # ours: theirs


def read_ieee8023(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the contract and findings; CT is among them, with the view CT. DataFault without list or pictures."""
    csv, findings = folder / LIST, []
    raw = read_csv(csv, all_text=True)
    raw.columns = [name.strip().lower() for name in raw.columns]
    raw = raw.apply(lambda column: column.str.strip())
    missing = [name for name in NEEDED if name not in raw.columns]
    if missing or raw.empty:
        raise DataFault(
            f"{csv}: {len(raw)} rows, columns {', '.join(raw.columns[:12])}; it must have rows and the columns "
            f"{', '.join(NEEDED)}; get it again"
        )
    absent = [theirs for theirs in COLUMNS.values() if theirs not in raw.columns]
    if absent:
        findings.append(f"{csv}: has no column {', '.join(absent)}, so these are unknown")
    rows = pd.DataFrame({ours: raw[theirs] for ours, theirs in COLUMNS.items() if theirs in raw.columns})
    folders = raw["folder"].replace("", PICTURES) if "folder" in raw.columns else PICTURES
    names = [Path(name).stem for name in raw["filename"]]
    rows = rows.assign(file=folders + "/" + raw["filename"], name=names, label=raw["finding"], source=SOURCE)
    if "modality" in raw.columns:
        other = ~raw["modality"].str.lower().isin(("x-ray", "xray", ""))
        rows["view"] = rows.get("view", pd.Series("", index=raw.index)).mask(other, NO_RADIOGRAPH)
    return to_rows(rows, PREFIX, folder, findings), findings
