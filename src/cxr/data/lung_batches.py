"""Pictures with lung masks as batches for a segmenter."""

from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cxr.data.paper_augmentations import resunet_ensemble, unet_hrnet
from cxr.faults import DataFault


class LungImages(Dataset):
    """Pictures with lung masks, held in memory.

    pixels, masks: uint8 [N x S x S]. Items: pixels uint8 [1 x S x S], mask float [1 x S x S] with the values of its
    mask, image_id. `augment` moves picture and mask together.
    """

    def __init__(self, ids: list[str], pixels: np.ndarray, masks: np.ndarray, augment: Callable | None = None):
        self.ids, self.pixels, self.masks, self.augment = list(ids), pixels, masks, augment

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        image, mask = self.pixels[index], self.masks[index]
        if self.augment is not None:
            moved = self.augment(image=image, mask=mask)
            image, mask = moved["image"], moved["mask"]
        return {
            "pixels": torch.from_numpy(image)[None],
            "mask": torch.from_numpy(mask)[None].float(),
            "image_id": self.ids[index],
        }


def lung_augmentation(seed: int, sides: bool = False) -> A.Compose:
    """Flip, shift, zoom, turn, contrast, gamma. Image uint8 [S x S], mask uint8 [S x S]; the ranges are ours.

    sides: right and left are told apart, so that nothing may be flipped.
    More zoom and exposure than the classifiers get: the pictures to be segmented are framed and exposed more freely
    than the few that have masks. Still more of it lowers the Dice of both.
    """
    return A.Compose(
        [
            *([] if sides else [A.HorizontalFlip(p=0.5)]),
            A.Affine(
                scale=(0.8, 1.2),
                translate_percent=(-0.08, 0.08),
                rotate=(-10, 10),
                border_mode=cv2.BORDER_CONSTANT,
                p=0.8,
            ),
            A.RandomBrightnessContrast(brightness_limit=0.25, contrast_limit=0.35, p=0.7),
            A.RandomGamma(gamma_limit=(50, 200), p=0.7),
        ],
        seed=seed,
    )


def no_augmentation(seed: int, sides: bool = False) -> None:
    """Pictures as they are."""
    return None


AUGMENTATIONS: dict[str, Callable[[int, bool], A.Compose | None]] = {
    "ours": lung_augmentation,
    "none": no_augmentation,
    "unet_hrnet": unet_hrnet,
    "resunet_ensemble": resunet_ensemble,
}


def find_augmentation(name: str) -> Callable[[int, bool], A.Compose | None]:
    """One of AUGMENTATIONS; DataFault for another name."""
    if name not in AUGMENTATIONS:
        raise DataFault(f"lungs.augmentation={name}: not known; choose one of {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def lung_loader(
    ids: list[str],
    pixels: np.ndarray,
    masks: np.ndarray,
    batch: int,
    seed: int,
    training: bool,
    sides: bool = False,
    augmentation: str = "ours",
) -> DataLoader:
    """Batches of LungImages: shuffled and augmented for training, in the given order otherwise."""
    dataset = LungImages(ids, pixels, masks, find_augmentation(augmentation)(seed, sides) if training else None)
    generator = torch.Generator().manual_seed(seed)
    # a last batch of one picture would break batch normalisation
    return DataLoader(
        dataset, batch, shuffle=training, generator=generator, drop_last=training and len(dataset) > batch
    )
