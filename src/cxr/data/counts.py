"""Plain counts of the label files and of the converted images, as papers give them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cxr.boxes import area_xyxy, scale_xyxy, xywh_to_xyxy
from cxr.data import nih, rsna
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS, BOXES
from cxr.workspace import Workspace

NIH, RSNA = "data", "rsna-pneumonia-detection-challenge"


def study_class(table: pd.DataFrame) -> pd.Series:
    """The class of every row, NaN where the class columns are missing or unknown."""
    known = table.reindex(columns=list(STUDY_CLASSES)).fillna(0).astype(float)
    return known.idxmax(axis=1).where(known.max(axis=1) == 1)


def siim_counts(labels: pd.DataFrame) -> dict:
    """Plain counts of all labelled images, as papers give them."""
    boxes = labels["boxes_xywh"].map(len)
    boxed = labels.groupby("study_id")["has_box"].agg(["any", "all"])
    return {
        "images": len(labels),
        "studies": int(labels["study_id"].nunique()),
        "study_classes": {name: int(labels.drop_duplicates("study_id")[name].sum()) for name in STUDY_CLASSES},
        "boxes": int(boxes.sum()),
        "boxed_images": int((boxes > 0).sum()),
        "boxes_per_image": tally(boxes),
        "images_per_study": tally(labels["study_id"].value_counts()),
        "studies_boxed_in_part": int((boxed["any"] & ~boxed["all"]).sum()),
        "boxless_copies": int((labels["role"] == "duplicate").sum()),
    }


def tally(numbers: pd.Series) -> dict[int, int]:
    """How often each whole number occurs, smallest first."""
    return {int(value): int(count) for value, count in numbers.value_counts().sort_index().items()}


def companion_labels(workspace: Workspace) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Labelled images of NIH and RSNA by name, of those that are in the input, and the RSNA boxes (BOXES)."""
    found, boxes = {}, pd.DataFrame(columns=BOXES.columns)
    folders = [workspace.companion(slug) for slug in (NIH, RSNA)]
    if folders[0]:
        found["NIH"], _ = nih.labelled_images(folders[0])
    if folders[1]:
        found["RSNA"], boxes, _ = rsna.labelled_images(folders[1])
    return found, boxes


def class_counts(labels: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """dataset, class, count, of: all labelled NIH images (several classes each), RSNA images and SIIM studies (one).

    others: `companion_labels`; a data set that is not there has no rows.
    """
    studies, found = siim_counts(labels), {}
    if "NIH" in others:
        table = others["NIH"]
        found["NIH"] = table[list(nih.FINDINGS)].sum().sort_values(ascending=False), len(table)
    if "RSNA" in others:
        table = others["RSNA"]
        # without the file of detailed classes the boxes still tell one of the three
        boxed = np.where(table["has_box"] == 1, "Lung Opacity", "(no Lung Opacity)")
        found["RSNA"] = table["rsna_class"].where(table["rsna_class"] != "", boxed).value_counts(), len(table)
    found["SIIM"] = studies["study_classes"], studies["studies"]
    rows = [(name, kind, int(n), total) for name, (counts, total) in found.items() for kind, n in counts.items()]
    return pd.DataFrame(rows, columns=["dataset", "class", "count", "of"])


def box_statistics(labels: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """One row a labelled box: image_id, class, corners and `area` in original pixels, `aspect` (width / height).

    image_height, image_width and `share` (of the image's area) are NaN where the image was not converted.
    """
    boxed = labels[labels["has_box"].astype(bool)]
    numbers = boxed["boxes_xywh"].map(len).to_numpy(int)
    corners = xywh_to_xyxy(np.concatenate([np.empty((0, 4)), *boxed["boxes_xywh"]]))
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 0)
    table = pd.DataFrame(corners, columns=BOX_COLUMNS)
    table.insert(0, "image_id", boxed["image_id"].to_numpy(object).repeat(numbers))
    table.insert(1, "class", study_class(boxed).to_numpy(object).repeat(numbers))
    table["area"] = area_xyxy(corners)
    table["aspect"] = np.divide(sides[:, 0], sides[:, 1], out=np.full(len(sides), np.nan), where=sides[:, 1] > 0)
    sizes = images.set_index("image_id")[["height", "width"]].reindex(table["image_id"]).to_numpy(float)
    table["image_height"], table["image_width"] = sizes.T
    table["share"] = table["area"] / sizes.prod(1)
    return table


def coverage(boxes: pd.DataFrame, cells: int = 64) -> np.ndarray:
    """Share of the boxed converted images with a box over the centre of each cell of the stretched image.

    boxes as from `box_statistics`; float [cells x cells] in 0..1, all 0 without a box.
    """
    total, known = np.zeros((cells, cells)), boxes[boxes["image_height"].notna()]
    for _, rows in known.groupby("image_id"):
        inside, size = np.zeros((cells, cells), bool), (rows["image_height"].iat[0], rows["image_width"].iat[0])
        corners = scale_xyxy(rows[BOX_COLUMNS], size, (cells, cells)).round().clip(0, cells).astype(int)
        for x_min, y_min, x_max, y_max in corners:
            inside[y_min:y_max, x_min:x_max] = True
        total += inside
    return total / max(known["image_id"].nunique(), 1)


def patients(images: pd.DataFrame) -> pd.DataFrame:
    """One row a patient of the converted images: number of images, of studies and of different study classes."""
    rows = images[["patient_id", "study_id"]].assign(study_class=study_class(images))
    return rows.groupby("patient_id").agg(
        images=("study_id", "size"), studies=("study_id", "nunique"), classes=("study_class", "nunique")
    )
