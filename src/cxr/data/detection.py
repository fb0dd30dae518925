"""What a torchvision detector trains on: rows of the uint8 cache with their boxes."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from cxr.boxes import area_xyxy, clip_xyxy, scale_xyxy
from cxr.data.augment import DETECTION_AUGMENTATIONS, find_augmentation
from cxr.images.resize import to_cache_size
from cxr.profiles import FasterRcnn
from cxr.tables import BOX_COLUMNS

OPACITY = 1  # 0 is background


class DetectionImages(Dataset):
    """Images with their boxes, for a detector that sees [size x size].

    images: image_id, height, width (original) of N images; boxes: box table of the truth; pixels: uint8 [N x S x S],
    same rows. Items: pixels uint8 [1 x size x size], boxes_xyxy float [M x 4] in pixels of size, labels int [M],
    image_id. An image without boxes has M = 0. Boxes thinner than a pixel at that size are left out.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        boxes: pd.DataFrame,
        pixels: np.ndarray,
        size: int,
        augment: Callable | None = None,
    ):
        self.ids = list(images["image_id"])
        self.shapes = images[["height", "width"]].to_numpy(float)
        self.boxes = {image_id: group[BOX_COLUMNS].to_numpy(float) for image_id, group in boxes.groupby("image_id")}
        self.pixels, self.size, self.augment = pixels, size, augment

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        image = to_cache_size(self.pixels[index], self.size)
        boxes = self.boxes.get(self.ids[index], np.empty((0, 4)))
        boxes_xyxy = clip_xyxy(scale_xyxy(boxes, self.shapes[index], (self.size, self.size)), self.size, self.size)
        boxes_xyxy = boxes_xyxy[area_xyxy(boxes_xyxy) > 0]
        if self.augment is not None:
            moved = self.augment(image=image, bboxes=boxes_xyxy)
            image, boxes_xyxy = moved["image"], np.asarray(moved["bboxes"], float).reshape(-1, 4)
        thick = ((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) >= 1).all(1)
        boxes_xyxy = torch.from_numpy(boxes_xyxy[thick]).float()
        return {
            "pixels": torch.from_numpy(image)[None],
            "boxes_xyxy": boxes_xyxy,
            "labels": torch.full((len(boxes_xyxy),), OPACITY),
            "image_id": self.ids[index],
        }


def collate(items: list[dict]) -> dict:
    """A batch: pixels stacked, what differs in length as lists."""
    batch = {name: [item[name] for item in items] for name in items[0]}
    return {**batch, "pixels": torch.stack(batch["pixels"])}


def detection_loader(
    images: pd.DataFrame,
    boxes: pd.DataFrame,
    pixels: np.ndarray,
    settings: FasterRcnn,
    training: bool,
) -> DataLoader:
    """Batches of DetectionImages: shuffled and augmented for training, in table order otherwise."""
    s = settings
    make = find_augmentation(s.augmentation, DETECTION_AUGMENTATIONS, "faster_rcnn.augmentation")
    dataset = DetectionImages(images, boxes, pixels, s.size, make(s.seed) if training else None)
    generator = torch.Generator().manual_seed(s.seed)
    batch = s.batch if training else s.validation_batch or s.batch
    # a last batch of one picture would break batch normalisation
    return DataLoader(
        dataset,
        batch,
        shuffle=training,
        generator=generator,
        collate_fn=collate,
        drop_last=training and len(dataset) > batch,
    )


def note_without_boxes(name: str, images: pd.DataFrame, boxes: pd.DataFrame) -> None:
    """Say that a detector learns from images without a single box, if it is so."""
    if not boxes["image_id"].isin(images["image_id"]).any():
        print(f"note: {name}: none of {len(images)} training images has a box, so it learns to find nothing")
