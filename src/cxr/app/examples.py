"""Phantom radiographs to try the page with: drawn when they are asked for, of patients that no phantom run has."""

import tempfile
from functools import lru_cache
from pathlib import Path

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.phantom.plan import MINIMUM_STUDIES, plan_siim
from cxr.phantom.siim import write_image

SEED = 190_621  # runs draw theirs from 0 on
PLANNED = max(24, MINIMUM_STUDIES)


@lru_cache(len(STUDY_CLASSES))
def example(label: str) -> bytes:
    """A DICOM file of this study class. Raises DataFault for another word."""
    if label not in STUDY_CLASSES:
        raise DataFault(f"no example of {label[:40]!r}; there is one of {', '.join(STUDY_CLASSES)}")
    plan = plan_siim(PLANNED, SEED)
    row = next(row for row in plan.to_dict("records") if row["study_class"] == label)
    with tempfile.TemporaryDirectory(prefix="cxr-example-") as folder:
        write_image(row, Path(folder), SEED)
        return next(Path(folder).rglob("*.dcm")).read_bytes()
