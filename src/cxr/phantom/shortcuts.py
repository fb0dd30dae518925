"""A shortcut on purpose, for whoever wants to see whether an audit finds one: a word burnt in where one class is.

Hospitals plant them without intent: the wards that send one disease have a console with a habit of its own (Zech et
al., PLoS Medicine 15:e1002683, 2018, where a metal token told the hospital).
"""

import numpy as np
import pandas as pd

from cxr.phantom.markers import write_text
from cxr.phantom.seeds import generator, share_out

SHORTCUTS = ("marker",)
MARKED_CLASS, SHARE, ELSEWHERE = "typical", 0.9, 0.1  # of the pictures of the class, of all others
WORD, PLACE, SIZE = "ICU", (0.09, 0.06), 0.045  # shares of width and height, height of the letters


def plan_marker(plan: pd.DataFrame, seed: int) -> pd.Series:
    """Which rows of the SIIM plan carry the marker, bool; rows that show the same picture agree."""
    marked = pd.Series(False, index=plan.index)
    rng = generator(seed, "shortcut")
    pictures = plan.drop_duplicates("view_key")
    in_class = pictures["study_class"] == MARKED_CLASS
    for rows, share in ((pictures["view_key"][in_class], SHARE), (pictures["view_key"][~in_class], ELSEWHERE)):
        drawn = share_out(rng, len(rows), {True: share, False: 1 - share})
        marked |= plan["view_key"].isin(rows[np.array(drawn, bool)])
    return marked


def burn_marker(pixels: np.ndarray) -> np.ndarray:
    """The word in the upper left corner of a copy of a picture, float [H x W], 0..1; the same look on all of them."""
    marked = pixels.copy()
    write_text(marked, WORD, PLACE, SIZE, 0, generator(0, "marker"))
    return marked
