"""A folder a class: `<root>/<class>/**/picture`. The folder's name is the label, the root's the source."""

from pathlib import Path

import pandas as pd

from cxr.data.collections.contract import ENDINGS, NO_PATIENTS, UNKNOWN, collection, words
from cxr.faults import DataFault


def read_class_folders(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Every picture below a class folder, and findings. Raises DataFault where there is no class or no picture."""
    folder, findings, rows = Path(folder).absolute(), [], []
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise DataFault(f"{folder}: no class folder in it; make one a class, with its pictures inside")
    for home in classes:
        files = [path for path in sorted(home.rglob("*")) if path.is_file() and not path.name.startswith(".")]
        pictures = [path for path in files if path.suffix.lower() in ENDINGS]
        others = [path.name for path in files if path.suffix.lower() not in ENDINGS]
        if not pictures:
            findings.append(f"{home}: a class without pictures; it is left out")
        if others:
            findings.append(f"{home}: files that are no pictures are left out: {words(others)}")
        for path in pictures:
            name = f"{folder.name}-{path.relative_to(folder).with_suffix('').as_posix().replace('/', '-')}"
            rows.append((name, str(path), home.name, name, folder.name))
    if not rows:
        raise DataFault(f"{folder}: {len(classes)} class folder(s) and not one picture ({', '.join(ENDINGS)})")
    table = pd.DataFrame(rows, columns=["image_id", "path", "label", "patient_id", "source"])
    same = table["image_id"].duplicated(keep=False)  # a.png and a.jpg
    table.loc[same, "image_id"] = [f"{row.image_id}-{Path(row.path).suffix[1:]}" for row in table[same].itertuples()]
    findings.append(f"{folder}: {NO_PATIENTS}")
    return collection(table.assign(licence=UNKNOWN), str(folder)), findings
