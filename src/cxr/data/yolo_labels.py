"""One fold as a folder that ultralytics trains on: images/{train,val}, labels/{train,val} and data.yaml.

Format: https://docs.ultralytics.com/datasets/detect/ - a text file an image, a line a box, `class cx cy w h` as shares
of width and height. An image with an empty label file is background.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.boxes import clip_xyxy, scale_xyxy
from cxr.faults import DataFault
from cxr.tables import BOX_COLUMNS

CLASS_NAMES = ("opacity",)
# Radiographs are noise: LZ77 finds nothing to repeat, it only takes time.
PNG_FLAGS = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY)


def yolo_lines(boxes_xyxy: np.ndarray, height: float, width: float, label: int = 0) -> str:
    """Label text for boxes_xyxy [N x 4] in original pixels; six decimals, clipped to the image, empty for no box."""
    shares = scale_xyxy(clip_xyxy(boxes_xyxy, height, width), (height, width), (1, 1))
    centres, sizes = (shares[:, :2] + shares[:, 2:]) / 2, shares[:, 2:] - shares[:, :2]
    rows = np.concatenate([centres, sizes], axis=1)[(sizes > 0).all(axis=1)]
    return "".join(f"{label} {' '.join(f'{value:.6f}' for value in row)}\n" for row in rows)


def write_yolo(
    folder: Path,
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    pixels: np.ndarray,
    train_ids: Sequence[str],
    val_ids: Sequence[str],
) -> Path:
    """Write the folder of one fold and return its data.yaml.

    `images` has image_id, height, width (original pixels) and one row for each row of `pixels`, uint8 [N x S x S].
    `boxes` is a BOXES table of true boxes; rows with another label than opacity are ignored. The folder is written
    beside its place and then renamed, so a half-written one is never seen; an older one is replaced. DataFault when
    something else lies there, ids are unknown, a part is empty, or an image is in both.
    """
    _check(images, pixels, {"train": train_ids, "val": val_ids})
    folder = Path(folder).absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / "data.yaml").is_file():
        raise DataFault(f"{folder}: holds something that is no YOLO data set; name another folder or empty this one")
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for part, ids in {"train": train_ids, "val": val_ids}.items():
            _write_part(partial, part, ids, images, boxes, pixels)
        names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASS_NAMES))
        yaml = f"path: {json.dumps(str(folder))}\ntrain: images/train\nval: images/val\nnames:\n{names}"
        (partial / "data.yaml").write_text(yaml)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / "data.yaml"


def _check(images: pd.DataFrame, pixels: np.ndarray, parts: dict[str, Sequence[str]]) -> None:
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or len(pixels) != len(images):
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 [{len(images)} x S x S]")
    for part, ids in parts.items():
        unknown = sorted(set(ids) - set(images["image_id"]))
        if unknown:
            raise DataFault(
                f"{part}: {len(unknown)} image(s) are not in the images table ({', '.join(unknown[:3])}); "
                "make folds and images table from one data set"
            )
        if not len(ids):
            raise DataFault(f"{part} has no image; a YOLO training needs both train and val, ask for fewer folds")
    both = sorted(set(parts["train"]) & set(parts["val"]))
    if both:
        raise DataFault(f"{len(both)} image(s) are in train and in val ({', '.join(both[:3])}); make the folds again")


def _write_part(
    root: Path, part: str, ids: Sequence[str], images: pd.DataFrame, boxes: pd.DataFrame, pixels: np.ndarray
) -> None:
    for kind in ("images", "labels"):
        (root / kind / part).mkdir(parents=True)
    row_of = {image_id: row for row, image_id in enumerate(images["image_id"])}
    found = dict(list(boxes[boxes["label"].isin(CLASS_NAMES)].groupby("image_id")[BOX_COLUMNS]))
    for image_id in tqdm(ids, desc=f"YOLO {part}", unit="image"):
        row = row_of[image_id]
        height, width = images["height"].iat[row], images["width"].iat[row]
        path = root / "images" / part / f"{image_id}.png"
        if not cv2.imwrite(str(path), pixels[row], PNG_FLAGS):
            raise DataFault(f"{path}: the picture could not be written; is the disk full?")
        corners = found[image_id].to_numpy() if image_id in found else np.empty((0, 4))
        (root / "labels" / part / f"{image_id}.txt").write_text(yolo_lines(corners, height, width))
