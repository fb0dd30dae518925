"""A competition of random pictures as DICOM, small and fast, in which copies can be planted."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from small_competition import write_levels

SIDE = 96
BOX = "[{'x': 10.0, 'y': 20.0, 'width': 30.0, 'height': 40.0}]"


def picture(number: int, side: int = SIDE) -> np.ndarray:
    """A random landscape, uint8 [side x side]: coarse hills with fine ones on top, different for every number."""
    rng = np.random.default_rng(number)
    layers = [cv2.resize(rng.normal(size=(n, n)), (side, side), interpolation=cv2.INTER_CUBIC) / n for n in (5, 12, 30)]
    return cv2.normalize(sum(layers), None, 20, 220, cv2.NORM_MINMAX).astype(np.uint8)


def reencoded(pixels: np.ndarray, quality: int = 60, brighter: int = 25) -> np.ndarray:
    """The same picture through JPEG, smaller and brighter."""
    small = cv2.resize(pixels, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.add(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), brighter)


def write_dicom(path: Path, pixels: np.ndarray, study: str, patient: str) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "SOPInstanceUID": path.stem, "StudyInstanceUID": study,
        "PatientID": patient, "Modality": "CR", "PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1,
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with disable_value_validation():  # s0 is no UID
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
        dataset.save_as(path, enforce_file_format=True)


def write_competition(folder: Path, planted: dict[int, np.ndarray] | None = None, studies: int = 16) -> Path:
    """Studies s0, s1, ... of patients p0, p1, ... with one image a0, a1, ... each; classes and boxes take turns.

    planted: pictures that take the place of the random ones. Test images b0, b1, b2 show pictures 1000, 1001, 1002.
    """
    folder.mkdir(parents=True)
    for number in range(studies):
        pixels = (planted or {}).get(number, picture(number))
        write_dicom(folder / "train" / f"s{number}" / "x" / f"a{number}.dcm", pixels, f"s{number}", f"p{number}")
    images = [
        (f"a{n}", f"s{n}", BOX if n % 2 else "", "opacity 1 10 20 40 60" if n % 2 else "none 1 0 0 1 1")
        for n in range(studies)
    ]
    write_levels(folder, images, {f"s{n}": n % 4 for n in range(studies)})
    for number in range(3):
        file = folder / "test" / f"t{number}" / "x" / f"b{number}.dcm"
        write_dicom(file, picture(1000 + number), f"t{number}", f"q{number}")
    ids = [*(f"t{n}_study" for n in range(3)), *(f"b{n}_image" for n in range(3))]
    pd.DataFrame({"id": ids, "PredictionString": "none 1 0 0 1 1"}).to_csv(
        folder / "sample_submission.csv", index=False
    )
    return folder


def write_nih(folder: Path, pictures: list[np.ndarray]) -> Path:
    """NIH ChestX-ray14 of one picture a patient."""
    (folder / "images").mkdir(parents=True)
    names = [f"{number:08d}_000.png" for number in range(1, len(pictures) + 1)]
    for name, pixels in zip(names, pictures, strict=True):
        cv2.imwrite(str(folder / "images" / name), pixels)
    rows = {"Image Index": names, "Finding Labels": "No Finding", "Follow-up #": 0}
    pd.DataFrame(rows | {"Patient ID": range(1, len(names) + 1)}).to_csv(folder / "Data_Entry_2017.csv", index=False)
    (folder / "train_val_list.txt").write_text("\n".join(names))
    (folder / "test_list.txt").write_text("")
    return folder
