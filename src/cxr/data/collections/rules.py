"""What the papers demand of a picture, each as a filter that tells what it drops.

Frontal views only (000 to 003), adults only (000: age >= 18; 003 likewise), no picture of the paediatric set of Kermany
et al. 2018 (001 shows that normal children make a biased classifier), no copy of a picture before it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.data.collections.contract import UNKNOWN, words
from cxr.data.near_duplicates import near_copies
from cxr.data.pictures import convert_picture
from cxr.faults import DataFault
from cxr.images.jobs import Done, Job, convert_one
from cxr.images.pool import run_jobs, worker_count

ADULT = 18  # years (papers 000 and 003)
PAEDIATRIC = ("kermany", "chest-xray-pneumonia", "chestxray2017", "guangzhou", "pediatric", "paediatric")
THUMBNAIL = 64  # px
DICOM = (".dcm", ".dicom")

Rule = Callable[[pd.DataFrame], tuple[pd.Series, str]]  # to which rows are kept, and why the others are not


def frontal(table: pd.DataFrame) -> tuple[pd.Series, str]:
    """Keeps PA, AP, supine and unknown views."""
    unknown = int((table["view"] == UNKNOWN).sum())
    return table["view"] != "lateral", f"lateral views; {unknown} of unknown view are kept"


def adult(table: pd.DataFrame, unknown: str = "keep") -> tuple[pd.Series, str]:
    """Keeps ages from 18 on; `unknown` ages are kept or dropped."""
    lost = table["age"].isna()
    kept = (table["age"] >= ADULT) | (lost if unknown == "keep" else False)
    return (
        kept,
        f"younger than {ADULT}; {int(lost.sum())} of unknown age are {'kept' if unknown == 'keep' else 'dropped too'}",
    )


def no_paediatric_source(table: pd.DataFrame) -> tuple[pd.Series, str]:
    """Refuses the set of Kermany et al. 2018 by the names it goes by, in source and path."""
    told = (table["source"] + " " + table["path"]).str.lower()
    refused = told.map(lambda text: any(name in text for name in PAEDIATRIC))
    return ~refused, f"from a set of children, refused by name ({', '.join(PAEDIATRIC[:3])}, ...)"


def no_copies(table: pd.DataFrame) -> tuple[pd.Series, str]:
    """Keeps the first of pictures that are copies or nearly copies of each other, across all sources and within one.

    A picture that cannot be read is dropped here too, and named.
    """
    thumbnails, readable = thumbnails_of(table)
    pairs, dropped = near_copies(thumbnails), np.zeros(len(thumbnails), bool)
    for row, other in zip(pairs["row"], pairs["other"], strict=True):
        dropped[other] |= not dropped[row]
    kept = readable.copy()
    kept[np.flatnonzero(readable)[dropped]] = False
    lost = table["image_id"][~readable]
    unread = f", {words(lost)} of them cannot be read" if len(lost) else ""
    return pd.Series(kept, index=table.index), f"copies of a picture before them{unread}"


def thumbnails_of(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [M x 64 x 64] of the readable pictures, and which of the rows these are, bool [N]."""
    jobs = [Job(Path(row.path), row.image_id, thumbnail=THUMBNAIL) for row in table.itertuples()]
    done = tqdm(run_jobs(jobs, worker_count(0), read_any), "look for copies", len(jobs), unit="picture", delay=5)
    thumbnails = [one.thumbnail for one in done]
    readable = np.array([one is not None for one in thumbnails], bool)
    found = [one for one in thumbnails if one is not None]
    return np.stack(found) if found else np.empty((0, THUMBNAIL, THUMBNAIL), np.uint8), readable


def read_any(job: Job) -> Done:
    """A DICOM or a picture, by its ending, in a process that may die of it."""
    return (convert_one if job.file.suffix.lower() in DICOM else convert_picture)(job)


def apply(table: pd.DataFrame, rules: dict[str, Rule]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that pass all rules, and a row a rule in order: rule, before, dropped, words.

    Raises DataFault when nothing is left.
    """
    counts = []
    for name, rule in rules.items():
        kept, reason = rule(table)
        counts.append((name, len(table), int((~kept).sum()), reason))
        table = table[kept.to_numpy(bool)].reset_index(drop=True)
        if table.empty:
            raise DataFault(f"the rule {name} leaves no picture ({reason}); leave it out or add sources")
    return table, pd.DataFrame(counts, columns=["rule", "before", "dropped", "words"])
