"""Train, validation and test by patient, each label shared out as evenly as whole patients allow."""

import hashlib

import numpy as np
import pandas as pd

from cxr.data.collections.contract import PARTS


def split_patients(table: pd.DataFrame, shares: tuple[float, float, float], seed: int) -> pd.Series:
    """train, validation or test for every row of `table` (label, group), whole groups of patients.

    shares: of the pictures, they sum to 1; a part with the share 0 stays empty. The group with most pictures comes
    first, equal ones in an order drawn by a hash of seed and name; each goes where its labels are most short of their
    shares. Labels too rare for every part count as one. The result follows from the rows and the seed, not from the
    order of the rows.
    """
    counts = pd.crosstab(table["group"], _pooled(table["label"], shares))  # [groups x labels]
    sizes, wanted = counts.to_numpy(), counts.to_numpy().sum(axis=0)
    drawn = [hashlib.sha256(f"{seed}.{group}".encode()).hexdigest() for group in counts.index]
    order = sorted(range(len(counts)), key=lambda row: (-sizes[row].sum(), drawn[row]))
    held, open_parts = np.zeros((len(PARTS), len(wanted))), np.asarray(shares) > 0
    parts = {}
    for row in order:
        short = np.outer(shares, wanted) - held
        # a share of the label: a picture of a rare one weighs more
        need = np.where(open_parts, (short / wanted) @ sizes[row], -np.inf)
        best = int(np.argmax(need.round(12)))  # rounded, so that ties fall alike on every machine
        held[best] += sizes[row]
        parts[counts.index[row]] = PARTS[best]
    return table["group"].map(parts)


def _pooled(labels: pd.Series, shares: tuple[float, float, float]) -> pd.Series:
    """Labels that cannot be in all parts become one: each alone would go to the largest part, and make it too large."""
    rare = labels.map(labels.value_counts()) < 1 / min(share for share in shares if share > 0)
    return labels.mask(rare, "rare")


def split_notes(table: pd.DataFrame, shares: tuple[float, float, float]) -> list[str]:
    """Labels that a part lacks: no score of theirs exists there."""
    counts = pd.crosstab(table["split"], table["label"]).reindex(PARTS, fill_value=0)
    return [
        f"{part} has no picture of {', '.join(counts.columns[counts.loc[part] == 0])}"
        for part, share in zip(PARTS, shares, strict=True)
        if share > 0 and (counts.loc[part] == 0).any()
    ]
