"""True boxes: from the `boxes` column to what trainings and scores can trust, in pixels of the original image."""

import numpy as np
import pandas as pd

from cxr.boxes import clip_xyxy, xywh_to_xyxy
from cxr.tables import BOX_COLUMNS, BOXES, check_table

SMALLEST_SIDE = 1.0  # px; a box thinner than a pixel marks nothing
TOLERANCE = 0.01  # px; labels are written with five decimals, so less than this is rounding and no fault


def clean_boxes(image_id: str, boxes_xywh: np.ndarray, height: float, width: float) -> tuple[np.ndarray, list[str]]:
    """Cut boxes at the image border and drop what marks nothing. Pixels of the original image.

    Returns boxes_xyxy, float [M x 4] with M <= N in the order given, and one line a box that was changed or dropped.
    """
    before = xywh_to_xyxy(boxes_xywh)
    after = clip_xyxy(before, height, width)
    kept, notes = [], []
    for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        place = f"image {image_id}: box {number} ({', '.join(f'{value:.2f}' for value in old)})"
        if min(old[2:] - old[:2]) < SMALLEST_SIDE:
            notes.append(f"{place} is less than {SMALLEST_SIDE:g} pixel wide or high and is dropped; correct its label")
        elif min(new[2:] - new[:2]) < SMALLEST_SIDE:
            notes.append(f"{place} lies outside the image of {width:g} x {height:g} and is dropped; correct its label")
        else:
            kept.append(new)
            if np.abs(new - old).max() > TOLERANCE:
                notes.append(f"{place} reaches over the border of the image of {width:g} x {height:g} and is clipped")
    return np.array(kept, dtype=float).reshape(-1, 4), notes


def true_boxes(table: pd.DataFrame, sizes: pd.DataFrame | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Boxes of labelled images as a BOXES table: label `opacity`, score 1.0, clipped to the image.

    `table` has image_id and boxes_xywh; height and width stand there too or come from `sizes` (the images table).
    An image without a size there was not converted: it is left out. Returns the table and one line a finding.
    """
    notes = []
    if sizes is not None:
        left = table.drop(columns=["height", "width"], errors="ignore")
        table = left.merge(sizes[["image_id", "height", "width"]], on="image_id", how="left", validate="one_to_one")
        unknown = table.image_id[table.height.isna()]
        if len(unknown):
            notes.append(f"{len(unknown)} labelled image(s) without a size are left out: {', '.join(unknown[:3])}")
        table = table[table.height.notna()]
    ids, rows = [], [np.empty((0, 4))]
    for image in table.itertuples():
        boxes_xyxy, found = clean_boxes(image.image_id, image.boxes_xywh, image.height, image.width)
        ids += [image.image_id] * len(boxes_xyxy)
        rows.append(boxes_xyxy)
        notes += found
    boxes = pd.DataFrame(np.concatenate(rows), columns=BOX_COLUMNS)
    boxes.insert(0, "image_id", pd.Series(ids, dtype=object))
    boxes.insert(1, "label", "opacity")
    boxes.insert(2, "score", 1.0)
    return check_table(boxes, BOXES, "true boxes"), notes
