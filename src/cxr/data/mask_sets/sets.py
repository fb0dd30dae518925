"""All layouts of lung masks that are known, and all pictures of those that the input has."""

from collections.abc import Callable
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
