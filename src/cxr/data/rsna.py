"""RSNA Pneumonia Detection Challenge (Shih et al., 2019): 26 684 chest DICOMs, opacity boxes on 6 012 of them.

The folder as Kaggle mounts it (slug `rsna-pneumonia-detection-challenge`): `stage_2_train_labels.csv`, a row for every
box or one without numbers; `stage_2_detailed_class_info.csv`; `stage_2_train_images/<patientId>.dcm`, 1024 x 1024.

These pictures are pictures of NIH ChestX-ray14 under new names. What was trained on one set has seen pictures of the
other: neither can serve as the other's test set. Both only start networks for the challenge's own task, so nothing is
done about it here.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.boxes import xywh_to_xyxy
from cxr.data.nih import some
from cxr.data.pictures import cache_pictures
from cxr.faults import DataFault
from cxr.images.jobs import convert_one
from cxr.tables import BOX_COLUMNS, BOXES, check_table, read_csv

LABELS, CLASSES, PICTURES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv", "stage_2_train_images"
RSNA_CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
NUMBERS = ["x", "y", "width", "height"]
COLUMNS = ("image_id", "study_id", "patient_id", "source", "path", "has_box", "rsna_class")
UNPACK = "unpack rsna-pneumonia-detection-challenge.zip again"


def read_rsna(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Images that have a DICOM (COLUMNS, in the order of their ids), their boxes as a BOXES table, and findings.

    image_id is the patientId, path relative to `folder`; patient and study are `rsna-<patientId>`; rsna_class is one of
    RSNA_CLASSES, or empty where the detailed file is missing. Boxes have label `opacity` and score 1, in pixels of the
    picture. Raises DataFault for labels that cannot be trusted, and without any DICOM.
    """
    images, boxes, findings = labelled_images(folder)
    files = {path.stem: path for path in (folder / PICTURES).glob("*.dcm") if not path.name.startswith(".")}
    there = images["image_id"].isin(files)
    if not there.any():
        raise DataFault(f"{folder / PICTURES}: holds none of {len(images)} labelled DICOMs; {UNPACK}")
    if not there.all():
        findings.append(f"{folder}: labelled images without a DICOM are left out: {some(images['image_id'][~there])}")
    unknown = set(files) - set(images["image_id"])
    if unknown:
        findings.append(f"{folder / PICTURES}: DICOMs without a row in the labels are left out: {some(unknown)}")
    images = images[there].reset_index(drop=True)
    images["path"] = [f"{PICTURES}/{image_id}.dcm" for image_id in images["image_id"]]
    boxes = boxes[boxes["image_id"].isin(files)].reset_index(drop=True)
    return images[list(COLUMNS)], boxes, findings


def cache_rsna(
    folder: Path, images: pd.DataFrame, size: int, cache_file: Path, workers: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """DICOMs of `read_rsna`'s images to `cache_file`, uint8 [N x size x size], unless that was done before.

    Returns the images that could be read, row i for row i of the cache, with height, width (pixels) and pixel_hash,
    and a FAILURES table with paths relative to `folder`.
    """
    files = [folder / path for path in images["path"]]
    read, failures = cache_pictures(files, list(images["image_id"]), size, cache_file, workers, convert_one)
    failures["path"] = [Path(path).relative_to(folder).as_posix() for path in failures["path"]]
    sizes = read[["image_id", "height", "width", "pixel_hash"]]
    # the cache has the order of `images`, and an inner merge keeps the order of its left side
    return images.merge(sizes, on="image_id", validate="one_to_one"), failures


def labelled_images(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """`read_rsna` from the text files alone: images without `path`, also those that have no DICOM."""
    csv = folder / LABELS
    raw, findings = read_csv(csv, ["patientId", *NUMBERS, "Target"]), []
    if raw.empty or raw["patientId"].isna().any():
        raise DataFault(f"{csv}: {len(raw)} rows, each must have a patientId; {UNPACK}")
    if raw.duplicated().any():
        repeated = raw["patientId"][raw.duplicated()].unique()
        findings.append(f"{csv}: rows that stand there twice count once: {some(repeated)}")
    raw = raw.drop_duplicates().sort_values("patientId", kind="stable", ignore_index=True)
    boxes = _boxes(raw, csv, findings)
    images = pd.DataFrame({"image_id": raw["patientId"].unique(), "source": "rsna"})
    images["patient_id"] = images["study_id"] = "rsna-" + images["image_id"]
    images["has_box"] = images["image_id"].isin(boxes["image_id"]).astype(int)
    images["rsna_class"] = _classes(images, folder / CLASSES, findings)
    return images, boxes, findings


def _boxes(raw: pd.DataFrame, csv: Path, findings: list[str]) -> pd.DataFrame:
    """The rows with Target 1 as a BOXES table; every row is checked."""
    numbers = raw[[*NUMBERS, "Target"]].apply(pd.to_numeric, errors="coerce")
    target, boxed = numbers["Target"], numbers[NUMBERS]
    good = np.isfinite(boxed).all(axis=1) & (boxed[["width", "height"]] > 0).all(axis=1)
    right = ((target == 1) & good) | ((target == 0) & raw[NUMBERS].isna().all(axis=1))
    if not right.all():
        row = raw[~right].iloc[0]
        raise DataFault(
            f"{csv}: {(~right).sum()} row(s) with neither Target 1 and a box nor Target 0 and none, the first is "
            f"{', '.join(f'{name} {row[name]}' for name in raw.columns)}; {UNPACK}"
        )
    both = set(raw["patientId"][target == 1]) & set(raw["patientId"][target == 0])
    if both:
        raise DataFault(f"{csv}: patients with Target 1 in one row and 0 in another: {some(both)}; {UNPACK}")
    corners = xywh_to_xyxy(boxed[target == 1].to_numpy())
    outside = raw["patientId"][target == 1][(corners < 0).any(axis=1)]
    if len(outside):
        findings.append(f"{csv}: boxes that begin outside the picture are cut at its border: {some(set(outside))}")
    boxes = pd.DataFrame(np.clip(corners, 0, None), columns=BOX_COLUMNS)
    boxes.insert(0, "image_id", raw["patientId"][target == 1].to_numpy())
    boxes.insert(1, "label", "opacity")
    boxes.insert(2, "score", 1.0)
    return check_table(boxes, BOXES, csv)


def _classes(images: pd.DataFrame, csv: Path, findings: list[str]) -> pd.Series:
    """The detailed class of every image; the file has a row for every box, so most boxed patients stand there twice."""
    if not csv.is_file():
        findings.append(f"{csv}: missing, so the classes of the images without a box are unknown")
        return pd.Series("", index=images.index)
    table = read_csv(csv, ["patientId", "class"]).drop_duplicates()
    strange = set(table["class"].fillna("").astype(str)) - set(RSNA_CLASSES)
    if strange:
        raise DataFault(f"{csv}: class {sorted(strange)[0]!r} is none of {', '.join(RSNA_CLASSES)}; {UNPACK}")
    twice = table["patientId"][table["patientId"].duplicated()]
    if len(twice):
        raise DataFault(f"{csv}: patients with two classes: {some(twice)}; {UNPACK}")
    classes = images["image_id"].map(table.set_index("patientId")["class"]).fillna("")
    if (classes == "").any():
        findings.append(f"{csv}: images without a class: {some(images['image_id'][classes == ''])}")
    odd = (classes != "") & ((classes == "Lung Opacity") != (images["has_box"] == 1))
    if odd.any():
        findings.append(f"{csv}: class and boxes contradict each other, boxes count: {some(images['image_id'][odd])}")
    return classes
