"""Burned-in markers: bright, sharp spots that many images have at the same place.

Paper 004, section 2.3: "re-occurring burned-in markers at the same position". Letters that a technician lays on the
detector lie where there is room, a little elsewhere each time; what a console burns in lies in the same place, goes
with the machine and the hospital, and so perhaps with the class (DeGrave et al., 2021). Whether a place repeats is
therefore judged against its neighbourhood, not against the whole picture.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from scipy.stats import binom

from cxr.data.counts import study_class
from cxr.labels import STUDY_CLASSES

SIDE, CELLS = 320, 128  # pixels a picture is looked at with, and cells of the map, along each side
WHITE, ABOVE = 200, 60  # grey levels: near white, and as much above the median around it
AROUND = 23  # pixels: a stroke narrower than half of it stands out from its median
NEIGHBOURHOOD = 17  # cells, 13 % of the side: within it letters laid by hand are spread evenly
CHANCE = 1e-3  # of naming a place in a map where nothing repeats (Bonferroni over its cells)
APART = 10  # cells between two places that are named: a word is one place
MOST_PICTURES = 1000


class SpotMap(NamedTuple):
    """Where N images have spots."""

    spots: np.ndarray  # bool [N x CELLS x CELLS]
    rows: np.ndarray  # int [N], of the cache

    @property
    def share(self) -> np.ndarray:
        """Share of the images with a spot, float [CELLS x CELLS]."""
        return self.spots.mean(0) if len(self.spots) else np.zeros((CELLS, CELLS))


def spots_of(picture: np.ndarray) -> np.ndarray:
    """Cells that hold bright, sharp strokes: uint8 [S x S] to bool [CELLS x CELLS]."""
    if picture.shape != (SIDE, SIDE):
        shrinks = picture.shape[0] > SIDE
        picture = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    sharp = cv2.subtract(picture, cv2.medianBlur(picture, AROUND)) >= ABOVE
    found = ((picture >= WHITE) & sharp).astype(np.uint8) * 255
    # a stroke's width: letters that are off by a pixel still meet
    grown = cv2.dilate(found, np.ones((3, 3), np.uint8))
    return cv2.resize(grown, (CELLS, CELLS), interpolation=cv2.INTER_AREA) > 127


def spot_map(pixels: np.ndarray, rows: Iterable[int]) -> SpotMap:
    """Spots of these rows of a cache uint8 [N x S x S], at most MOST_PICTURES of them, evenly spaced."""
    rows = np.asarray(list(rows), int)
    if len(rows) > MOST_PICTURES:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_PICTURES).round().astype(int)]
    spots = [spots_of(np.asarray(pixels[row])) for row in rows]
    return SpotMap(np.array(spots, bool).reshape(-1, CELLS, CELLS), rows)


def one_a_patient(images: pd.DataFrame) -> np.ndarray:
    """Row numbers: each patient's first image, each picture once. Copies would make any place look repeated."""
    kept = ~images["patient_id"].duplicated()
    if "pixel_hash" in images:
        kept &= ~images["pixel_hash"].duplicated() | images["pixel_hash"].isna()
    return np.flatnonzero(kept)


def marker_maps(
    pixels: np.ndarray, images: pd.DataFrame, others: Mapping[str, np.ndarray] | None = None
) -> dict[str, SpotMap]:
    """Maps by class and source: `siim` (all images, one a patient), each study class, and each other data set.

    pixels: cache uint8 [N x S x S], row i for row i of `images`; others: uint8 [M x S x S] by source.
    """
    whole = spot_map(pixels, one_a_patient(images))
    kinds = study_class(images).to_numpy(object)[whole.rows]
    maps = {"siim": whole}
    for name in STUDY_CLASSES:
        maps[name] = SpotMap(whole.spots[kinds == name], whole.rows[kinds == name])
    return maps | {name: spot_map(found, range(len(found))) for name, found in (others or {}).items()}


def repeated_places(found: SpotMap) -> pd.DataFrame:
    """Places where more images have a spot than letters strewn over the neighbourhood would explain.

    Binomial test in each cell against the mean share around it, Bonferroni over the cells. Columns row, column (cells),
    images, of, share, around (share expected), chance (p of one cell); the surest first, APART cells from each other.
    """
    count, share = found.spots.sum(0), found.share.astype(np.float32)
    number = len(found.spots)
    if not number:
        return pd.DataFrame(columns=["row", "column", "images", "of", "share", "around", "chance"])
    around = cv2.blur(share, (NEIGHBOURHOOD, NEIGHBOURHOOD), borderType=cv2.BORDER_REFLECT)
    # one spot anywhere is no surprise: no neighbourhood is emptier than a spot of one image
    expected = np.maximum(around, 1 / number)
    chance = binom.sf(count - 1, number, expected)
    cells = np.argwhere(chance < CHANCE / chance.size)
    cells = cells[np.lexsort((-count[tuple(cells.T)], chance[tuple(cells.T)]))]
    kept: list[np.ndarray] = []
    for cell in cells:
        if all(np.abs(cell - other).max() > APART for other in kept):
            kept.append(cell)
    rows = [
        (r, c, int(count[r, c]), number, count[r, c] / number, float(expected[r, c]), float(chance[r, c]))
        for r, c in kept
    ]
    return pd.DataFrame(rows, columns=["row", "column", "images", "of", "share", "around", "chance"])


def marker_table(maps: Mapping[str, SpotMap], boxes_over: np.ndarray | None = None) -> pd.DataFrame:
    """Repeated places of every map, a row each; empty where nothing repeats.

    Columns source (`siim`, or another data set), seen_in (the map that told it), x and y (centre, share of width and
    height), images, of, share, around, a share for each study class (NaN for other sources), and over_lungs: share of
    the boxed images with a box over the place, from `boxes_over` [C x C] (`counts.coverage`); near 0 is
    outside the lungs.
    """
    rows, named = [], []
    for name, found in maps.items():
        source = "siim" if name == "siim" or name in STUDY_CLASSES else name
        for place in repeated_places(found).itertuples():
            cell = (place.row, place.column)
            if any(source == s and max(abs(cell[0] - r), abs(cell[1] - c)) <= APART for s, r, c in named):
                continue  # told by a map before
            named.append((source, *cell))
            x, y = (place.column + 0.5) / CELLS, (place.row + 0.5) / CELLS
            counted = (place.images, place.of, place.share, place.around)
            by_class = [
                maps[k].spots[:, *cell].mean() if source == "siim" and len(maps[k].spots) else np.nan
                for k in STUDY_CLASSES
            ]
            over = np.nan if boxes_over is None else boxes_over[int(y * len(boxes_over)), int(x * len(boxes_over))]
            rows.append((source, name, x, y, *counted, *by_class, over))
    columns = ["source", "seen_in", "x", "y", "images", "of", "share", "around", *STUDY_CLASSES, "over_lungs"]
    return pd.DataFrame(rows, columns=columns)
