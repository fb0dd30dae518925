"""The V7 Labs set of COVID-19 radiographs, which paper 003 segments with: Darwin JSON files beside pictures.

Its polygons are called Lung and take the heart's part of the left lung in. As paper 003 has it (section 3.1): lateral
pictures, told by a tag, and pictures smaller than 256 px are left out. A tag `Patient ID/<id>` names the patient where
there is one.
"""

from collections import defaultdict
from pathlib import Path

import pandas as pd

from cxr.data.mask_sets.darwin_json import Annotated, read_annotated
from cxr.data.mask_sets.examine import NO_PATIENTS, Candidate, examine
from cxr.data.mask_sets.parts import Part
from cxr.faults import DataFault

SLUG = "covid-19-chest-x-ray-dataset"
LUNG, LATERAL, PATIENT = "Lung", "lateral", "patient id/"
SMALLEST = 256  # px (paper 003)
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")
REMEDY = f"export {SLUG} again, or take its folder out of the input to go on without"


def read_darwin(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Frontal pictures with polygons of lungs (`examine`). DataFault when there is no annotation file."""
    folder, candidates, told = Path(folder), [], defaultdict(list)
    files = [path for path in sorted(folder.rglob("*.json")) if not path.name.startswith(".")]
    if not files:
        raise DataFault(f"{folder}: no annotation file *.json below it; {REMEDY}")
    pictures = {path.name: path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS}
    for path in files:
        try:
            annotated = read_annotated(path)
        except DataFault as fault:
            told[f"left out, {str(fault).partition(': ')[2]}"].append(path.name)
            continue
        reason = _reason(annotated, pictures)
        if reason:
            told[reason].append(annotated.filename)
            continue
        patient = _patient(annotated)
        if not patient:
            told[NO_PATIENTS].append(annotated.filename)
        stem = Path(annotated.filename).stem
        candidates.append(
            Candidate(stem, f"v7-{patient or stem}", "v7", pictures[annotated.filename], (Part(str(path), name=LUNG),))
        )
    return examine(folder, candidates, REMEDY, told)


def _reason(annotated: Annotated, pictures: dict[str, Path]) -> str:
    if annotated.filename not in pictures:
        return "left out, the picture is not there"
    if LUNG not in annotated.shapes:
        return f"left out, no polygon called {LUNG}"
    if any(LATERAL in tag.lower() for tag in annotated.tags):
        return "left out, lateral"
    if min(annotated.height, annotated.width) < SMALLEST:
        return f"left out, smaller than {SMALLEST} px"
    return ""


def _patient(annotated: Annotated) -> str:
    found = [tag.partition("/")[2] for tag in annotated.tags if tag.lower().startswith(PATIENT)]
    return found[0].strip() if found else ""
