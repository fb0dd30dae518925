"""Parts of a data set drawn by a hash of the patients' ids: the same ones at every run, whatever else is there."""

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd


def hash_order(names: Iterable[str]) -> list[str]:
    """Different names in an order that looks random and never changes."""
    return sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def hold_out(patients: pd.Series, share: float) -> np.ndarray:
    """Bool [N]: rows of the held-out patients, about `share` of them and at least one."""
    order = hash_order(patients)
    return patients.isin(order[: max(1, round(share * len(order)))]).to_numpy()


def draw_patients(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """About `limit` rows, whole patients (column patient_id); all rows for a limit of 0."""
    if not limit or len(table) <= limit:
        return table.reset_index(drop=True)
    order = hash_order(table["patient_id"])
    kept = order[: max(1, round(limit * len(order) / len(table)))]
    return table[table["patient_id"].isin(kept)].reset_index(drop=True)
