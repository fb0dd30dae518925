"""From the labels of many sources to the classes of one task. What a map does not name is left out.

A label may hold several findings joined by `|`. Patterns are those of a shell, capitals do not matter, the first that
fits any of the findings decides; only `normal` must fit all of them, so that `No Finding|Support Devices` is not normal
(paper 000 leaves pictures with devices out as well).
"""

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.faults import DataFault
from cxr.tables import read_csv

Patterns = tuple[tuple[str, str], ...]  # pattern, class; the first that fits decides

NORMAL = "normal"
COVID = (("*covid*", "covid"), ("positive", "covid"))
HEALTHY = (("no finding", NORMAL), ("normal", NORMAL))
PNEUMONIA = (
    "pneumonia",
    "pneumonia/*",
    "pneumocystis",
    "streptococcus",
    "lung opacity",
    "sars",
    "mers*",
    "viral",
    "bacteria*",
)
LABEL_MAPS: dict[str, Patterns] = {
    "two": COVID + HEALTHY,  # paper 000, section 3.1
    # papers 001 (3.1) and 003 (3.2); that an opacity of RSNA is a pneumonia, COVIDx and paper 002 (table IV) take so
    "three": COVID + tuple((name, "pneumonia") for name in PNEUMONIA) + HEALTHY,
    "four": (  # paper 002, II-D: viral holds COVID-19, SARS and MERS; other pneumonias are in none of its classes
        *((name, "viral") for name in ("*covid*", "pneumonia/viral*", "sars", "mers*", "viral*", "virus")),
        *((name, "bacterial") for name in ("pneumonia/bacterial*", "bacteria*", "streptococcus")),
        ("*tuberculosis*", "tuberculosis"),
        ("tb", "tuberculosis"),
        *HEALTHY,
    ),
}


def load_label_map(name: str) -> Patterns:
    """A map by its name, or from a CSV with the columns pattern and class, one pattern a row."""
    if name in LABEL_MAPS:
        return LABEL_MAPS[name]
    if not Path(name).is_file():
        raise DataFault(f"{name}: no label map ({', '.join(LABEL_MAPS)}) and no file; write a CSV: pattern,class")
    table = read_csv(name, ["pattern", "class"], all_text=True)
    rows = [
        (pattern.strip().lower(), kind.strip()) for pattern, kind in zip(table["pattern"], table["class"], strict=True)
    ]
    if not rows or not all(pattern and kind for pattern, kind in rows):
        raise DataFault(f"{name}: {len(rows)} rows, each must have a pattern and a class; fill them in")
    return tuple(rows)


def mapped_labels(labels: pd.Series, patterns: Patterns) -> pd.Series:
    """The class of every label, NaN where no pattern fits."""
    classes = {label: _class_of(label, patterns) for label in labels.unique()}
    return labels.map(classes)


def _class_of(label: str, patterns: Patterns) -> str | float:
    words = [word.strip().lower() for word in label.split("|")]
    for pattern, kind in patterns:
        fits = [fnmatchcase(word, pattern) for word in words]
        if all(fits) if kind == NORMAL else any(fits):
            return kind
    return np.nan
