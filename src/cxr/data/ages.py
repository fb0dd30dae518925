"""Ages as data sets write them: 58, 70.0, 058Y, 011M, 003D."""

import pandas as pd

OLDEST = 120  # years; the first release of NIH ChestX-ray14 has patients of 414
UNITS = {"Y": 1, "": 1, "M": 12, "W": 52, "D": 365}  # of them in a year


def whole_years(texts: pd.Series) -> pd.Series:
    """Completed years as float, NaN for what is no age or above OLDEST. Units as DICOM writes them (PS3.5, AS)."""
    parts = texts.astype(str).str.strip().str.extract(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>[YMWD]?)$")
    years = pd.to_numeric(parts["number"]) // parts["unit"].map(UNITS)
    return years.astype(float).mask(years > OLDEST)
