"""Lung masks of pictures: the trained U-Net, a clean-up, and a table that says where the lungs are and if to trust it.

Masks are bool at cache size; boxes in the table are pixels of the original image. A mask that is rejected stays in the
table, with the reason: who crops to lungs decides what to do with such a picture.
"""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr.boxes import scale_xyxy
from cxr.data.masks import mask_file, write_mask
from cxr.faults import DataFault
from cxr.images.lungs import STRUCTURES, clean_mask, deformed_share, lung_box_xyxy, rejection
from cxr.images.regions import find_parts
from cxr.models.precision import best_device
from cxr.models.segmenters import build_segmenter, lung_probabilities
from cxr.profiles import Lungs
from cxr.tables import IMAGES, LUNGS, check_table, read_table, write_table
from cxr.training.runs import load_weights
from cxr.workspace import Workspace

THRESHOLD = 0.5
CHUNK = 128  # pictures whose masks are in memory at a time


class LungSegmenter:
    """The trained segmenter of a run folder."""

    def __init__(self, folder: Path):
        settings = json.loads((folder / "config.json").read_text())["settings"]
        self.size = settings["size"]
        device = best_device()
        classes = len(STRUCTURES) if settings["structures"] else 1
        network = build_segmenter(settings["network"], settings["width"], settings["depth"], classes)
        self.network = load_weights(network, folder, "config.json").to(device).eval()

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Pictures uint8 [N x S x S] to masks bool of the same shape: at most two parts each, without holes."""
        side = pixels.shape[-1]
        masks = [clean_mask(_enlarge(found, side)) for found in lung_probabilities(self.network, pixels, self.size)]
        return np.stack(masks) if masks else np.empty((0, side, side), bool)


def _enlarge(probabilities: np.ndarray, side: int) -> np.ndarray:
    """Probabilities to a mask of side x side; they are resized before the threshold, which keeps outlines smooth."""
    return cv2.resize(probabilities, (side, side), interpolation=cv2.INTER_LINEAR) > THRESHOLD


def lung_table(images: pd.DataFrame, masks: np.ndarray, settings: Lungs) -> pd.DataFrame:
    """One row an image: image_id, area (share of the picture), box of the lungs in *original* pixels, parts (connected
    parts of the mask), accepted (1 or 0), reason (empty where accepted), deformed (an estimate, `deformed_share`; empty
    without any lung).

    images: image_id, height, width; masks: bool [N x S x S] of the same rows. Without any lung the box is the whole
    picture, so that cropping to it loses nothing.
    """
    rows = []
    for image, mask in zip(images.itertuples(), masks, strict=True):
        box_xyxy = scale_xyxy(lung_box_xyxy(mask)[None], mask.shape, (image.height, image.width))[0]
        area = float(mask.mean())
        reason = rejection(area, settings.min_area, settings.max_area)
        judged = round(area, 5), int(not reason), reason, round(deformed_share(mask), 3)
        rows.append((image.image_id, *box_xyxy.round(2), len(find_parts(mask).areas), *judged))
    table = pd.DataFrame(rows, columns=[*LUNGS.columns, "reason", "deformed"])
    return check_table(table, LUNGS, "lung segmenter")


def segment_training(workspace: Workspace, record: dict | None) -> pd.DataFrame | None:
    """Masks of all training images as PNGs of one bit, and their table; returns the table.

    record: what `train_lungs` returned; with None there is no segmenter, nothing is written, and None comes back.
    """
    if record is None:
        return None
    places, settings = workspace.places, workspace.profile.lungs
    images, pixels = load_images(workspace)
    segmenter, tables = LungSegmenter(places.lungs_model), []
    shutil.rmtree(places.lungs, ignore_errors=True)  # masks of images that are no longer in the table
    for start in tqdm(range(0, len(images), CHUNK), desc="lung masks", unit=f"{CHUNK} images"):
        rows = slice(start, start + CHUNK)
        masks = segmenter.predict(pixels[rows])
        for image_id, mask in zip(images["image_id"].iloc[rows], masks, strict=True):
            write_mask(mask_file(places.lungs, image_id), mask)
        tables.append(lung_table(images.iloc[rows], masks, settings))
    table = pd.concat(tables, ignore_index=True)
    write_table(table, places.lungs_table, LUNGS)
    print(f"lungs of {int(table['accepted'].sum())} of {len(table)} images are believed")
    return table


def load_images(workspace: Workspace) -> tuple[pd.DataFrame, np.ndarray]:
    """Images table and memory-mapped cache of stage 01, all that this stage needs; folds come later."""
    table, cache = workspace.places.images_table, workspace.places.cache(workspace.profile.images.cache_size)
    if not (table.is_file() and cache.is_file()):
        raise DataFault(f"{table}: not there yet; run notebook 01_dicom_to_png first, or `make all`")
    images, pixels = read_table(table, IMAGES), np.load(cache, mmap_mode="r")
    if len(images) != len(pixels):
        raise DataFault(f"{table}: does not fit {cache.name}; run 01_dicom_to_png again")
    return images, pixels
