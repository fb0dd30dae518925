"""What trainings of study classifiers read: rows of the uint8 cache, gray until the network."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from cxr.boxes import scale_xyxy
from cxr.data.augment import STUDY_AUGMENTATIONS, find_augmentation
from cxr.images.centre import boxes_in_window, centre_window, see_centre
from cxr.labels import STUDY_CLASSES
from cxr.profiles import Study
from cxr.tables import BOX_COLUMNS


class StudyImages(Dataset):
    """Images with study class and box mask.

    images: rows of the images table (index 0..N-1) with the four class columns, which may hold probabilities, and maybe
    `weight`; boxes: box table of the truth; pixels: uint8 [N x S x S] for the same rows; resize: see `centre_window`.
    Items: pixels uint8 [1 x size x size], target float [4] (one hot, or probabilities), mask float
    [1 x size/stride x size/stride] (share of each cell that boxes cover), empty float (1 without a box), weight float,
    image_id. Where `has_box` is unknown, `empty` and the mask are NaN.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        boxes: pd.DataFrame,
        pixels: np.ndarray,
        size: int,
        mask_stride: int,
        augment: Callable | None = None,
        resize: int = 0,
    ):
        self.ids = list(images["image_id"])
        self.targets = images[list(STUDY_CLASSES)].to_numpy(np.float32)
        self.weights = images["weight"].to_numpy(np.float32) if "weight" in images else np.ones(len(images), np.float32)
        self.known = images["has_box"].notna().to_numpy() if "has_box" in images else np.ones(len(images), bool)
        self.shapes = images[["height", "width"]].to_numpy(float)
        self.boxes = {image_id: group[BOX_COLUMNS].to_numpy(float) for image_id, group in boxes.groupby("image_id")}
        self.pixels, self.size, self.mask_size, self.augment = pixels, size, size // mask_stride, augment
        self.resize = resize

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        window = centre_window(*self.shapes[index], self.size, self.resize)
        image = see_centre(self.pixels[index], window, self.size)
        found = self.boxes.get(self.ids[index], np.empty((0, 4)))
        boxes_xyxy = boxes_in_window(scale_xyxy(found, self.shapes[index], (1, 1)), window, self.size)
        mask = box_mask(boxes_xyxy, self.size)
        if self.augment is not None:
            moved = self.augment(image=image, mask=mask)
            image, mask = moved["image"], moved["mask"]
        cells = cv2.resize(mask, (self.mask_size, self.mask_size), interpolation=cv2.INTER_AREA)
        known = self.known[index]
        return {
            "pixels": torch.from_numpy(image)[None],
            "mask": torch.from_numpy(cells)[None] if known else torch.full((1, *cells.shape), torch.nan),
            "target": torch.from_numpy(self.targets[index]),
            "empty": torch.tensor(float(len(found) == 0) if known else torch.nan),
            "weight": torch.tensor(self.weights[index]),
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
    settings: Study,
    mask_stride: int,
    training: bool,
) -> DataLoader:
    """Batches of StudyImages: shuffled and augmented for training, in table order otherwise.

    With `settings.oversample` an epoch draws as many images as there are, each class as often as the others.
    No worker processes: a sample costs a fraction of a millisecond, and two cores have none to spare.
    """
    s = settings
    augment = find_augmentation(s.augmentation, STUDY_AUGMENTATIONS, "study.augmentation")(s.seed) if training else None
    dataset = StudyImages(images, boxes, pixels, s.size, mask_stride, augment, s.resize)
    generator = torch.Generator().manual_seed(s.seed)
    evenly = training and s.oversample
    return DataLoader(
        dataset,
        s.batch,
        sampler=WeightedRandomSampler(even_weights(dataset.targets), len(dataset), generator=generator)
        if evenly
        else None,
        shuffle=training and not evenly,
        generator=generator,
        # a last batch of one picture would break batch normalisation
        drop_last=training and len(dataset) > s.batch,
    )


def even_weights(targets: np.ndarray) -> list[float]:
    """What an image must weigh so that every class that anybody has is drawn as often; targets [N x classes]."""
    classes = targets.argmax(1)
    counts = np.bincount(classes, minlength=targets.shape[1])
    return (1 / counts[classes]).tolist()
