"""What stage 06 found, counted: which masks are believed, and how many lungs are deformed, by class (paper 002)."""

import pandas as pd

from cxr.images.lungs import UNDER_SEGMENTED
from cxr.labels import STUDY_CLASSES


def masks_by_class(lungs: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """A row a study class and one for all: images, believed, under_segmented (believed ones that are deformed by the
    estimate), share of them.

    lungs: the lungs table with `deformed`; images: the images table with the class columns.
    """
    joined = lungs.merge(images[["image_id", *STUDY_CLASSES]], on="image_id", validate="one_to_one")
    groups = [(name, joined[joined[name] == 1]) for name in STUDY_CLASSES]
    rows = []
    for name, group in (*groups, ("all", joined)):
        believed = group[group["accepted"] == 1]
        deformed = int((believed["deformed"] > UNDER_SEGMENTED).sum())
        rows.append((name, len(group), len(believed), deformed, deformed / len(believed) if len(believed) else None))
    return pd.DataFrame(rows, columns=["class", "images", "believed", "under_segmented", "share"])
