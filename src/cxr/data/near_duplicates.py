"""Pictures that show the same exposure, though no pixel need be equal: candidates by hash, confirmed by correlation.

A perceptual hash alone melts radiographs into groups, since all chests look alike from far away; correlation alone
would need every pair. Together they find re-encoded, resized, brightened and noisy copies. A copy that was cut or
turned by a degree or two is first laid onto its original (`registered`).
"""

from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.faults import DataFault
from cxr.images.resize import to_cache_size

SIDE = 64  # px of the thumbnails that are compared
HAMMING = 10  # bits of 64 in which a candidate may differ; 8 misses one copy in fifty of gamma 1.5
CORRELATION = 0.97  # Pearson, above: 433 real pictures of different patients stay below .94
FLAT = 2.0  # gray levels of standard deviation: below, a picture shows nothing and is like any other
WORTH_LAYING = (8, 0.88)  # bits and correlation of what may be a cut or turned copy: one pair in 15 000, 2 ms each
MOST_MOVED = 3.0  # px of 64 at a corner: further, the bodies of two people can be laid onto each other
DETAIL, BLUR = 0.8, 2.0  # least correlation of what a Gaussian of BLUR px takes away, once a picture was moved
BLOCK = 64  # rows that are compared at a time
MOST_PAIRS = 20  # a picture, on average: more, and it is the pictures or their conversion that are at fault
COLUMNS = ("row", "other", "hamming", "correlation", "how")
BASIS = np.cos(np.pi / 32 * (np.arange(32) + 0.5) * np.arange(8)[:, None])  # DCT-II, the eight lowest frequencies
BASIS = np.repeat(BASIS, SIDE // 32, axis=1)  # of the means of 2 x 2 pixels


class Candidates(NamedTuple):
    """Pairs within one block: row of the first set, row of the second, bits that differ, correlation."""

    rows: np.ndarray
    others: np.ndarray
    hamming: np.ndarray
    correlation: np.ndarray


def to_thumbnails(pixels: np.ndarray) -> np.ndarray:
    """Thumbnails uint8 [N x 64 x 64] of cache pictures uint8 [N x S x S], INTER_AREA; memory-mapped ones stay there."""
    thumbnails = np.empty((len(pixels), SIDE, SIDE), np.uint8)
    for row, picture in enumerate(pixels):
        thumbnails[row] = to_cache_size(picture, SIDE)
    return thumbnails


def perceptual_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """pHash uint64 [N]: which of the 8 x 8 lowest DCT coefficients at 32 px lie above their median (Zauner 2010)."""
    low = np.empty((len(thumbnails), 64))
    for row, picture in enumerate(thumbnails):
        low[row] = (BASIS @ picture @ BASIS.T).ravel()
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)[:, 0]


def is_flat(thumbnails: np.ndarray) -> np.ndarray:
    """Bool [N]: pictures that are one gray, of which no correlation exists."""
    return np.array([picture.std() < FLAT for picture in thumbnails], bool)


def near_copies(thumbnails: np.ndarray, others: np.ndarray | None = None) -> pd.DataFrame:
    """Pairs of near copies within `thumbnails` uint8 [N x 64 x 64], or of them with `others` [M x 64 x 64].

    Columns row, other (row < other within one set), hamming (bits of 64), correlation (at 64 px, once laid onto each
    other; negative for a negative), how (`as it is` or `registered`). Flat pictures are in no pair. Raises DataFault
    where pictures by the hundred look alike.
    """
    alone = others is None
    others = thumbnails if alone else others
    hashes, other_hashes, units = perceptual_hashes(thumbnails), perceptual_hashes(others), _unit(others)
    usable, other_usable = ~is_flat(thumbnails), ~is_flat(others)
    found = []
    for start in tqdm(range(0, len(thumbnails), BLOCK), desc="look for copies", unit="block", delay=5, leave=False):
        block = slice(start, start + BLOCK)
        bits = np.bitwise_count(hashes[block, None] ^ other_hashes[None]).astype(int)
        wanted = (np.minimum(bits, 64 - bits) <= HAMMING) & usable[block, None] & other_usable[None]
        if alone:
            wanted &= np.arange(len(others)) > np.arange(start, start + len(bits))[:, None]
        pairs = _correlate(_unit(thumbnails[block]), units, bits, wanted)
        confirmed = _confirm(pairs, thumbnails[block], others)
        found += [(start + row, *rest) for row, *rest in confirmed]
        if len(found) > MOST_PAIRS * (len(thumbnails) + len(others)):
            raise DataFault(
                f"{len(found)} pairs look alike among the first {min(start + BLOCK, len(thumbnails))} of "
                f"{len(thumbnails)} pictures (correlation above {CORRELATION}), so these cannot be radiographs of "
                "different people; look at some pictures of the cache, correct the files or their conversion, and run "
                "01_dicom_to_png again"
            )
    return pd.DataFrame(found, columns=list(COLUMNS)).astype({"row": int, "other": int, "hamming": int})


def _unit(thumbnails: np.ndarray) -> np.ndarray:
    """Float32 [N x 4096] of mean 0 and length 1: a product of two rows is Pearson's correlation."""
    flat = thumbnails.reshape(len(thumbnails), SIDE * SIDE).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _correlate(units: np.ndarray, other_units: np.ndarray, bits: np.ndarray, wanted: np.ndarray) -> Candidates:
    """Correlations of the wanted pairs, by one product of matrices: so many alike cost no more than a few seconds."""
    columns = np.flatnonzero(wanted.any(axis=0))
    rows, places = np.nonzero(wanted[:, columns])
    correlation = (units @ other_units[columns].T)[rows, places]
    return Candidates(rows, columns[places], bits[rows, columns[places]], correlation)


def _confirm(pairs: Candidates, thumbnails: np.ndarray, others: np.ndarray) -> list[tuple]:
    """The pairs that are copies, as COLUMNS."""
    rows = []
    for row, other, hamming, correlation in zip(*pairs, strict=True):
        how = "as it is"
        if hamming <= WORTH_LAYING[0] and WORTH_LAYING[1] < correlation <= CORRELATION:
            correlation, how = registered(thumbnails[row], others[other]), "registered"
        if abs(correlation) > CORRELATION:
            rows.append((int(row), int(other), int(hamming), round(float(correlation), 4), how))
    return rows


def registered(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two thumbnails after an affine registration (ECC, Evangelidis and Psarakis 2008).

    0 where the second would have to be moved by more than MOST_MOVED pixels, or where the fine structure, ribs and
    vessels, does not fit: two bodies can be laid onto each other, their ribs cannot.
    """
    move = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 15, 1e-3)
    try:
        _, move = cv2.findTransformECC(one, other, move, cv2.MOTION_AFFINE, stop, None, 3)
    except cv2.error:  # does not converge: they do not fit
        return 0.0
    corners = np.array([[0, SIDE, 0, SIDE], [0, 0, SIDE, SIDE], [1, 1, 1, 1]], float)
    if np.abs(move @ corners - corners[:2]).max() > MOST_MOVED:
        return 0.0
    flags = cv2.INTER_LINEAR + cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(other, move, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    both = np.stack([one, laid]).astype(np.float32)
    fine = np.stack([picture - cv2.GaussianBlur(picture, (0, 0), BLUR) for picture in both])
    units, details = _unit(both), _unit(fine)
    return float(units[0] @ units[1]) if details[0] @ details[1] > DETAIL else 0.0
