"""Masks that a table lists: `masks.csv` (path, mask, kind, values), and `images.csv` (path, patient_id) if it is there.

Paths are relative to the table's folder. kind `lung`: one mask of both lungs; `lung_lr`: a value each. values says in
words what the numbers mean, `0 background / 1 right / 2 left` or `0 background / 255 lung / 127 ignore`; other kinds
are not read. A picture with several masks is one row: right and left go before both in one, else the first counts.
"""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pandas as pd

from cxr.data.mask_sets.examine import NO_PATIENTS, Candidate, examine
from cxr.data.mask_sets.parts import Part
from cxr.faults import DataFault
from cxr.tables import read_csv

SLUG, TABLE, IMAGES_TABLE = "lung-masks", "masks.csv", "images.csv"
BOTH, EACH = "lung", "lung_lr"
REMEDY = f"correct {TABLE}, or take its folder out of the input to go on without"


def read_listed(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures with a listed lung mask (`examine`). DataFault when the table lacks a column or lists no lung."""
    folder, told = Path(folder), defaultdict(list)
    table = read_csv(folder / TABLE, ["path", "mask", "kind", "values"])
    table = table[table["kind"].isin((BOTH, EACH))]
    if table.empty:
        raise DataFault(f"{folder / TABLE}: no row of kind {BOTH} or {EACH}; {REMEDY}")
    unnamed = table[["path", "mask"]].isna().any(axis=1)
    if unnamed.any():
        told["left out, names no picture or no mask"] = [f"line {index + 2}" for index in table.index[unnamed]]
    table = table[~unnamed]
    patients, candidates = _patients(folder), []
    # `lung_lr` sorts behind `lung`, and says more
    for path, rows in table.sort_values("kind", ascending=False, kind="stable").groupby("path", sort=True):
        row, stem = rows.iloc[0], PurePosixPath(path).stem
        if not (folder / path).is_file() or not (folder / row["mask"]).is_file():
            told["left out, picture or mask is not there"].append(stem)
            continue
        if len(rows) > 1:
            told["several masks, the one with more structures or the first counts"].append(stem)
        if not patients.get(path):
            told[NO_PATIENTS].append(stem)
        try:
            parts = _parts(folder / row["mask"], row["kind"], str(row["values"]))
        except DataFault as fault:
            told[f"left out, {fault}"].append(stem)
            continue
        patient = patients.get(path) or stem
        candidates.append(
            Candidate(
                stem,
                f"{PurePosixPath(path).parent.name}-{patient}",
                PurePosixPath(row["mask"]).parent.name,
                folder / path,
                **parts,
            )
        )
    return examine(folder, candidates, REMEDY, told)


def _patients(folder: Path) -> dict[str, str]:
    """Patient of each picture, where images.csv names one."""
    if not (folder / IMAGES_TABLE).is_file():
        return {}
    table = read_csv(folder / IMAGES_TABLE)
    if not {"path", "patient_id"} <= set(table.columns):
        return {}
    known = table.dropna(subset=["patient_id"])
    return dict(zip(known["path"], known["patient_id"].astype(str), strict=True))


def _parts(mask: Path, kind: str, values: str) -> dict[str, tuple[Part, ...]]:
    """Structures of a file by the words that its numbers stand for."""
    meaning = {word: int(number) for number, word in re.findall(r"(\d+)\s+([a-z]+)", values.lower())}
    unknown, legend = meaning.get("ignore", meaning.get("unknown")), tuple(sorted(meaning.values()))
    if kind == EACH:
        if not {"right", "left"} <= set(meaning):
            raise DataFault(f"values {values!r} do not say which number is right and which is left")
        return {side: (Part(str(mask), meaning[side], unknown, legend=legend),) for side in ("right", "left")}
    return {"lungs": (Part(str(mask), meaning.get("lung"), unknown, legend=legend if "lung" in meaning else ()),)}
