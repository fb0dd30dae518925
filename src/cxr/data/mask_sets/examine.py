"""Pictures with masks, looked at one by one: what can be used, and what is told about the rest. For all layouts."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.data.mask_sets.jsrt_img import is_jsrt, read_jsrt
from cxr.data.mask_sets.parts import Parts, load_parts
from cxr.data.pictures import load_gray
from cxr.faults import DataFault
from cxr.images.lungs import is_inverted

ASPECT_TOLERANCE = 0.02  # of the ratio of width to height, between a picture and its mask
COLUMNS = ("image_id", "patient_id", "source", "path", "height", "width", "lungs", "heart", "right", "left")
MOST_LUNG = 0.75  # of the picture: even where it ends at the lungs they cover less
STRUCTURES = ("lungs", "heart", "right", "left")  # columns of COLUMNS
NO_PATIENTS = "says nothing of patients, so each picture counts as a patient of its own"


class Candidate(NamedTuple):
    """A picture and where its structures are annotated; `lungs` is both of them in one mask."""

    image_id: str
    patient_id: str
    source: str
    path: Path
    lungs: Parts = ()
    heart: Parts = ()
    right: Parts = ()
    left: Parts = ()


def load_picture(path: Path) -> np.ndarray:
    """A picture of a mask set as uint8 [H x W], bright = dense; JSRT's raw files too."""
    return read_jsrt(path) if is_jsrt(path) else load_gray(path)


def examine(
    home: Path, candidates: list[Candidate], remedy: str, told: dict[str, list[str]]
) -> tuple[pd.DataFrame, list[str]]:
    """Pairs that can be used, COLUMNS, in the given order, and findings: one line each.

    told: what the layout itself found, remark: names. Left out and told: what cannot be read, a mask that is empty,
    inverted or has another shape than its picture. Right and left are told apart by where they lie: the patient's right
    is left in the picture, whatever a folder is called; where that exchanges them it is told. Of pictures
    with one name the first counts. DataFault when not one pair remains.
    """
    rows, reasons = [], {remark: list(names) for remark, names in told.items()}
    candidates, again = _first_of_each_name(candidates)
    if again:
        reasons["left out, another picture has the same name"] = again
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = list(pool.map(_look_at, candidates))
    for candidate, (row, remark) in zip(candidates, looked, strict=True):
        if remark:
            reasons.setdefault(remark, []).append(candidate.image_id)
        if row:
            rows.append(row)
    findings = [f"{home}: {remark}: {_some(names)}" for remark, names in reasons.items() if names]
    if not rows:
        raise DataFault(f"{home}: of {len(candidates)} pictures with a mask not one can be used; {remedy}")
    return pd.DataFrame(rows, columns=list(COLUMNS)), findings


def _first_of_each_name(candidates: list[Candidate]) -> tuple[list[Candidate], list[str]]:
    """Candidates with unique image_id, and the image_id of those left out."""
    first = {}
    for candidate in candidates:
        first.setdefault(candidate.image_id, candidate)
    again = [each.image_id for each in candidates if first[each.image_id] is not each]
    return list(first.values()), again


def _look_at(candidate: Candidate) -> tuple[tuple | None, str]:
    """A row of the table if the pair can be used, and what is to be told about it."""
    try:
        shape = load_picture(candidate.path).shape
        masks = {name: _load(getattr(candidate, name), shape) for name in STRUCTURES if getattr(candidate, name)}
    except DataFault as fault:
        return None, f"left out, cannot be used ({str(fault).partition(': ')[2]})"
    remark, exchanged = _first_remark(shape, masks)
    if remark.startswith("left out"):
        return None, remark
    right, left = (candidate.left, candidate.right) if exchanged else (candidate.right, candidate.left)
    own = (candidate.image_id, candidate.patient_id, candidate.source, str(candidate.path), *shape)
    return (*own, candidate.lungs, candidate.heart, right, left), remark


def _load(parts: Parts, shape: tuple[int, int]) -> np.ndarray:
    """A mask at its own size; polygons have that of the picture which they are drawn on."""
    return load_parts(parts, shape if parts[0].name else None)


def _first_remark(shape: tuple[int, int], masks: dict[str, np.ndarray]) -> tuple[str, bool]:
    exchanged = False
    for name, mask in masks.items():
        lung = mask == 1
        if not lung.any():
            return f"left out, the mask is empty{'' if name == 'lungs' else f' ({name})'}", False
        if is_inverted(lung):
            return "left out, the mask covers most of the border, so it seems inverted", False
        if lung.mean() > MOST_LUNG:
            return f"left out, the mask covers more than {MOST_LUNG:.0%} of the picture, so it seems inverted", False
        if not _same_shape(shape, mask.shape):
            return "left out, the mask has another shape than its picture", False
    if "right" in masks and "left" in masks:
        if np.array_equal(masks["right"], masks["left"]):
            return "left out, right and left are the same mask", False
        exchanged = _middle(masks["right"]) > _middle(masks["left"])
    remarks = ["right and left lie the other way round than they are called and are exchanged"] if exchanged else []
    if any(mask.shape != shape for mask in masks.values()):
        remarks.append("the mask has another size than its picture and is resized")
    return "; ".join(remarks), exchanged


def _same_shape(shape: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(other[1] * shape[0] / (other[0] * shape[1]) - 1) <= ASPECT_TOLERANCE


def _middle(mask: np.ndarray) -> float:
    """Mean column of what is set, as a share of the width."""
    return float(np.flatnonzero((mask == 1).any(0)).mean() / mask.shape[1])


def _some(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def visible(folder: Path, *patterns: str) -> list[Path]:
    """Files of a folder by pattern, sorted, without hidden ones (`._x.png` of macOS archives)."""
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if not path.name.startswith("."))
