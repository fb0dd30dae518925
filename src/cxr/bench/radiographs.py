"""Test files of real size: a smooth picture with the noise of a detector, 12 bits, MONOCHROME1."""

from itertools import product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from cxr.phantom.dicoms import write_dicom
from cxr.phantom.quirks import draw_quirks

SIZES = ((2544, 3056), (4280, 3520))  # px, height and width: a common and a large one of the real set
SYNTAXES = {"plain": "Explicit VR Little Endian", "JPEG Lossless": "JPEG Lossless SV1"}
VOI = {"no VOI": "none", "window": "window"}
NOISE = 0.004  # standard deviation as a share of the range: one grey level of 256, sixteen of 4096


class Radiograph(NamedTuple):
    """One test file."""

    name: str
    path: Path
    window: bool


def write_radiographs(folder: Path, sizes: tuple = SIZES) -> list[Radiograph]:
    """A file for each size, transfer syntax, and with a window or without."""
    files = []
    for height, width in sizes:
        picture = draw(height, width)
        for (syntax_name, syntax), (voi_name, voi) in product(SYNTAXES.items(), VOI.items()):
            name = f"{height}x{width} {syntax_name}, {voi_name}"
            path = folder / f"{name.replace(', ', '_').replace(' ', '_')}.dcm"
            write_radiograph(path, picture, syntax, voi)
            files.append(Radiograph(name, path, voi == "window"))
    return files


def draw(height: int, width: int, seed: int = 0) -> np.ndarray:
    """float32 [height x width] in 0..1."""
    rng = np.random.default_rng(seed)
    coarse = cv2.GaussianBlur(rng.random((40, 48), np.float32), (0, 0), 2)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = cv2.normalize(smooth, None, 0.05, 0.95, cv2.NORM_MINMAX)
    return np.clip(picture + rng.normal(0, NOISE, picture.shape).astype(np.float32), 0, 1)


def write_radiograph(path: Path, picture: np.ndarray, syntax: str, voi: str = "none") -> None:
    """One DICOM file; syntax and voi as the phantom's quirks name them."""
    quirks = draw_quirks(np.random.default_rng(0), 1).iloc[0].to_dict() | {
        "photometric": "MONOCHROME1",
        "bits_stored": 12,
        "transfer_syntax": syntax,
        "voi": voi,
        "rescale": "absent",
    }
    tags = {"SOPInstanceUID": "1", "StudyInstanceUID": "2", "SeriesInstanceUID": "3"}
    write_dicom(path, picture, quirks, tags)
