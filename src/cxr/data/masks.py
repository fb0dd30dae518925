"""Lung masks: the Montgomery and Shenzhen set as Kaggle mounts it, read and checked, and masks of our own on disk.

The set holds `<a folder>/CXR_png/<stem>.png` and `<the same folder>/masks/`, where a mask is called `<stem>_mask.png`
(Shenzhen) or `<stem>.png` (Montgomery). Some pictures have no mask. Nothing says that two pictures show one patient,
so each picture counts as a patient of its own.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cxr.data.pictures import load_gray
from cxr.faults import DataFault
from cxr.images.resize import to_cache_size

SLUG = "chest-xray-masks-and-labels"
REMEDY = f"unpack {SLUG}.zip again, or take its folder out of the input to go on without"
SOURCES = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen"}  # by the beginning of a file name
ASPECT_TOLERANCE = 0.02  # of the ratio of width to height, between a picture and its mask
COLUMNS = ("image_id", "patient_id", "source", "path", "mask_path", "height", "width")


def read_lung_masks(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Pictures that have a mask, one a row in the order of their names, and findings: one line each.

    Columns image_id, patient_id, source (montgomery, shenzhen or other), path, mask_path, height, width (pixels of the
    picture). Left out and told: pictures without a mask, with one that is empty, cannot be read, or has another shape
    than its picture. DataFault when the folders are not there or not one pair remains.
    """
    home = _find_home(Path(folder))
    pictures = {path.stem: path for path in _visible(home / "CXR_png")}
    masks = {path.stem.removesuffix("_mask"): path for path in _visible(home / "masks")}
    both = sorted(set(pictures) & set(masks))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = list(pool.map(_look_at_pair, (pictures[stem] for stem in both), (masks[stem] for stem in both)))
    without, lonely = sorted(set(pictures) - set(masks)), sorted(set(masks) - set(pictures))
    rows, reasons = [], {"left out, no mask": without, "masks without a picture": lonely}
    for stem, (shape, remark) in zip(both, looked, strict=True):
        if remark:
            reasons.setdefault(remark, []).append(stem)
        if shape:
            places = (str(pictures[stem]), str(masks[stem]))
            rows.append((stem, f"lungs-{stem}", SOURCES.get(stem[:6], "other"), *places, *shape))
    findings = [f"{home}: {remark}: {_some(stems)}" for remark, stems in reasons.items() if stems]
    if not rows:
        raise DataFault(
            f"{home}: of {len(pictures)} pictures and {len(masks)} masks not one pair can be used; {REMEDY}"
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)), findings


def _find_home(folder: Path) -> Path:
    """The one folder in it with both CXR_png and masks; the first by name where an archive holds a copy."""
    homes = [path.parent for path in sorted(folder.glob("*/CXR_png")) if (path.parent / "masks").is_dir()]
    if not homes:
        raise DataFault(f"{folder}: no folder in it holds both CXR_png and masks; {REMEDY}")
    return homes[0]


def _visible(folder: Path) -> list[Path]:
    # sorted: where a picture has both names of a mask, `<stem>_mask.png` comes last and counts
    return [path for path in sorted(folder.glob("*.png")) if not path.name.startswith(".")]


def _look_at_pair(path: Path, mask_path: Path) -> tuple[tuple[int, int] | None, str]:
    """Height and width of the picture if the pair can be used, and what is to be told about it."""
    try:
        picture, mask = load_gray(path), load_mask(mask_path)
    except DataFault as fault:
        return None, f"left out, cannot be used ({str(fault).partition(': ')[2]})"
    if not mask.any():
        return None, "left out, the mask is empty"
    if mask.shape == picture.shape:
        return picture.shape, ""
    (height, width), (mask_height, mask_width) = picture.shape, mask.shape
    if abs(mask_width * height / (mask_height * width) - 1) > ASPECT_TOLERANCE:
        return None, "left out, the mask has another shape than its picture"
    return picture.shape, "the mask has another size than its picture and is resized"


def _some(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def load_mask(path: Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """A mask as bool [H x W]: what reaches half of its brightest value. `shape`: resized to it, NEAREST.

    Raises DataFault when the file cannot be read.
    """
    gray = load_gray(path)
    if shape is not None and gray.shape != tuple(shape):
        gray = cv2.resize(gray, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return gray >= max(1, gray.max() / 2)


def load_pairs(pairs: pd.DataFrame, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 and masks uint8 (0 or 1), both [N x size x size], sides stretched as in every cache."""

    def load(path: str, mask_path: str) -> tuple[np.ndarray, np.ndarray]:
        picture = load_gray(Path(path))
        mask = load_mask(Path(mask_path), picture.shape).astype(np.uint8) * 255
        return to_cache_size(picture, size), (to_cache_size(mask, size) > 127).astype(np.uint8)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        loaded = list(pool.map(load, pairs["path"], pairs["mask_path"]))
    return np.stack([picture for picture, _ in loaded]), np.stack([mask for _, mask in loaded])


def mask_file(folder: Path, image_id: str) -> Path:
    """Where the mask of an image lies."""
    return folder / f"{image_id}.png"


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a bool mask [H x W] as a PNG of one bit a pixel, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        partial.write_bytes(cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])[1])
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_masks(folder: Path, image_ids: list[str]) -> np.ndarray:
    """Masks bool [N x S x S] of these images, as `segment_training` wrote them."""
    return np.stack(
        [cv2.imread(str(mask_file(folder, image_id)), cv2.IMREAD_GRAYSCALE) > 127 for image_id in image_ids]
    )
