"""Pictures with several findings each, for pretraining on NIH ChestX-ray14: rows of a uint8 cache, gray to the end."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from cxr.data.augment import paper_004_backbone
from cxr.images.centre import centre_window, see_centre
from cxr.profiles import Nih


class MultiLabelImages(Dataset):
    """Images with one target a column.

    images: has image_id, height, width (original) and `columns` (1, 0, NaN for unknown); pixels: uint8 [M x S x S];
    rows: the row of `pixels` for each image, so that a part of a large memory-mapped cache is not copied; without, row
    i is image i; resize: see `centre_window`.
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
        resize: int = 0,
    ):
        self.rows = np.arange(len(pixels)) if rows is None else np.asarray(rows)
        if len(self.rows) != len(images):
            raise ValueError(f"{len(images)} images, but {len(self.rows)} rows of pixels; give each image its row")
        self.ids = list(images["image_id"])
        self.targets = torch.from_numpy(images[list(columns)].to_numpy(np.float32))
        self.shapes = images[["height", "width"]].to_numpy(float)
        self.pixels, self.size, self.augment, self.resize = pixels, size, augment, resize

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        window = centre_window(*self.shapes[index], self.size, self.resize)
        image = see_centre(self.pixels[self.rows[index]], window, self.size)
        if self.augment is not None:
            image = self.augment(image=image)["image"]
        return {"pixels": torch.from_numpy(image)[None], "target": self.targets[index], "image_id": self.ids[index]}


def multilabel_loader(
    images: pd.DataFrame,
    pixels: np.ndarray,
    columns: Sequence[str],
    settings: Nih,
    training: bool,
    rows: Sequence[int] | None = None,
) -> DataLoader:
    """Batches of MultiLabelImages: shuffled and augmented as paper 004 does for training, in table order otherwise.

    No worker processes: a sample costs less than the network's step, and the order of random numbers stays the seed's.
    """
    s = settings
    augment = paper_004_backbone(s.seed) if training else None
    dataset = MultiLabelImages(images, pixels, columns, s.size, augment, rows, s.resize)
    generator = torch.Generator().manual_seed(s.seed)
    # a last batch of one picture would break batch normalisation
    return DataLoader(
        dataset, s.batch, shuffle=training, generator=generator, drop_last=training and len(dataset) > s.batch
    )
