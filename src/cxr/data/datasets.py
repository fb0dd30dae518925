"""What trainings read: rows of the uint8 cache, gray until the network."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from cxr.boxes import scale_xyxy
from cxr.data.augment import study_augmentation
from cxr.images.resize import to_cache_size
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS


class StudyImages(Dataset):
    """Images with study class and box mask.

    images: rows of the images table (index 0..N-1) with the four class columns; boxes: box table of the truth;
    pixels: uint8 [N x S x S] for the same rows. Items: pixels uint8 [1 x size x size], target int, mask float
    [1 x size/stride x size/stride] (share of each cell that boxes cover), image_id.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        boxes: pd.DataFrame,
        pixels: np.ndarray,
        size: int,
        mask_stride: int,
        augment: Callable | None = None,
    ):
        self.ids = list(images["image_id"])
        self.targets = images[list(STUDY_CLASSES)].to_numpy(float).argmax(1)
        self.shapes = images[["height", "width"]].to_numpy(float)
        self.boxes = {image_id: group[BOX_COLUMNS].to_numpy(float) for image_id, group in boxes.groupby("image_id")}
        self.pixels, self.size, self.mask_size, self.augment = pixels, size, size // mask_stride, augment

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        image = to_cache_size(self.pixels[index], self.size)
        boxes_xyxy = scale_xyxy(
            self.boxes.get(self.ids[index], np.empty((0, 4))), self.shapes[index], (self.size, self.size)
        )
        mask = box_mask(boxes_xyxy, self.size)
        if self.augment is not None:
            moved = self.augment(image=image, mask=mask)
            image, mask = moved["image"], moved["mask"]
        cells = cv2.resize(mask, (self.mask_size, self.mask_size), interpolation=cv2.INTER_AREA)
        return {
            "pixels": torch.from_numpy(image)[None],
            "mask": torch.from_numpy(cells)[None],
            "target": int(self.targets[index]),
            "image_id": self.ids[index],
        }


def box_mask(boxes_xyxy: np.ndarray, size: int) -> np.ndarray:
    """float32 [size x size], 1 inside any box."""
    mask = np.zeros((size, size), np.float32)
    for x_min, y_min, x_max, y_max in np.rint(np.clip(boxes_xyxy, 0, size)).astype(int):
        mask[y_min:y_max, x_min:x_max] = 1
    return mask


def study_loader(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    pixels: np.ndarray,
    size: int,
    mask_stride: int,
    batch: int,
    seed: int,
    training: bool,
) -> DataLoader:
    """Batches of StudyImages: shuffled and augmented for training, in table order otherwise.

    No worker processes: a sample costs a fraction of a millisecond, and two cores have none to spare.
    """
    augment = study_augmentation(seed) if training else None
    dataset = StudyImages(images, boxes, pixels, size, mask_stride, augment)
    generator = torch.Generator().manual_seed(seed)
    # a last batch of one picture would break batch normalisation
    return DataLoader(
        dataset, batch, shuffle=training, generator=generator, drop_last=training and len(dataset) > batch
    )
