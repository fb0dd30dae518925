"""The data sets that stand beside SIIM on Kaggle, small: RSNA pneumonia and NIH ChestX-ray14 (lungs: `masks.py`).

Each set is a plan (one row an image), a function that draws one row, and one that writes the tables. Patients of one
set appear in no other. Pictures are square, as RSNA and NIH ship theirs.
"""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cxr.boxes import area_xyxy, xyxy_to_xywh
from cxr.phantom.dicoms import write_jpeg_dicom
from cxr.phantom.pictures import Picture, draw_picture
from cxr.phantom.plan import PATIENT_STUDIES
from cxr.phantom.seeds import generator, hex_id, share_out
from cxr.tables import write_csv

RSNA, NIH = "rsna-pneumonia-detection-challenge", "data"
SIZE = 512  # px; the real ones have 1024
RSNA_CLASSES = {"Normal": 0.33, "No Lung Opacity / Not Normal": 0.44, "Lung Opacity": 0.23}
RSNA_DISEASES = {
    "Normal": {"negative": 1.0},
    "No Lung Opacity / Not Normal": {"atypical": 1.0},
    "Lung Opacity": {"typical": 0.6, "indeterminate": 0.4},
}
NIH_DISEASES = {"negative": 0.44, "typical": 0.14, "indeterminate": 0.14, "atypical": 0.28}
NIH_BOXED = ("Mass", "Nodule", "Pneumonia", "Effusion", "Atelectasis", "Pneumothorax", "Infiltration")  # rarest first
NIH_BOX_NAMES = {"Infiltration": "Infiltrate"}  # BBox_List_2017.csv spells this one differently


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Pixels 0..1 to 0..255."""
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def write_png(path: Path, pixels: np.ndarray, channels: int = 1) -> None:
    """Write uint8 [H x W] as a gray PNG, or the same gray in 3 or 4 channels as some of the real files have it."""
    if channels > 1:
        pixels = cv2.cvtColor(pixels, {3: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_GRAY2BGRA}[channels])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
        raise OSError(f"{path}: cannot be written")


def _draw(row: dict, purpose: str, seed: int) -> Picture:
    keys = (row["patient"], row["image"], row["image"], row["image"])
    return draw_picture(seed, purpose, keys, row["disease"], row["box_count"], size=(SIZE, SIZE))


def plan_rsna(count: int, seed: int) -> pd.DataFrame:
    """One row an image: patient, image, patient_id (also the file name), rsna_class, disease, box_count."""
    rng = generator(seed, "rsna")
    table = pd.DataFrame({"rsna_class": share_out(rng, count, RSNA_CLASSES)})
    table["patient"] = table["image"] = np.arange(count)
    table["disease"] = ""
    for name, shares in RSNA_DISEASES.items():
        rows = table.index[table["rsna_class"] == name]
        table.loc[rows, "disease"] = share_out(rng, len(rows), shares)
    drawn = np.array(share_out(rng, count, {1: 0.57, 2: 0.42, 3: 0.01}))
    table["box_count"] = np.where(table["rsna_class"] == "Lung Opacity", drawn, 0)
    digits = [hex_id(seed, "rsna", row, digits=32) for row in range(count)]
    table["patient_id"] = [f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits]
    return table


def write_rsna_image(row: dict, root: Path, seed: int) -> np.ndarray:
    """Write stage_2_train_images/<patient_id>.dcm (8-bit baseline JPEG). Returns its boxes_xywh in whole pixels."""
    picture, name = _draw(row, "rsna", seed), row["patient_id"]
    _, jpeg = cv2.imencode(".jpg", to_uint8(picture.pixels), [cv2.IMWRITE_JPEG_QUALITY, 92])
    uids = {
        f"{part}InstanceUID": f"1.2.276.0.7230010.3.1.{number}.{row['image'] + 1}"
        for number, part in enumerate(("Study", "Series", "SOP"), start=2)
    }
    tags = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
        **uids,
        "PatientID": name,
        "PatientName": name,
        "Modality": "CR",
        "StudyDate": "19010101",
        "StudyTime": "000000.00",
        "ConversionType": "WSD",
        "BodyPartExamined": "CHEST",
        "PatientSex": picture.sex,
        "PatientAge": str(picture.age),
        "ViewPosition": picture.projection,
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "SeriesDescription": f"view: {picture.projection}",
        "Rows": SIZE,
        "Columns": SIZE,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelSpacing": [round(picture.pixel_mm, 3)] * 2,
        "LossyImageCompression": "01",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    write_jpeg_dicom(root / "stage_2_train_images" / f"{name}.dcm", jpeg.tobytes(), tags)
    return np.rint(xyxy_to_xywh(picture.boxes_xyxy if row["box_count"] else np.empty((0, 4))))


def write_rsna_tables(plan: pd.DataFrame, boxes: list[np.ndarray], root: Path) -> None:
    """stage_2_train_labels.csv, a row per box or one without numbers, and the detailed classes beside it."""
    rows = []
    for name, label, found in zip(plan["patient_id"], plan["rsna_class"], boxes, strict=True):
        rows += [(name, *box, 1, label) for box in found.tolist()] or [(name, *[None] * 4, 0, label)]
    columns = ["patientId", "x", "y", "width", "height", "Target", "class"]
    table = pd.DataFrame(rows, columns=columns).sort_values("patientId", kind="stable")
    write_csv(table.drop(columns="class"), root / "stage_2_train_labels.csv")
    write_csv(table[["patientId", "class"]], root / "stage_2_detailed_class_info.csv")


def plan_nih(count: int, seed: int) -> pd.DataFrame:
    """One row an image: patient (number from 1), follow_up, name, folder, part, disease, box_count, channels."""
    rng = generator(seed, "nih")
    sizes = share_out(rng, count, PATIENT_STUDIES)
    table = pd.DataFrame({"patient": np.repeat(np.arange(1, count + 1), sizes)[:count], "image": np.arange(count)})
    table["follow_up"] = table.groupby("patient").cumcount()
    table["name"] = [f"{p:08d}_{f:03d}.png" for p, f in zip(table["patient"], table["follow_up"], strict=True)]
    table["folder"] = np.where(table["image"] < (count + 1) // 2, "images_001", "images_002")
    test = rng.permutation(table["patient"].unique())[: max(1, round(0.23 * table["patient"].nunique()))]
    table["part"] = np.where(table["patient"].isin(test), "test", "train_val")
    table["disease"], table["box_count"] = share_out(rng, count, NIH_DISEASES), None
    table["channels"] = share_out(rng, count, {1: 0.98, 4: 0.02})  # a few of the real PNGs are RGBA
    return table


def write_nih_image(row: dict, root: Path, seed: int) -> Picture:
    """Write <folder>/images/<name>. Returns what the tables need: the picture without its pixels."""
    picture = _draw(row, "nih", seed)
    write_png(root / row["folder"] / "images" / row["name"], to_uint8(picture.pixels), row["channels"])
    return picture._replace(pixels=np.empty((0, 0)), masks={"heart": picture.masks["heart"]})


def nih_boxes(picture: Picture) -> list[tuple[str, np.ndarray]]:
    """(name in BBox_List_2017.csv, box_xywh): the largest opacity under one name, and an enlarged heart."""
    found = []
    names = [NIH_BOX_NAMES.get(name, name) for name in NIH_BOXED if name in picture.findings]
    if names and len(picture.boxes_xyxy):
        found.append((names[0], xyxy_to_xywh(picture.boxes_xyxy[[area_xyxy(picture.boxes_xyxy).argmax()]])[0]))
    if "Cardiomegaly" in picture.findings:
        rows, columns = (np.flatnonzero(picture.masks["heart"].any(axis=axis)) for axis in (1, 0))
        if len(rows):
            box = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
            found.append(("Cardiomegaly", np.array(box, dtype=float)))
    return found


def write_nih_tables(plan: pd.DataFrame, pictures: list[Picture], root: Path) -> None:
    """Data_Entry_2017.csv, BBox_List_2017.csv, train_val_list.txt and test_list.txt as the NIH ships them.

    Rows of the first release end with a comma, and names of columns hold commas inside brackets.
    """
    entries = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    ]
    boxes = ["Image Index,Finding Label,Bbox [x,y,w,h],,,"]
    for row, picture in zip(plan.itertuples(), pictures, strict=True):
        labels, mm = "|".join(sorted(picture.findings)) or "No Finding", round(picture.pixel_mm, 3)
        entries.append(
            f"{row.name},{labels},{row.follow_up},{row.patient},{picture.age},{picture.sex},"
            f"{picture.projection},{SIZE},{SIZE},{mm},{mm},"
        )
        if row.part == "test":  # the real boxes lie in the test part only
            boxes += [f"{row.name},{name},{x:.6f},{y:.6f},{w:.6f},{h:.6f}" for name, (x, y, w, h) in nih_boxes(picture)]
    lists = {f"{part}_list.txt": list(plan.loc[plan["part"] == part, "name"]) for part in ("train_val", "test")}
    for name, lines in {"Data_Entry_2017.csv": entries, "BBox_List_2017.csv": boxes, **lists}.items():
        (root / name).write_text("".join(line + "\n" for line in lines))
