"""Reading an augmented training sample: a 1024 px PNG as most notebooks do, and our rows of the cache."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pandas as pd

from cxr.bench.radiographs import draw
from cxr.bench.timing import alternating_ms, print_pair
from cxr.data.augment import detection_augmentation, study_augmentation
from cxr.data.datasets import StudyImages
from cxr.data.detection import DetectionImages
from cxr.images.resize import to_cache_size
from cxr.labels import STUDY_CLASSES

USUAL, SIZE = 1024, 512  # px: of the PNG; of the sample, and of our cache
BOXES = [[700, 600, 1300, 1500], [1700, 700, 2400, 1600]]  # px of the original
ORIGINAL = (2544, 3056)
EPOCH = 100  # samples of one measurement: what augmentation draws decides what a single one costs


def main(repeats: int) -> None:
    """Print a line a kind of sample."""
    print(f"\naugmented sample of {SIZE} px, one core, ms: {USUAL} px PNG, BGR, augment, resize; ours; ratio")
    with tempfile.TemporaryDirectory() as folder:
        picture = (draw(*ORIGINAL) * 255).astype(np.uint8)
        png, cache_file = Path(folder, "x.png"), Path(folder, "cache.npy")
        cv2.imwrite(str(png), to_cache_size(picture, USUAL))
        np.save(cache_file, np.stack([to_cache_size(picture, SIZE)] * 8))
        cache = np.load(cache_file, mmap_mode="r")
        for name, usual, ours in (study_sample(png, cache), detection_sample(png, cache)):
            epochs = [lambda piece=piece: [piece() for _ in range(EPOCH)] for piece in (usual, ours)]
            print_pair(name, *(ms / EPOCH for ms in alternating_ms(epochs, repeats)))


def tables(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An images table and the true boxes of `count` equal images."""
    ids = [str(i) for i in range(count)]
    images = pd.DataFrame({"image_id": ids, "height": ORIGINAL[0], "width": ORIGINAL[1]})
    images[list(STUDY_CLASSES)] = [0, 1, 0, 0]
    rows = [[image_id, "opacity", 1.0, *box] for image_id in ids for box in BOXES]
    return images, pd.DataFrame(rows, columns=["image_id", "label", "score", "x_min", "y_min", "x_max", "y_max"])


def study_sample(png: Path, cache: np.ndarray) -> tuple[str, Callable, Callable]:
    """(name, usual, ours): the same augmentation, without our box mask in the usual one."""
    augment = A.Compose([*study_augmentation(0).transforms, A.Resize(SIZE, SIZE)], seed=0)
    images, boxes = tables(len(cache))
    dataset = StudyImages(images, boxes, cache, SIZE, 16, study_augmentation(0))
    return "study classifier", lambda: augment(image=cv2.imread(str(png)))["image"], lambda: dataset[3]


def detection_sample(png: Path, cache: np.ndarray) -> tuple[str, Callable, Callable]:
    """(name, usual, ours): the same augmentation, with boxes in both."""
    ours = detection_augmentation(0)
    boxes_params = A.BboxParams("pascal_voc", min_visibility=0.33, clip=True, filter_invalid_bboxes=True)
    augment = A.Compose([*ours.transforms, A.Resize(SIZE, SIZE)], bbox_params=boxes_params, seed=0)
    scale = np.array([USUAL / ORIGINAL[1], USUAL / ORIGINAL[0]] * 2)
    boxes_xyxy = np.array(BOXES) * scale
    images, boxes = tables(len(cache))
    dataset = DetectionImages(images, boxes, cache, SIZE, ours)
    return "detector", lambda: augment(image=cv2.imread(str(png)), bboxes=boxes_xyxy), lambda: dataset[3]
