"""What should not matter about a radiograph, as numbers: its border, its size, how it is stored, its header.

Each clue is a matrix of features [N x F], rows of the images table. Numbers become a line and eight steps (indicators
of octiles), so that a linear model also finds what is common in the middle; words become indicators. The features of a
clue have one scale, so that cells without any letter do not weigh as much as those with some.
"""

from collections.abc import Callable, Collection

import cv2
import numpy as np
import pandas as pd

CELLS = 32  # the picture is looked at in 32 x 32 cells: a lead letter covers one to six
SIDE = 256  # px at which small bright things are sought
STROKE = 9  # px of SIDE: what is narrower than this and brighter than its surroundings may be a letter
FRAME = 4 / 32  # outer share of each side that counts as border where no lung masks are known
WIDE_FRAME = 6 / 32  # with masks the border may reach further in, where no lungs are
COVERED, RARELY = 0.1, 0.05  # a cell is taken when lungs cover over 10 % of it in under 5 % of the pictures
STEPS, COMMONEST = 8, 8
HEADER = ("modality", "body_part", "transfer_syntax", "has_window", "has_voi_lut", "has_rescale")
PRESENT = ("sex", "age")  # whether they stand there, not what they say: that may matter

Pixels = Collection[np.ndarray]  # N pictures uint8 [S x S]: an array, or what reads them one by one
WORDS = {
    "border": "the brightness of the outer frame without lungs",
    "border marks": "small bright things (letters, words, arrows) in the outer frame",
    "size": "height, width and their ratio in the file",
    "bit depth": "the number of bits stored",
    "photometric": "MONOCHROME1 or MONOCHROME2",
    "intensity": "mean and spread of all grey values, which disease moves a little too",
    "header": f"{', '.join(HEADER)}, and whether {' and '.join(PRESENT)} are there",
    "source": "the data set that an image comes from",
    "all": "all of these together",
}


def find_clues(
    images: pd.DataFrame, pixels: Pixels | None, lungs: np.ndarray | None
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Features by clue, and for each clue that cannot be looked at the reason, in words.

    images: N rows of the images table. pixels: their cache uint8 [N x S x S]. lungs: masks bool [M x S x S] of any of
    them, which tell where lungs lie in general; the mask of the single image would tell its disease.
    """
    makers: dict[str, Callable[[], np.ndarray]] = {
        "size": lambda: _size(images),
        "bit depth": lambda: _words(images["bits_stored"]),
        "photometric": lambda: _words(images["photometric"]),
        "header": lambda: _header(images),
    }
    if images["source"].nunique() > 1:
        makers["source"] = lambda: _words(images["source"])
    clues, reasons = {}, {}
    if pixels is None:
        reasons = dict.fromkeys(("border", "border marks", "intensity"), "the pictures' cache is not there")
    else:
        outside = border_cells(lungs)
        grey, marks, moments = look_at(pixels)
        clues = {"border": grey[:, outside], "border marks": marks[:, outside], "intensity": _numbers(moments)}
    for name, make in makers.items():
        try:
            clues[name] = make()
        except KeyError as column:
            reasons[name] = f"the images table has no column {column}"
    varying = {name: features[:, features.std(0) > 0] for name, features in clues.items()}
    reasons |= {name: "it is the same in all images" for name, features in varying.items() if not features.shape[1]}
    return {name: varying[name] for name in WORDS if name in varying and varying[name].shape[1]}, reasons


def border_cells(lungs: np.ndarray | None) -> np.ndarray:
    """Which cells, bool [CELLS x CELLS], are looked at: an outer frame, without cells where lungs may lie."""
    wide = lungs is not None and len(lungs) > 0
    edge = round(CELLS * (WIDE_FRAME if wide else FRAME))
    frame = np.ones((CELLS, CELLS), bool)
    frame[edge:-edge, edge:-edge] = False
    if not wide:
        return frame
    covered = [_cells(mask.astype(np.float32)) > COVERED for mask in lungs]
    return frame & (np.mean(covered, axis=0) < RARELY)


def look_at(pixels: Pixels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of pictures uint8 [N x S x S]: mean grey by cell and mean of small bright things by cell, float32
    [N x CELLS x CELLS], and mean and standard deviation [N x 2], all 0..255.

    Small bright things are the white top-hat: the picture minus its opening by a disc.
    """
    shape = (len(pixels), CELLS, CELLS)
    grey, marks, moments = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty((len(pixels), 2))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STROKE, STROKE))
    for row, picture in enumerate(pixels):
        moments[row] = [value.item() for value in cv2.meanStdDev(picture)]
        small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        grey[row] = _cells(small)
        marks[row] = _cells(cv2.morphologyEx(small, cv2.MORPH_TOPHAT, disc))
    return grey, marks, moments


def _cells(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)


def _size(images: pd.DataFrame) -> np.ndarray:
    height, width = (images[name].to_numpy(float) for name in ("height", "width"))
    return _numbers(np.stack([height, width, width / height, height * width], axis=1))


def _header(images: pd.DataFrame) -> np.ndarray:
    columns = [_words(images[name]) for name in HEADER] + [images[[name]].notna().to_numpy(float) for name in PRESENT]
    return np.hstack(columns)


def _numbers(values: np.ndarray) -> np.ndarray:
    """[N x V] to [N x V * (1 + STEPS)]: each number in standard deviations, and in which octile it lies."""
    deviation = values.std(0)
    blocks = [(values - values.mean(0)) / np.where(deviation > 0, deviation, 1)]
    for column in values.T:
        edges = np.quantile(column, np.arange(1, STEPS) / STEPS)
        blocks.append(np.eye(STEPS)[np.searchsorted(edges, column, side="right")])
    return np.hstack(blocks)


def _words(values: pd.Series) -> np.ndarray:
    """Indicators [N x at most COMMONEST] of the commonest values; an empty one is a value too."""
    text = values.astype(object).where(values.notna(), "").astype(str)
    counts = text.value_counts()
    commonest = sorted(counts.index, key=lambda value: (-counts[value], value))[:COMMONEST]
    return np.stack([(text == value).to_numpy(float) for value in commonest], axis=1)
