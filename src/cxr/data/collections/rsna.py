"""RSNA Pneumonia Detection Challenge as a collection: `cxr.data.rsna` reads labels, the headers say age and view."""

from pathlib import Path

import pandas as pd
from pydicom import Dataset

from cxr.data.collections.rows import to_rows
from cxr.data.nih import some
from cxr.data.rsna import read_rsna
from cxr.faults import DataFault
from cxr.images.source import open_dicom

SOURCE, PREFIX, LICENCE = "RSNA pneumonia", "rsna", "RSNA challenge terms: research and education"
OPACITY = "Lung Opacity"
TAGS = {"age": "PatientAge", "sex": "PatientSex", "view": "ViewPosition"}  # ours: DICOM's


def read_rsna_collection(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the contract and findings; label: the detailed class. DataFault as `read_rsna`.

    Without the file of classes boxed pictures are `Lung Opacity` and the others have no label.
    """
    images, _, findings = read_rsna(folder)
    unreadable: list[str] = []
    headers = pd.DataFrame([_header(folder / path, unreadable) for path in images["path"]], index=images.index)
    if unreadable:
        findings.append(f"{folder}: headers that cannot be read, so age, sex and view are unknown: {some(unreadable)}")
    boxed = (images["rsna_class"] == "") & (images["has_box"] == 1)
    rows = headers.assign(
        file=images["path"],
        name=images["image_id"],
        label=images["rsna_class"].mask(boxed, OPACITY),
        patient=images["patient_id"].str.removeprefix("rsna-"),
        source=SOURCE,
        licence=LICENCE,
    )
    return to_rows(rows, PREFIX, folder, findings), findings


def _header(path: Path, unreadable: list[str]) -> dict[str, str]:
    try:
        dataset, _ = open_dicom(path, pixels=False)
    except DataFault:
        unreadable.append(path.name)
        dataset = Dataset()
    return {name: str(dataset.get(keyword, "")) for name, keyword in TAGS.items()}
