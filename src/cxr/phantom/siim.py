"""The phantom's SIIM part: each planned picture as DICOM, then the label files as the competition ships them."""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.boxes import xyxy_to_xywh
from cxr.labels import IMAGE_SUFFIX, STUDY_COLUMNS, STUDY_SUFFIX
from cxr.phantom.dicoms import write_dicom
from cxr.phantom.pictures import draw_picture
from cxr.phantom.shortcuts import burn_marker
from cxr.tables import write_csv

FOLDER = "siim-covid19-detection"
BLANK = {STUDY_SUFFIX: "negative 1 0 0 1 1", IMAGE_SUFFIX: "none 1 0 0 1 1"}  # of the sample submission
BORDER_PX = 3.6  # how far the one box of the real set that starts left of its image does so


def write_image(row: dict, root: Path, seed: int) -> np.ndarray:
    """Draw one row of the plan and write its DICOM below `root`. Returns the true boxes_xyxy [N x 4] of this image."""
    keys = (row["patient_key"], row["disease_key"], row["pose_key"], row["view_key"])
    picture = draw_picture(seed, "siim", keys, row["study_class"], row["disease_boxes"])
    boxes = np.empty((0, 4)) if row["is_duplicate"] else picture.boxes_xyxy
    pixels, boxes = fit_frame(picture.pixels, boxes, row["crosses_border"])
    pixels = burn_marker(pixels) if row["has_marker"] else pixels
    folder = root / row["part"] / row["study_id"] / row["series_id"]
    write_dicom(folder / f"{row['image_id']}.dcm", pixels, row, header_tags(row, picture))
    return boxes.round(5)


def fit_frame(pixels: np.ndarray, boxes_xyxy: np.ndarray, crosses_border: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cut to an even width, as DICOM stores; with `crosses_border` cut on the left through the leftmost box."""
    left = 0
    if crosses_border and len(boxes_xyxy):
        left = max(0, round(boxes_xyxy[:, 0].min() + BORDER_PX))
    width = (pixels.shape[1] - left) // 2 * 2
    boxes = boxes_xyxy - [left, 0, left, 0]
    boxes[:, 2] = np.minimum(boxes[:, 2], width)
    return np.ascontiguousarray(pixels[:, left : left + width]), boxes


def header_tags(row: dict, picture) -> dict:
    """Header of one image; optional elements are left out where the plan says so."""
    tags = {
        "SOPInstanceUID": row["image_id"],
        "StudyInstanceUID": row["study_id"],
        "SeriesInstanceUID": row["series_id"],
        "PatientID": row["patient_id"],
        "PatientName": row["patient_name"],
        "PatientIdentityRemoved": "YES",
        "StudyID": "",
        "AccessionNumber": "",
        "StudyDate": "",
        "BodyPartExamined": row["body_part"],
        "SeriesNumber": row["series_number"],
        "InstanceNumber": 1,
    }
    spacing = [round(picture.pixel_mm, 4)] * 2
    optional = {
        "has_sex": {"PatientSex": picture.sex},
        "has_spacing": {"ImagerPixelSpacing": spacing},
        "has_view_position": {"ViewPosition": picture.projection},
        "has_study_time": {"StudyTime": "120000"},
    }
    for column, elements in optional.items():
        tags.update(elements if row[column] else {})
    return tags


def format_boxes(boxes_xyxy: np.ndarray) -> tuple[str, str]:
    """Texts of the `boxes` and `label` columns: a Python literal, and groups of six tokens."""
    if not len(boxes_xyxy):
        return "", BLANK[IMAGE_SUFFIX]
    boxes_xywh = xyxy_to_xywh(boxes_xyxy).round(5).tolist()
    literal = [dict(zip(("x", "y", "width", "height"), box, strict=True)) for box in boxes_xywh]
    label = [f"opacity 1 {x} {y} {round(x + w, 5)} {round(y + h, 5)}" for x, y, w, h in boxes_xywh]
    return str(literal), " ".join(label)


def write_tables(plan: pd.DataFrame, boxes: list[np.ndarray], root: Path, solution: Path) -> None:
    """train_image_level.csv, train_study_level.csv, sample_submission.csv below `root`; the truth of test elsewhere."""
    texts = [format_boxes(found) for found in boxes]
    images = pd.DataFrame(
        {
            "id": plan["image_id"] + IMAGE_SUFFIX,
            "boxes": [text[0] for text in texts],
            "label": [text[1] for text in texts],
            "StudyInstanceUID": plan["study_id"],
            "part": plan["part"],
        }
    ).sort_values("id")
    studies = plan.drop_duplicates("study_id").sort_values("study_id")
    studies["id"] = studies["study_id"] + STUDY_SUFFIX
    train = images[images["part"] == "train"].drop(columns="part")
    write_csv(train, root / "train_image_level.csv")
    level = studies[studies["part"] == "train"]
    one_hot = {column: (level["study_class"] == name).astype(int) for column, name in STUDY_COLUMNS.items()}
    write_csv(pd.DataFrame({"id": level["id"], **one_hot}), root / "train_study_level.csv")
    level, test = studies[studies["part"] == "test"], images[images["part"] == "test"]
    truth = pd.DataFrame(
        {
            "id": [*level["id"], *test["id"]],
            "PredictionString": [*(level["study_class"] + " 1 0 0 1 1"), *test["label"]],
        }
    )
    write_csv(truth, solution)
    blank = [BLANK[STUDY_SUFFIX]] * len(level) + [BLANK[IMAGE_SUFFIX]] * len(test)
    write_csv(truth.assign(PredictionString=blank), root / "sample_submission.csv")
