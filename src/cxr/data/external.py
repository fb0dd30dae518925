"""Pictures of other data sets that the competition has too: refused, since they would teach the answers of a fold.

Every training image is held out once, so a copy of any of them leaks into some validation; a copy of a test picture
leaks into the final score.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.duplicates import EXACT
from cxr.data.fingerprints import TEST, TRAIN, read_fingerprints
from cxr.data.near_duplicates import is_flat, near_copies, to_thumbnails
from cxr.faults import DataFault
from cxr.tables import read_csv, write_csv
from cxr.workspace import Workspace

MOST_REPEATED = 0.5  # of a collection's pictures: more, and it is the competition's own data under another name
REPEATING = ("bimcv", "ricord", "covidx")  # words in the names of data sets that hold pictures of the test set
COLUMNS = ("source", "image_id", "part", "other_id", "how", "hamming", "correlation")


def refuse_repeats(workspace: Workspace, source: str, images: pd.DataFrame, pixels: np.ndarray) -> np.ndarray:
    """Bool [N]: which pictures of another data set may be learned from; the others are listed and told about.

    images: image_id and perhaps pixel_hash; pixels: uint8 [N x S x S] of the same rows, S from 64 on: smaller ones have
    lost what tells copies from others. Rows of this source in `tables/refused.csv` are replaced. Raises DataFault where
    most of the set repeats the competition, and when stage 01 has not run.
    """
    repeats = find_repeats(workspace, images, pixels).assign(source=source)
    _list(repeats[list(COLUMNS)], source, workspace.places.refused_table)
    refused = images["image_id"].isin(repeats["image_id"]).to_numpy()
    counts = [repeats.loc[repeats["part"] == part, "image_id"].nunique() for part in (TRAIN, TEST)]
    words = f"{refused.sum()} of {len(images)} pictures repeat the competition ({counts[0]} train, {counts[1]} test)"
    if refused.sum() > MOST_REPEATED * len(images):
        raise DataFault(
            f"{source}: this collection repeats the competition: {words}, more than {MOST_REPEATED:.0%}; a net that "
            f"learned from it has seen the answers. Take it out of the input; {workspace.places.refused_table} lists "
            "the pairs"
        )
    if refused.any():
        print(f"note: {source}: {words} and are left out; {workspace.places.refused_table.name} lists them")
    return ~refused


def find_repeats(
    workspace: Workspace, images: pd.DataFrame, pixels: np.ndarray, parts: tuple[str, ...] = (TRAIN, TEST)
) -> pd.DataFrame:
    """Pairs of one of these pictures and one of the competition's parts: COLUMNS but for source."""
    known, thumbnails = read_fingerprints(workspace).of(parts), to_thumbnails(pixels)
    near = near_copies(thumbnails, known.thumbnails)
    ids, others = images["image_id"].to_numpy(), known.table["image_id"].to_numpy()
    parts = known.table["part"].to_numpy()
    rows = [
        (ids[pair.row], parts[pair.other], others[pair.other], pair.how, pair.hamming, pair.correlation)
        for pair in near.itertuples()
    ]
    rows += _exact(images[~is_flat(thumbnails)], known.table[~is_flat(known.thumbnails)])
    table = pd.DataFrame(rows, columns=list(COLUMNS[1:]))
    # an exact copy is a near one as well: the hash says more
    return table.drop_duplicates(["image_id", "part", "other_id"], keep="last").sort_values(
        ["image_id", "part", "other_id"], ignore_index=True
    )


def copies_in_test(workspace: Workspace, images: pd.DataFrame, pixels: np.ndarray) -> list[str]:
    """One line where training pictures stand in the test set as well: nothing can be done, but a score is kinder."""
    found = find_repeats(workspace, images, pixels, (TEST,))
    if found.empty:
        return []
    first = found.iloc[0]
    return [
        f"{found['image_id'].nunique()} training picture(s) stand in the test set as well (the first: "
        f"{first['image_id']} = {first['other_id']}): a test score knows them already"
    ]


def _exact(images: pd.DataFrame, known: pd.DataFrame) -> list[tuple]:
    if "pixel_hash" not in images.columns:
        return []
    known = known.rename(columns={"image_id": "other_id"})
    both = images[["image_id", "pixel_hash"]].merge(known[known["pixel_hash"] != ""], on="pixel_hash")
    return [(row.image_id, row.part, row.other_id, EXACT, 0, 1.0) for row in both.itertuples()]


def _list(repeats: pd.DataFrame, source: str, path: Path) -> None:
    tables = [repeats]
    if path.is_file():
        older = read_csv(path, list(COLUMNS))
        tables.insert(0, older[older["source"] != source])
    filled = [table for table in tables if len(table)]
    write_csv(pd.concat(filled, ignore_index=True) if filled else repeats, path)
