"""Montgomery and Shenzhen as the Kaggle data set `chest-xray-masks-and-labels` mounts them.

It holds `<a folder>/CXR_png/<stem>.png` and `<the same folder>/masks/`, where a mask is called `<stem>_mask.png`
(Shenzhen) or `<stem>.png` (Montgomery). Some pictures have no mask. Nothing says that two pictures show one patient,
so each picture counts as a patient of its own.
"""

from pathlib import Path

import pandas as pd

from cxr.data.mask_sets.examine import Candidate, examine, visible
from cxr.data.mask_sets.parts import Part
from cxr.faults import DataFault

SLUG = "chest-xray-masks-and-labels"
REMEDY = f"unpack {SLUG}.zip again, or take its folder out of the input to go on without"
SOURCES = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen"}  # by the beginning of a file name


def read_lung_masks(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures that have a mask, in the order of their names, and findings (`examine`); source: montgomery, shenzhen or
    other. DataFault when the folders are not there or not one pair remains."""
    home = _find_home(Path(folder))
    pictures = {path.stem: path for path in visible(home / "CXR_png", "*.png")}
    # sorted: where a picture has both names of a mask, `<stem>_mask.png` comes last and counts
    masks = {path.stem.removesuffix("_mask"): path for path in visible(home / "masks", "*.png")}
    candidates = [
        Candidate(stem, f"lungs-{stem}", SOURCES.get(stem[:6], "other"), pictures[stem], (Part(str(masks[stem])),))
        for stem in sorted(set(pictures) & set(masks))
    ]
    told = {
        "left out, no mask": sorted(set(pictures) - set(masks)),
        "masks without a picture": sorted(set(masks) - set(pictures)),
    }
    return examine(home, candidates, REMEDY, told)


def _find_home(folder: Path) -> Path:
    """The one folder in it with both CXR_png and masks; the first by name where an archive holds a copy."""
    homes = [path.parent for path in sorted(folder.glob("*/CXR_png")) if (path.parent / "masks").is_dir()]
    if not homes:
        raise DataFault(f"{folder}: no folder in it holds both CXR_png and masks; {REMEDY}")
    return homes[0]
