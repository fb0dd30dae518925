"""Sources that repeat the competition: named so in the table, so that stage 10 refuses what learned from them.

Their pictures may stand in folders that do not say so. Sources go into `training_sources` of a run, where the blend
looks for the words of `cxr.data.external.REPEATING`.
"""

import re
from pathlib import Path

import pandas as pd

from cxr.data.external import REPEATING

# how their files are called wherever they lie
NAMES = {
    "RICORD": re.compile(r"MIDRC-RICORD", re.I),
    "BIMCV": re.compile(r"sub-S\d+_ses-E\d+", re.I),
}


def mark_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """`Radiography` becomes `Radiography (BIMCV)` for pictures of BIMCV by their file names; known sources stay."""
    sources = [_marked(source, Path(path).name) for source, path in zip(table["source"], table["path"], strict=True)]
    return table.assign(source=sources)


def _marked(source: str, name: str) -> str:
    found = next((word for word, pattern in NAMES.items() if pattern.search(name)), None)
    return f"{source} ({found})" if found and found.lower() not in source.lower() else source


def is_repeating(source: str) -> bool:
    """Whether a source's name says that it repeats the competition."""
    return any(word in source.lower() for word in REPEATING)


def repeat_notes(table: pd.DataFrame) -> list[str]:
    """One line that warns of them."""
    repeating = table["source"][[is_repeating(source) for source in table["source"]]]
    if repeating.empty:
        return []
    return [
        f"{len(repeating)} picture(s) repeat the competition by their source ({', '.join(sorted(set(repeating)))}): "
        "what learns from them is refused by stage 10 and must not start, feed or blend into the competition's task"
    ]
