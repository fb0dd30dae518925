"""The pictures on which models are looked at: training pictures whose lungs are known, drawn by a hash of their ids."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.boxes import scale_xyxy
from cxr.data.draw import hash_order
from cxr.data.masks import mask_file, read_masks
from cxr.evaluation.run_files import RunFiles
from cxr.explain.where import box_masks
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS, LUNGS, read_table

MOST = 60


class Looked(NamedTuple):
    """Pictures that are looked at. Arrays have their rows, S is the cache's size."""

    images: pd.DataFrame  # of the images table, rows numbered anew; `row` is the old number
    pixels: np.ndarray  # uint8 [N x S x S]
    lungs: np.ndarray  # bool [N x S x S]
    boxes: np.ndarray  # bool [N x S x S], inside of true ones

    @property
    def true(self) -> np.ndarray:
        """Index of each picture's true class, int [N]."""
        return self.images[list(STUDY_CLASSES)].to_numpy(float).argmax(1)


def candidates(files: RunFiles) -> pd.DataFrame | str:
    """Rows of the images table that can be looked at: trained on, with a lung mask that stage 06 believes; or, in
    words, why there are none."""
    if files.images is None or files.pixels is None:
        return "stages 01 and 03 have not both left their tables and cache"
    if not files.places.lungs_table.is_file():
        return f"there are no lung masks ({files.left_out.get('lungs', 'stage 06 has not run')})"
    accepted = read_table(files.places.lungs_table, LUNGS).set_index("image_id")["accepted"]
    found = files.images[(files.images["role"] == "train") & (files.images["image_id"].map(accepted) == 1)]
    found = found[[mask_file(files.places.lungs, name).is_file() for name in found["image_id"]]]
    return "no training image has a lung mask that is believed" if found.empty else found


def choose(files: RunFiles, at_most: int = MOST, ids: Sequence[str] = ()) -> Looked | str:
    """Up to `at_most` candidates, the same at every run; or these ids, in the order of the images table; or, in words,
    why there are none.

    Raises DataFault for an id that is no candidate.
    """
    found = candidates(files)
    if isinstance(found, str):
        return found
    unknown = [name for name in ids if name not in set(found["image_id"])]
    if unknown:
        raise DataFault(
            f"image {unknown[0]}: not one of the {len(found)} training images with a lung mask that is believed; "
            f"take one of tables/{files.places.lungs_table.name} that is accepted, {found['image_id'].iat[0]} for one"
        )
    found = found[found["image_id"].isin(ids or hash_order(found["image_id"])[:at_most])]
    rows, images = found.index.to_numpy(), found.reset_index(names="row")
    pixels = np.asarray(files.pixels[rows])
    lungs = read_masks(files.places.lungs, list(images["image_id"]))
    return Looked(images, pixels, lungs, np.stack([*_true_boxes(files, images, pixels.shape[-1])]))


def _true_boxes(files: RunFiles, images: pd.DataFrame, side: int) -> Iterator[np.ndarray]:
    """bool [side x side] for each image."""
    found = boxes_by_image(files.truth, images, side)
    for name in images["image_id"]:
        yield box_masks(found[name][0] if name in found else np.empty((0, 4)), (side, side))


def boxes_by_image(
    boxes: pd.DataFrame | None, images: pd.DataFrame, side: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """boxes_xyxy [M x 4] in pixels of a picture of side x side, and scores [M], by id; only of images with any."""
    if boxes is None:
        return {}
    sizes = images.set_index("image_id")[["height", "width"]]
    return {
        name: (
            scale_xyxy(own[BOX_COLUMNS].to_numpy(float), tuple(sizes.loc[name]), (side, side)),
            own["score"].to_numpy(float),
        )
        for name, own in boxes[boxes["image_id"].isin(sizes.index)].groupby("image_id")
    }
