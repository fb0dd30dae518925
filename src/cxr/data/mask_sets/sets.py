"""All layouts of lung masks that are known, and all pictures of those that the input has."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.mask_sets import darwin, jsrt, kaggle_lungs, listed, nlm
from cxr.data.mask_sets.examine import COLUMNS
from cxr.faults import DataFault

Reader = Callable[[Path], tuple[pd.DataFrame, list[str]]]
# folder in the input: the file that tells it is there, and who reads it; the first that has a picture gives its masks
MASK_SETS: dict[str, tuple[str, Reader]] = {
    nlm.MONTGOMERY: ("ManualMask/*Mask", nlm.read_montgomery),
    nlm.SHENZHEN: ("CXR_png", nlm.read_shenzhen),
    jsrt.SLUG: ("**/masks/*lung", jsrt.read_jsrt_scr),
    darwin.SLUG: ("**/*.json", darwin.read_darwin),
    listed.SLUG: (listed.TABLE, listed.read_listed),
    kaggle_lungs.SLUG: ("*/masks", kaggle_lungs.read_lung_masks),
}


def read_mask_sets(folders: dict[str, Path]) -> tuple[pd.DataFrame, list[str]]:
    """Pairs of all these sets, COLUMNS with unique image_id, and findings. folders: by a name of MASK_SETS.

    A set that cannot be used at all is told, and the others are read; DataFault when that leaves none.
    """
    tables, findings = [], []
    for slug, (_, read) in MASK_SETS.items():
        if slug not in folders:
            continue
        try:
            pairs, remarks = read(folders[slug])
        except DataFault as fault:
            findings.append(f"left out, {fault}")
            continue
        tables.append(pairs)
        findings += remarks
    if not tables:
        raise DataFault("; ".join(findings) or f"no lung masks; known folders: {', '.join(MASK_SETS)}")
    pairs = pd.concat(tables, ignore_index=True)
    again = pairs["image_id"].duplicated()
    if again.any():
        names = ", ".join(pairs["image_id"][again].head(3))
        findings.append(f"pictures that another set has too, counted once: {again.sum()} ({names})")
    return pairs[~again].reset_index(drop=True)[list(COLUMNS)], findings


def annotated(pairs: pd.DataFrame, structure: str) -> np.ndarray:
    """bool: rows in which somebody drew this structure (`lungs`: together or each)."""
    drawn = pairs[structure].map(len) > 0
    return (
        drawn | ((pairs["right"].map(len) > 0) & (pairs["left"].map(len) > 0)) if structure == "lungs" else drawn
    ).to_numpy()


def find_mask_sets(places: Sequence[str]) -> dict[str, Path]:
    """Folders for `read_mask_sets`. A place is a folder that holds sets under their names, a set itself in a layout
    that can be told, or `NAME=FOLDER`. Raises DataFault for anything else, and when a set is named twice."""
    found: dict[str, Path] = {}
    for place in places:
        for slug, folder in _find_in(place).items():
            if slug in found:
                raise DataFault(f"{slug}: both {found[slug]} and {folder} hold it; name one of them")
            found[slug] = folder
    return found


def _find_in(place: str) -> dict[str, Path]:
    name, _, rest = place.partition("=")
    folder = Path(rest if name in MASK_SETS else place)
    if not folder.is_dir():
        raise DataFault(f"{folder}: no such folder; name one that holds lung masks")
    if name in MASK_SETS:
        return {name: folder}
    within = {slug: folder / slug for slug, (pattern, _) in MASK_SETS.items() if any((folder / slug).glob(pattern))}
    fitting = within or {slug: folder for slug, (pattern, _) in MASK_SETS.items() if any(folder.glob(pattern))}
    if len(fitting) == 1 or within:
        return fitting
    reason = f"could be {' or '.join(fitting)}" if fitting else "no layout of lung masks fits"
    raise DataFault(f"{folder}: {reason}; say which it is, one of {', '.join(MASK_SETS)}, as NAME={folder}")
