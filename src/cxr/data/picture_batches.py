"""Pictures of a task as batches: whatever a system sees of a picture, and a class each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cxr.data.lung_views import MASK, VIEWS, WHOLE, Lung, lung_of, see_lungs
from cxr.data.tasks import Pictures
from cxr.faults import DataFault
from cxr.profiles import Lungs

# pictures, number of one of them, and a seed for what is drawn: uint8 [S x S] or [S x S x channels]
See = Callable[[Pictures, int, int], np.ndarray]
SEEDS = 2**31 - 1


@dataclass(frozen=True)
class LungSight:
    """How a system sees lungs; `view` is one of `data.lung_views`. Where no mask is believed it sees all."""

    view: str = MASK
    margin: float = 0.0
    keep_heart: bool = False

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise DataFault(f"lungs={self.view}: not known; choose one of {', '.join(VIEWS)}")

    def lung(self, mask: np.ndarray | None) -> Lung | None:
        """Where the lungs are, grown as paper 000 does."""
        if mask is None or self.view == WHOLE:
            return None
        return lung_of(mask, Lungs(margin=self.margin, keep_heart=self.keep_heart))

    def of(self, pictures: Pictures, index: int) -> np.ndarray:
        """uint8 [h x w]: what is seen of a picture."""
        return see_lungs(pictures.picture(index), self.lung(pictures.mask(index)), self.view)


class SeenPictures(Dataset):
    """Items: pixels uint8 [C x S x S], target float [classes] (one hot), image_id.

    see: what is seen of a picture; augment: moves it, in training; times: how often an epoch has each picture, each
    time with another seed. Without `augment` nothing is drawn, and an item is always the same.
    """

    def __init__(self, pictures: Pictures, classes: int, see: See, augment: Callable | None = None, times: int = 1):
        self.pictures, self.see, self.augment, self.times = pictures, see, augment, times
        self.targets, self.ids = np.eye(classes, dtype=np.float32)[pictures.targets], pictures.ids

    def __len__(self) -> int:
        return len(self.pictures) * self.times

    def __getitem__(self, index: int) -> dict:
        number = index % len(self.pictures)
        # torch's numbers: a checkpoint keeps them
        seed = int(torch.randint(SEEDS, (1,))) if self.augment else number
        image = self.see(self.pictures, number, seed)
        if self.augment is not None:
            image = self.augment(image=image)["image"]
        return {
            "pixels": torch.from_numpy(channels_first(image)),
            "target": torch.from_numpy(self.targets[number]),
            "image_id": self.ids[number],
        }


def channels_first(image: np.ndarray) -> np.ndarray:
    """uint8 [H x W] or [H x W x C] to [C x H x W]."""
    return np.ascontiguousarray(image[None] if image.ndim == 2 else image.transpose(2, 0, 1))


def seen_pixels(pictures: Pictures, see: See) -> np.ndarray:
    """What is seen of all of some pictures, uint8 [N x C x S x S]; nothing is drawn."""
    return np.stack([channels_first(see(pictures, number, number)) for number in range(len(pictures))])


def picture_loader(
    pictures: Pictures, classes: int, see: See, batch: int, seed: int, augment: Callable | None = None, times: int = 1
) -> DataLoader:
    """Batches of SeenPictures: shuffled with an augmentation, in order without."""
    dataset, training = SeenPictures(pictures, classes, see, augment, times), augment is not None
    # a last batch of one picture would break batch normalisation
    drop_last = training and len(dataset) % batch == 1 and len(dataset) > batch
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(dataset, batch, shuffle=training, generator=generator, drop_last=drop_last)
