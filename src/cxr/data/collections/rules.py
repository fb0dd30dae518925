"""Which pictures the papers leave out, one function a rule: what it drops, and one line that tells it."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.data.collections.contract import FRONTAL, NO_RADIOGRAPH
from cxr.faults import DataFault

ADULT = 18  # years: papers 000 (3.1), 002 (III-A) and 003 (3.2) leave children out
# The children of Guangzhou (Kermany et al., Cell 2018) stand in many collections as normal and pneumonia, and never as
# COVID-19: a network tells children from adults, and scores 98 to 100 % (papers 001, table 1; 003, section 5)
PAEDIATRIC_FOLDERS = ("kermany", "guangzhou", "paultimothymooney", "zhanglabdata", "chestxraypneumonia")
PAEDIATRIC_FOLDERS += ("chestxrayimagespneumonia",)
PAEDIATRIC_FILES = re.compile(
    r"((normal2-)?im-\d{4}-0001(-\d{4})*|person\d+_(bacteria|virus)_\d+|(normal|bacteria|virus)-\d{5,}-\d{4})\.(jpe?g|png)",
    re.I,
)
PARENTS = 3  # a Kaggle data set's name stands some folders above its pictures: chest-xray-pneumonia/chest_xray/train


class Verdict(NamedTuple):
    """What a rule says of a table's rows."""

    rule: str
    drop: np.ndarray  # bool [N]
    line: str


def refuse_paediatric_folder(folder: Path) -> None:
    """Raise DataFault where a folder's name, or one above it, is that of the paediatric collection."""
    for part in folder.parts[-PARENTS:]:
        plain = re.sub(r"[^a-z0-9]", "", part.lower())
        if any(name in plain for name in PAEDIATRIC_FOLDERS):
            raise DataFault(
                f"{folder}: {part!r} names the children's radiographs of Kermany et al.; a classifier would tell "
                "children from adults and not the disease; leave this folder out"
            )


def paediatric_names(table: pd.DataFrame) -> Verdict:
    """Pictures of that collection inside another one, known by their file names."""
    drop = np.array([bool(PAEDIATRIC_FILES.fullmatch(Path(path).name)) for path in table["path"]], bool)
    return Verdict("paediatric source", drop, f"names of Kermany et al.'s paediatric pictures: drops {drop.sum()}")


def radiographs(table: pd.DataFrame) -> Verdict:
    """No slices of CT."""
    drop = (table["view"] == NO_RADIOGRAPH).to_numpy()
    return Verdict("no radiograph", drop, f"radiographs only: drops {drop.sum()} of {NO_RADIOGRAPH}")


def frontal(table: pd.DataFrame, known: bool = False) -> Verdict:
    """Frontal views (papers 000, 001 and 003). An unknown view stays unless it must be `known`."""
    unknown = (table["view"] == "").to_numpy()
    other = ~table["view"].isin(FRONTAL).to_numpy() & ~unknown
    return _verdict("not frontal", "frontal views only", other, unknown, known, "view")


def adults(table: pd.DataFrame, known: bool = False) -> Verdict:
    """Patients of ADULT years and more. An unknown age stays unless it must be `known`."""
    unknown, young = table["age"].isna().to_numpy(), (table["age"] < ADULT).to_numpy()
    return _verdict("under 18", f"age {ADULT} and more", young, unknown, known, "age")


def _verdict(rule: str, words: str, drop: np.ndarray, unknown: np.ndarray, known: bool, what: str) -> Verdict:
    fate = "of unknown {what} go too" if known else "of unknown {what} stay (--known-{what}s drops them)"
    line = f"{words}: drops {drop.sum()}; {unknown.sum()} {fate.format(what=what)}"
    return Verdict(rule, drop | unknown if known else drop, line)
