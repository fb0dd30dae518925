"""Train, validation and test parts of a collection: whole patients, each label in proportion, the same for a seed."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxr.faults import DataFault

PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.1, 0.2)  # paper 002


def split(table: pd.DataFrame, shares: Sequence[float] = SHARES, seed: int = 0) -> pd.Series:
    """The part of each row. shares: of the patients, for PARTS; a patient counts for the rarest label it has.

    Raises DataFault for shares that are no three shares of a whole.
    """
    if len(shares) != len(PARTS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise DataFault(f"--split {' '.join(map(str, shares))}: three shares with the sum 1 are needed, like .7 .1 .2")
    frequency = table["label"].value_counts()
    rarest = table.assign(count=table["label"].map(frequency)).sort_values(["count", "label"], kind="stable")
    label_of = rarest.drop_duplicates("patient_id").set_index("patient_id")["label"]
    ends, part_of = np.cumsum(shares), {}
    for _, patients in label_of.groupby(label_of).groups.items():
        order = sorted(patients, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest())
        places = (np.arange(len(order)) + 0.5) / len(order)
        part_of.update(zip(order, np.searchsorted(ends[:-1], places, side="right"), strict=True))
    return table["patient_id"].map(part_of).map(dict(enumerate(PARTS)))
