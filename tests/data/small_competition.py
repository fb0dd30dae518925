"""A competition folder of four studies, as text: small enough to read, and to spoil in one place a test."""

from pathlib import Path

import pandas as pd

COLUMNS = ["Negative for Pneumonia", "Typical Appearance", "Indeterminate Appearance", "Atypical Appearance"]
BOX = "[{'x': 10.5, 'y': 20.0, 'width': 30.0, 'height': 40.0}]"
IMAGES = [  # image, study, boxes, label; s2 has a boxed image and a boxless one
    ("a1", "s1", "", "none 1 0 0 1 1"),
    ("a2", "s2", BOX, "opacity 1 10.5 20.0 40.5 60.0"),
    ("a3", "s2", "", "none 1 0 0 1 1"),
    ("a4", "s3", "", "none 1 0 0 1 1"),
    ("a5", "s4", BOX, "opacity 1 10.5 20.0 40.5 60.0"),
]
CLASSES = {"s1": 0, "s2": 1, "s3": 3, "s4": 2}


def write_levels(folder: Path, images: list[tuple] = IMAGES, classes: dict[str, int] = CLASSES) -> None:
    rows = [(f"{image}_image", boxes, label, study) for image, study, boxes, label in images]
    table = pd.DataFrame(rows, columns=["id", "boxes", "label", "StudyInstanceUID"])
    table.to_csv(folder / "train_image_level.csv", index=False)
    rows = [[f"{study}_study", *(int(number == one) for number in range(4))] for study, one in classes.items()]
    pd.DataFrame(rows, columns=["id", *COLUMNS]).to_csv(folder / "train_study_level.csv", index=False)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path
