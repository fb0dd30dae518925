"""JSRT's pictures with the masks of SCR (van Ginneken et al. 2006): heart, right and left lung.

`<folder>/**/JPCLN001.IMG` (raw, or exported as PNG) and `<folder>/**/fold1/masks/<structure>/JPCLN001.gif`, structure
heart, left lung or right lung, likewise fold2; masks have 1024 px, pictures 2048. A picture is a patient of its own:
JSRT took one of each.
"""

from pathlib import Path

import pandas as pd

from cxr.data.mask_sets.examine import Candidate, examine
from cxr.data.mask_sets.parts import Part
from cxr.faults import DataFault

SLUG = "jsrt"
FOLDERS = {"heart": "heart", "right": "right lung", "left": "left lung"}
REMEDY = f"put JSRT's pictures and SCR's fold1/ and fold2/ into {SLUG}/, or take it out of the input to go on without"


def read_jsrt_scr(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures with masks of all three structures (`examine`). DataFault when there are no masks."""
    folder = Path(folder)
    masks = {
        name: {
            path.stem: path for ending in ("gif", "png") for path in sorted(folder.rglob(f"masks/{part}/*.{ending}"))
        }
        for name, part in FOLDERS.items()
    }
    if not masks["right"]:
        raise DataFault(f"{folder}: no masks/right lung/*.gif below it; {REMEDY}")
    pictures = {
        path.stem: path
        for path in sorted(folder.rglob("JPC*"))
        if path.suffix.lower() in (".img", ".png") and "masks" not in path.parts
    }
    whole = set(masks["heart"]) & set(masks["right"]) & set(masks["left"])
    candidates = [
        Candidate(
            stem,
            f"jsrt-{stem}",
            "jsrt",
            pictures[stem],
            **{name: (Part(str(found[stem])),) for name, found in masks.items()},
        )
        for stem in sorted(whole & set(pictures))
    ]
    told = {
        "left out, not all masks": sorted(set(pictures) - whole),
        "masks without a picture": sorted(whole - set(pictures)),
    }
    return examine(folder, candidates, REMEDY, told)
