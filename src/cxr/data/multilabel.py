"""Pictures with several findings each, for pretraining on NIH ChestX-ray14: rows of a uint8 cache, gray to the end."""

from collections.abc import Callable, Sequence

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from cxr.images.resize import to_cache_size

MEAN_GRAY = 114  # of ImageNet; 0 once a picture is normalised, as torchvision's erasing has it


def multilabel_augmentation(seed: int) -> A.Compose:
    """As paper 004 trains its backbone: flip p .5, blur p .3, rotation up to 20 degrees, erasing 1 to 10 % p .3.

    For uint8 [S x S]. Kernel of the blur, fill and proportions of the erased rectangle are ours.
    """
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Blur(blur_limit=(3, 5), p=0.3),
            A.Rotate(limit=(-20, 20), border_mode=cv2.BORDER_CONSTANT, fill=0, p=1.0),
            A.Erasing(scale=(0.01, 0.1), ratio=(0.5, 2.0), fill=MEAN_GRAY, p=0.3),
        ],
        seed=seed,
    )


class MultiLabelImages(Dataset):
    """Images with one target a column.

    images: has image_id and `columns` (1, 0, NaN for unknown); pixels: uint8 [M x S x S]; rows: the row of `pixels` for
    each image, so that a part of a large memory-mapped cache is not copied; without, row i is image i.
    Items: pixels uint8 [1 x size x size], target float32 [C] (NaN stays NaN), image_id.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        pixels: np.ndarray,
        columns: Sequence[str],
        size: int,
        augment: Callable | None = None,
        rows: Sequence[int] | None = None,
    ):
        self.rows = np.arange(len(pixels)) if rows is None else np.asarray(rows)
        if len(self.rows) != len(images):
            raise ValueError(f"{len(images)} images, but {len(self.rows)} rows of pixels; give each image its row")
        self.ids = list(images["image_id"])
        self.targets = torch.from_numpy(images[list(columns)].to_numpy(np.float32))
        self.pixels, self.size, self.augment = pixels, size, augment

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        image = to_cache_size(self.pixels[self.rows[index]], self.size)
        if self.augment is not None:
            image = self.augment(image=image)["image"]
        return {"pixels": torch.from_numpy(image)[None], "target": self.targets[index], "image_id": self.ids[index]}


def multilabel_loader(
    images: pd.DataFrame,
    pixels: np.ndarray,
    columns: Sequence[str],
    size: int,
    batch: int,
    seed: int,
    training: bool,
    rows: Sequence[int] | None = None,
) -> DataLoader:
    """Batches of MultiLabelImages: shuffled and augmented for training, in table order otherwise.

    No worker processes: a sample costs less than the network's step, and the order of random numbers stays the seed's.
    """
    augment = multilabel_augmentation(seed) if training else None
    dataset = MultiLabelImages(images, pixels, columns, size, augment, rows)
    generator = torch.Generator().manual_seed(seed)
    # a last batch of one picture would break batch normalisation
    return DataLoader(
        dataset, batch, shuffle=training, generator=generator, drop_last=training and len(dataset) > batch
    )
