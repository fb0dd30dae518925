"""The audit of a run: shortcuts that its training images leave open, and scores of groups of patients."""

import numpy as np
import pandas as pd

from cxr.data.masks import mask_file, read_masks
from cxr.data.pictures import Rows
from cxr.evaluation.run_files import RunFiles
from cxr.evaluation.shortcuts import find_shortcuts
from cxr.evaluation.subgroups import subgroup_scores
from cxr.tables import FOLDS, Contract, read_csv, read_table, write_table
from cxr.workspace import Workspace

SHORTCUTS = Contract("shortcuts table", ("target", "clue", "meaning"), ("images", "positives"))
SUBGROUPS = Contract("subgroups table", ("field", "group", "key"), ("patients", "images", "positives"))
MOST_MASKS = 400  # tell where lungs lie in general


def audit_run(workspace: Workspace) -> dict[str, pd.DataFrame]:
    """Write `tables/shortcuts.csv` and `tables/subgroups.csv` of what the run has so far; both by name.

    Before stage 03 there is nothing to look at, before stages 07 to 09 there are no scores: what cannot be made is left
    out, which is said, and the table of an earlier run goes.
    """
    files = RunFiles(workspace)
    for path in (files.places.shortcuts_table, files.places.subgroups_table):
        path.unlink(missing_ok=True)
    if files.images is None:
        print("no audit: stages 01 and 03 have not both run")
        return {}
    made = {"shortcuts": shortcuts_of(files)}
    write_table(made["shortcuts"], files.places.shortcuts_table, SHORTCUTS)
    subgroups = subgroups_of(files)
    if subgroups is None:
        print("no scores of subgroups: no model has predicted its held-out images yet")
    else:
        made["subgroups"] = subgroups
        write_table(subgroups, files.places.subgroups_table, SUBGROUPS)
    return made


def shortcuts_of(files: RunFiles) -> pd.DataFrame:
    """`find_shortcuts` of the images that a model is trained on: without boxless duplicates of boxed ones."""
    used = np.flatnonzero(files.images["role"] == "train")
    groups = read_table(files.places.folds_table, FOLDS).set_index("image_id")["group"]
    images = files.images.iloc[used]
    pixels = None if files.pixels is None else Rows(files.pixels, used)
    return find_shortcuts(images.assign(group=images["image_id"].map(groups)), pixels, _lungs(files))


def _lungs(files: RunFiles) -> np.ndarray | None:
    """Masks bool [M x S x S] that stage 06 believes, evenly from the table; None where there are none."""
    path = files.places.lungs_table
    if not path.is_file():
        return None
    table = read_csv(path, ["image_id", "accepted"])
    known = table["image_id"].isin(files.images["image_id"]) & (table["accepted"] == 1)
    ids = [name for name in table["image_id"][known] if mask_file(files.places.lungs, name).is_file()]
    chosen = np.linspace(0, len(ids) - 1, min(MOST_MASKS, len(ids))).round().astype(int)
    return read_masks(files.places.lungs, [ids[row] for row in chosen]) if ids else None


def subgroups_of(files: RunFiles) -> pd.DataFrame | None:
    """`subgroup_scores` of the fused predictions, of the first model before stage 10, None before any."""
    if files.ground is None:
        return None
    chosen = []
    for found in (files.boxes, files.none, files.study_scores):
        best = files.best_of(found)
        chosen.append(None if best is None else found[best])
    if all(table is None for table in chosen):
        return None
    return subgroup_scores(files.ground, files.images, *chosen)
