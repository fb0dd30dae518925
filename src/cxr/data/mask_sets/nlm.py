"""Montgomery and Shenzhen as the National Library of Medicine ships them (Jaeger et al. 2014).

`MontgomerySet/CXR_png/<stem>.png` with `ManualMask/leftMask/<stem>.png` and `rightMask/<stem>.png`; `ChinaSet_AllFiles/
CXR_png/<stem>.png` with `mask/` or `masks/<stem>_mask.png` (Stirenko et al. 2018, shipped apart). Nothing says that two
pictures show one patient, so each counts as a patient of its own.
"""

from pathlib import Path

import pandas as pd

from cxr.data.mask_sets.examine import Candidate, examine, visible
from cxr.data.mask_sets.parts import Part
from cxr.faults import DataFault

MONTGOMERY, SHENZHEN = "MontgomerySet", "ChinaSet_AllFiles"
MASK_FOLDERS = ("mask", "masks", "Mask", "ManualMask")


def read_montgomery(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures with a right and a left mask (`examine`)."""
    folder = Path(folder)
    pictures = {path.stem: path for path in visible(folder / "CXR_png", "*.png")}
    sides = {
        side: {path.stem: path for path in visible(folder / "ManualMask" / f"{side}Mask", "*.png")}
        for side in ("right", "left")
    }
    both = set(pictures) & set(sides["right"]) & set(sides["left"])
    candidates = [
        Candidate(
            stem,
            f"lungs-{stem}",
            "montgomery",
            pictures[stem],
            right=(Part(str(sides["right"][stem])),),
            left=(Part(str(sides["left"][stem])),),
        )
        for stem in sorted(both)
    ]
    told = {"left out, not both masks": sorted(set(pictures) - both)}
    return examine(folder, candidates, _remedy(MONTGOMERY), told)


def read_shenzhen(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures with a mask of both lungs (`examine`). DataFault when no folder of masks is there."""
    folder = Path(folder)
    home = next((folder / name for name in MASK_FOLDERS if (folder / name).is_dir()), None)
    if home is None:
        raise DataFault(
            f"{folder}: pictures but no folder mask/; the masks of Shenzhen are shipped apart, put them beside CXR_png"
        )
    pictures = {path.stem: path for path in visible(folder / "CXR_png", "*.png")}
    masks = {path.stem.removesuffix("_mask"): path for path in visible(home, "*.png")}
    candidates = [
        Candidate(stem, f"lungs-{stem}", "shenzhen", pictures[stem], (Part(str(masks[stem])),))
        for stem in sorted(set(pictures) & set(masks))
    ]
    return examine(folder, candidates, _remedy(SHENZHEN), {"left out, no mask": sorted(set(pictures) - set(masks))})


def _remedy(name: str) -> str:
    return f"unpack {name} again, or take its folder out of the input to go on without"
