"""From what an adapter read to rows of the contract: files that are there, ids, patients, known values."""

from pathlib import Path

import pandas as pd

from cxr.data.collections.contract import COLUMNS, check_collection
from cxr.data.collections.values import known_values
from cxr.data.nih import some
from cxr.faults import DataFault
from cxr.images.files import unique_names

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".dcm")
OPTIONAL = ("patient", "age", "sex", "view", "licence", "part")


def to_rows(raw: pd.DataFrame, prefix: str, folder: Path, findings: list[str]) -> pd.DataFrame:
    """Rows of the contract for the pictures that lie there, in the order of `raw`; what is left out is a finding.

    raw: text columns file (relative to `folder`), label, source and, as far as known, OPTIONAL; a patient that is not
    known is empty, and such a picture counts as a patient of its own. name: what its id is made of, else the file.
    prefix: how ids begin. Raises DataFault where not one picture remains.
    """
    listed = len(raw)
    raw = raw.assign(**{name: "" for name in OPTIONAL if name not in raw.columns})
    if "name" not in raw.columns:
        raw["name"] = [Path(name).with_suffix("").as_posix() for name in raw["file"]]
    raw = _without(raw, raw["file"].duplicated(), "pictures listed more than once count once", folder, findings)
    there = raw["file"].map(lambda name: (folder / name).is_file()).astype(bool)
    raw = _without(raw, ~there, "pictures that are listed but not there are left out", folder, findings)
    raw = _without(raw, raw["label"] == "", "pictures without a label are left out", folder, findings)
    if raw.empty:
        raise DataFault(
            f"{folder}: of {listed} listed pictures none is there with a label; name the folder that the list belongs "
            "to, or unpack its pictures there"
        )
    paths = [(folder / name).absolute().as_posix() for name in raw["file"]]
    table = raw.assign(path=paths, image_id=unique_names(f"{prefix}-{name.replace('/', '-')}" for name in raw["name"]))
    table["patient_id"] = _patients(table, prefix, folder, findings)
    table = table.assign(**known_values(table, folder, findings))
    return check_collection(table[list(COLUMNS)].reset_index(drop=True), folder)


def _without(raw: pd.DataFrame, drop: pd.Series, words: str, folder: Path, findings: list[str]) -> pd.DataFrame:
    if drop.any():
        findings.append(f"{folder}: {words}: {some(raw['file'][drop])}")
    return raw[~drop]


def _patients(table: pd.DataFrame, prefix: str, folder: Path, findings: list[str]) -> pd.Series:
    unknown = table["patient"] == ""
    if unknown.any():
        which = "no picture" if unknown.all() else f"{unknown.sum()} of {len(table)} pictures do not say"
        words = "says whose it is" if unknown.all() else "whose they are"
        findings.append(f"{folder}: {which} {words}: each of these counts as a patient of its own")
    # `picture-` keeps a made-up id apart from one that the source uses
    return (prefix + "-" + table["patient"]).mask(unknown, "picture-" + table["image_id"])
