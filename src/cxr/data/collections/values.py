"""Sexes, ages and views in the words of a dozen sources, brought to the contract's; what means nothing is unknown."""

import pandas as pd

from cxr.data.ages import whole_years
from cxr.data.collections.contract import NO_RADIOGRAPH
from cxr.data.nih import some

UNKNOWN_WORDS = ("", "nan", "none", "n/a", "na", "null", "unknown", "unk", "o", "other", "?", "-")
SEX_WORDS = {"m": "M", "male": "M", "f": "F", "female": "F"}
VIEW_WORDS = {
    "pa": "PA",
    "ap": "AP",
    "ap erect": "AP",
    "ap semi erect": "AP",
    "ap supine": "AP Supine",
    "supine": "AP Supine",
    "frontal": "Frontal",
    "l": "L",
    "ll": "L",
    "rl": "L",
    "lat": "L",
    "lateral": "L",
    "axial": NO_RADIOGRAPH,  # slices of CT in the collection of ieee8023
    "coronal": NO_RADIOGRAPH,
    "ct": NO_RADIOGRAPH,
}


def known_values(raw: pd.DataFrame, origin: object, findings: list[str]) -> pd.DataFrame:
    """age, sex and view of `raw` (text) by the contract; a value that means nothing to us becomes a finding."""
    ages = whole_years(raw["age"])
    _tell(raw["age"][ages.isna()], "ages", origin, findings)
    columns = {"age": ages}
    for name, words in {"sex": SEX_WORDS, "view": VIEW_WORDS}.items():
        plain = raw[name].str.lower().str.replace(r"[\s_-]+", " ", regex=True).str.strip()
        values = plain.map(words)
        _tell(raw[name][values.isna()], "sexes" if name == "sex" else "views", origin, findings)
        columns[name] = values.fillna("")
    return pd.DataFrame(columns)


def _tell(texts: pd.Series, what: str, origin: object, findings: list[str]) -> None:
    strange = texts[~texts.str.strip().str.lower().isin(UNKNOWN_WORDS)]
    if len(strange):
        words = some(repr(word) for word in strange.unique())
        findings.append(f"{origin}: {what} that mean nothing to us are unknown on {len(strange)} picture(s): {words}")
