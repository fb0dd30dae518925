"""Every adapter by the name that the command line knows it by."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cxr.data.collections.chexpert import read_chexpert
from cxr.data.collections.class_folders import read_class_folders
from cxr.data.collections.covidx import read_covidx
from cxr.data.collections.ieee8023 import read_ieee8023
from cxr.data.collections.nih import read_nih_collection
from cxr.data.collections.rsna import read_rsna_collection
from cxr.data.collections.rules import refuse_paediatric_folder
from cxr.faults import DataFault

ADAPTERS: dict[str, Callable[[Path], tuple[pd.DataFrame, list[str]]]] = {
    "ieee8023": read_ieee8023,
    "covidx": read_covidx,
    "nih": read_nih_collection,
    "rsna": read_rsna_collection,
    "chexpert": read_chexpert,
    "classes": read_class_folders,
}


class Place(NamedTuple):
    """A source on disk: which adapter reads which folder."""

    adapter: str
    folder: Path


def read_places(places: list[Place]) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the contract of all places, in their order, and findings.

    Raises DataFault as the adapters do, for a folder of the paediatric source, and where two places give one id.
    """
    tables, findings = [], []
    for place in places:
        refuse_paediatric_folder(place.folder)
        table, found = ADAPTERS[place.adapter](place.folder)
        tables.append(table)
        findings += found
    both = pd.concat(tables, ignore_index=True)
    twice = both["image_id"][both["image_id"].duplicated()]
    if len(twice):
        raise DataFault(
            f"{len(twice)} picture(s) of two sources have one id, the first is {twice.iloc[0]}; give the folders "
            "different names, and each of the other sources once"
        )
    return both, findings
