"""What a model sees of a radiograph: all of it, the box around the lungs, or the lungs alone.

| view | the model sees | as in |
|---|---|---|
| whole | the whole picture | paper 004 |
| crop | the lungs' box and a margin, enlarged to the network's size | paper 001, and the winners' lung crop |
| mask | the whole picture, black outside of the grown lungs | papers 000, 002, 003 |
| crop+mask | both | |

A view cuts and covers pictures when they are read, so nothing is stored twice and nothing is resized twice. Boxes move
into the view for a training, and back into pixels of the original image after a prediction. Where the mask of a picture
is not believed (`accepted` of the lungs table) the model sees the whole picture, so that no finding is lost with it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.boxes import area_xyxy, clip_xyxy, scale_xyxy
from cxr.data.masks import mask_file, read_masks
from cxr.faults import DataFault
from cxr.images.lungs import grow_mask, keep_heart, lung_box_xyxy
from cxr.profiles import Lungs
from cxr.provenance import data_digest
from cxr.stamps import own_digests
from cxr.tables import BOX_COLUMNS, LUNGS, read_table
from cxr.workspace import Workspace

WHOLE, CROP, MASK, CROP_AND_MASK = VIEWS = ("whole", "crop", "mask", "crop+mask")
LEAST_OF_A_BOX = 0.33  # of its area, that must lie in the view: as augmentations keep boxes


class Lung(NamedTuple):
    """Where the lungs of one picture are. A grown mask takes an eighth of its pixels in bytes."""

    packed: np.ndarray  # uint8 [S x S / 8], `np.packbits` of the grown mask's rows
    box_xyxy: np.ndarray  # int [4], with its margin, in pixels of the mask
    side: int  # S

    @property
    def mask(self) -> np.ndarray:
        """bool [S x S]."""
        return np.unpackbits(self.packed, axis=1, count=self.side).astype(bool)


def lung_of(mask: np.ndarray, settings: Lungs) -> Lung:
    """From a bool mask [S x S] that is not empty, with the settings' margin, and with the heart if they keep it in."""
    box_xyxy = lung_box_xyxy(mask, settings.margin)
    outside_in = np.floor(box_xyxy[:2]), np.ceil(box_xyxy[2:])
    shown = grow_mask(keep_heart(mask) if settings.keep_heart else mask)
    return Lung(np.packbits(shown, axis=1), np.concatenate(outside_in).astype(int), len(mask))


class LungViews:
    """Pictures uint8 as a model sees them, of different shapes: length, rows and iteration like the array's.

    pixels: uint8 [N x S x S]; lungs: where they are, None where that is not known.
    """

    def __init__(self, pixels: np.ndarray, lungs: Sequence[Lung | None], view: str):
        self.pixels, self.lungs, self.view = pixels, list(lungs), view

    def __len__(self) -> int:
        return len(self.lungs)

    def __getitem__(self, index: int | slice | np.ndarray) -> "np.ndarray | LungViews":
        if isinstance(index, (int, np.integer)):
            return see_lungs(self.pixels[index], self.lungs[index], self.view)
        rows = np.arange(len(self))[index]
        return LungViews(self.pixels[rows], [self.lungs[row] for row in rows], self.view)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))


def see_lungs(picture: np.ndarray, lung: Lung | None, view: str) -> np.ndarray:
    """One picture uint8 [S x S] as it is seen: [h x w] of the view; the same picture where the lungs are not known."""
    if lung is None or view == WHOLE:
        return picture
    if view in (MASK, CROP_AND_MASK):
        picture = np.where(lung.mask, picture, np.uint8(0))
    if view in (CROP, CROP_AND_MASK):
        x_min, y_min, x_max, y_max = lung.box_xyxy
        picture = picture[y_min:y_max, x_min:x_max]
    return picture


class Seen(NamedTuple):
    """Images, true boxes and pixels as a model sees them."""

    images: pd.DataFrame  # height and width are those of the view, in pixels of the original image
    boxes: pd.DataFrame  # in pixels of the view
    pixels: np.ndarray | LungViews
    windows: pd.DataFrame | None = None  # by image_id: BOX_COLUMNS of the view in the original image; None: all of it

    def back(self, table: pd.DataFrame) -> pd.DataFrame:
        """A model's table in terms of the original image: boxes are moved, other tables stay as they are."""
        if self.windows is None or not set(BOX_COLUMNS) <= set(table.columns) or table.empty:
            return table
        return _moved(table, self.windows, +1)


def see(images: pd.DataFrame, boxes: pd.DataFrame, pixels: np.ndarray, lungs: Sequence[Lung | None], view: str) -> Seen:
    """What a model sees of N images. images: image_id, height, width; boxes: a BOXES table of them, maybe empty;
    pixels: uint8 [N x S x S]; lungs: N of them."""
    if view in (CROP, CROP_AND_MASK):
        windows = _windows(images, lungs)
        sizes = windows[BOX_COLUMNS].to_numpy()[:, 2:] - windows[BOX_COLUMNS].to_numpy()[:, :2]
        images = images.assign(width=sizes[:, 0], height=sizes[:, 1])
        return Seen(images, _into(boxes, windows), LungViews(pixels, lungs, view), windows)
    return Seen(images, boxes, LungViews(pixels, lungs, view) if view == MASK else pixels)


def _windows(images: pd.DataFrame, lungs: Sequence[Lung | None]) -> pd.DataFrame:
    """The part of each original image that is seen: BOX_COLUMNS by image_id."""
    sizes = images[["height", "width"]].to_numpy(float)
    boxes_xyxy = [
        scale_xyxy(lung.box_xyxy, (lung.side, lung.side), size)[0] if lung else np.array([0, 0, size[1], size[0]])
        for lung, size in zip(lungs, sizes, strict=True)
    ]
    return pd.DataFrame(np.reshape(boxes_xyxy, (-1, 4)), columns=BOX_COLUMNS, index=images["image_id"])


def _moved(boxes: pd.DataFrame, windows: pd.DataFrame, sign: int) -> pd.DataFrame:
    corner = windows.loc[boxes["image_id"], ["x_min", "y_min"]].to_numpy()
    return boxes.assign(
        **dict(zip(BOX_COLUMNS, (boxes[BOX_COLUMNS] + sign * np.tile(corner, 2)).to_numpy().T, strict=True))
    )


def _into(boxes: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """Boxes in pixels of their window, cut at its border; those of which too little is left are left out."""
    boxes = boxes[boxes["image_id"].isin(windows.index)].reset_index(drop=True)
    if boxes.empty:
        return boxes
    moved, window = _moved(boxes, windows, -1), windows.loc[boxes["image_id"]].to_numpy()
    whole_xyxy = moved[BOX_COLUMNS].to_numpy(float)
    sizes = window[:, 2:] - window[:, :2]
    cut_xyxy = np.stack(
        [clip_xyxy(box, height, width)[0] for box, (width, height) in zip(whole_xyxy, sizes, strict=True)]
    )
    kept = area_xyxy(cut_xyxy) >= LEAST_OF_A_BOX * area_xyxy(whole_xyxy)
    moved[BOX_COLUMNS] = cut_xyxy
    return moved[kept].reset_index(drop=True)


def see_training(
    workspace: Workspace, view: str, images: pd.DataFrame, boxes: pd.DataFrame, pixels: np.ndarray
) -> tuple[Seen, list[object]]:
    """The training images as a model with this view sees them, and what identifies the masks that it took
    and how it sees them.

    Raises DataFault for an unknown view, and where stage 06 left no masks.
    """
    if view not in VIEWS:
        raise DataFault(f"lungs={view}: no such view of a picture; choose one of {', '.join(VIEWS)}")
    if view == WHOLE:
        return Seen(images, boxes, pixels), []
    lungs = training_lungs(workspace, images)
    known = [lung for lung in lungs if lung]
    print(f"view {view}: {len(known)} of {len(images)} images by their lungs, the others whole", flush=True)
    seen = see(images, boxes, pixels, lungs, view)
    masks = data_digest(*(part for lung in known for part in (lung.packed, lung.box_xyxy)))
    return seen, [masks, own_digests(("cxr.data.lung_views",))]


def training_lungs(workspace: Workspace, images: pd.DataFrame) -> list[Lung | None]:
    """The lungs that stage 06 found in the training images; None where its mask is not believed."""
    places, settings = workspace.places, workspace.profile.lungs
    if not places.lungs_table.is_file():
        raise DataFault(
            f"{places.lungs_table}: not there, so no model can look at lungs alone; put lung masks into "
            "the input and run 06_segment_lungs, or take lungs=whole"
        )
    accepted = read_table(places.lungs_table, LUNGS).set_index("image_id")["accepted"].astype(bool)
    missing = [
        name for name in images["image_id"] if name not in accepted or not mask_file(places.lungs, name).is_file()
    ]
    if missing:
        raise DataFault(
            f"{places.lungs_table}: no lung mask of {len(missing)} image(s) ({', '.join(missing[:3])}); "
            "run 06_segment_lungs again"
        )
    return [
        lung_of(read_masks(places.lungs, [name])[0], settings) if accepted[name] else None
        for name in images["image_id"]
    ]
