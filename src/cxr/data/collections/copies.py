"""One picture under several names, in one source or across them: found by its pixels, and only the first one stays."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.data.collections.rules import Verdict
from cxr.data.duplicates import as_pairs, find_duplicates, group_images, same_picture_groups
from cxr.data.fingerprints import flat_notes, without_flat
from cxr.data.near_duplicates import SIDE
from cxr.data.pictures import cache_pictures, convert_picture
from cxr.images.jobs import Done, Job, convert_one


class Looked(NamedTuple):
    """What became of looking at the pictures themselves."""

    unreadable: Verdict
    copies: Verdict
    groups: pd.Series  # of each row: patients that share a picture are one
    originals: dict[str, str]  # of each copy: the image that stays
    notes: list[str]


def convert_any(job: Job) -> Done:
    """DICOM by its reader, all else as a picture."""
    return convert_one(job) if job.file.suffix.lower() == ".dcm" else convert_picture(job)


def look_at_pictures(table: pd.DataFrame, cache_file: Path, workers: int = 1) -> Looked:
    """Decode every picture to a thumbnail and find copies: equal pixels, or near ones that are confirmed.

    Thumbnails stay in `cache_file` for the next time. Verdicts have a row for every row of `table`; of copies the row
    that stands first stays.
    """
    files = [Path(path) for path in table["path"]]
    read, failures = cache_pictures(files, list(table["image_id"]), SIDE, cache_file, workers, convert_any)
    unreadable = ~table["image_id"].isin(read["image_id"]).to_numpy()
    reasons = failures["reason"].unique()
    words = f" (the first: {failures['reason'].iloc[0]})" if len(reasons) else ""
    pairs, notes = _pairs(table, read, cache_file) if len(read) else ([], [])
    groups = same_picture_groups(table, pairs)
    position = pd.Series(range(len(table)), index=table["image_id"])
    ordered = [sorted(group, key=position.get) for group in groups]
    originals = {copy: first for first, *others in ordered for copy in others}
    return Looked(
        Verdict("unreadable", unreadable, f"files that can be read: drops {unreadable.sum()}{words}"),
        Verdict("copy", table["image_id"].isin(originals).to_numpy(), _copy_line(groups, table)),
        group_images(table.assign(study_id=table["patient_id"]), pairs),
        originals,
        notes + _contradictions(groups, table.set_index("image_id")["label"]),
    )


def _pairs(table: pd.DataFrame, read: pd.DataFrame, cache_file: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of ids of one picture, and notes."""
    thumbnails = np.load(cache_file, mmap_mode="r")
    images = read[["image_id", "pixel_hash"]].merge(table[["image_id", "patient_id"]], on="image_id")
    comparable = without_flat(images, thumbnails)
    return as_pairs(find_duplicates(comparable, thumbnails)), flat_notes(images, comparable)


def _copy_line(groups: list[list[str]], table: pd.DataFrame) -> str:
    source_of = table.set_index("image_id")["source"]
    across = sum(source_of[group].nunique() > 1 for group in groups)
    return (
        f"one picture once: drops {sum(map(len, groups)) - len(groups)} copies of {len(groups)} picture(s), of which "
        f"{across} stand in several sources; the first in the order of the sources stays"
    )


def _contradictions(groups: list[list[str]], label_of: pd.Series) -> list[str]:
    count = sum(label_of[group].nunique() > 1 for group in groups)
    return [f"{count} picture(s) have copies with another label; the label of the first one stands"] if count else []
