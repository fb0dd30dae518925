"""Small made-up sources, one function a layout: real PNGs of noise, lists as the collections write them."""

import re
from pathlib import Path

import cv2
import numpy as np

from cxr.data.collections.chexpert import FINDINGS


def picture(path: Path, seed: int, side: int = 96) -> Path:
    """A picture that is like no other: smooth noise with an edge, PNG or JPEG by its suffix."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (8, 8)).astype(np.uint8)
    gray = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), gray)
    return path


IEEE_HEADER = "patientid,offset,sex,age,finding,view,modality,folder,filename,license,other_notes,"  # ends with a comma
IEEE_ROWS = [
    "2,0,M,65,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.jpg,CC BY,,",
    "2,3,M,65,Pneumonia/Viral/COVID-19,L,X-ray,images,b.jpg,CC BY,,",
    "3,0,F,12,Pneumonia/Bacterial/Streptococcus,AP,X-ray,images,c.png,,note,",
    "4,0,,,No Finding,AP Supine,X-ray,images,d.png,,,",
    "4,0,,,No Finding,Axial,CT,volumes,e.png,,,",
    "5,0,F,40,Pneumonia,AP Erect,X-ray,images,f.png,,,",
]
IEEE_FILES = ["images/a.jpg", "images/b.jpg", "images/c.png", "images/d.png", "volumes/e.png", "images/f.png"]


def ieee8023(
    folder: Path, rows: list[str] = IEEE_ROWS, header: str = IEEE_HEADER, files: list[str] = IEEE_FILES
) -> Path:
    """metadata.csv and pictures with the seeds 0, 1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("\n".join([header, *rows]) + "\n")
    for seed, name in enumerate(files):
        picture(folder / name, seed)
    return folder


COVIDX_LISTS = {
    "train_COVIDx8B.txt": [
        "419639-003251 MIDRC-RICORD-1C-419639-003251-46647-0.png positive ricord",
        "8 SARS-Fig5-day9.jpeg negative cohen",
        "8 other.png positive actmed",
        "COVID-19(3) COVID-19 (3).png positive sirm",
    ],
    "test_COVIDx8B.txt": ["47c78742-4998 47c78742-4998.png negative rsna"],
}


def covidx(folder: Path, lists: dict[str, list[str]] = COVIDX_LISTS, first_seed: int = 100) -> Path:
    """Lists, and the listed pictures in the folders of their parts."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = first_seed
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
        for line in lines:
            listed = re.match(r"\S+ (.+\.[a-z]+) ", line)[1]
            picture(folder / name.split("_")[0].removesuffix(".txt") / listed, seed)
            seed += 1
    return folder


def chexpert_row(path: str, sex: str = "Male", age: str = "60", view: str = "Frontal,AP", **values: str) -> str:
    """A row with a value for some findings (spaces as _), and blanks for the others."""
    found = {name.replace("_", " "): value for name, value in values.items()}
    return ",".join([path, sex, age, view, *(found.get(name, "") for name in FINDINGS)])


CHEXPERT_HEADER = ",".join(["Path,Sex,Age,Frontal/Lateral,AP/PA", *FINDINGS])
TRAIN, VALID = "CheXpert-v1.0-small/train/", "CheXpert-v1.0-small/valid/"
CHEXPERT_LISTS = {
    "train.csv": [
        chexpert_row(TRAIN + "patient00001/study1/view1_frontal.jpg", "Female", "68", No_Finding="1.0"),
        chexpert_row(TRAIN + "patient00001/study1/view2_lateral.jpg", "Female", "68", "Lateral,", No_Finding="1.0"),
        chexpert_row(TRAIN + "patient00002/study1/view1_frontal.jpg", Edema="1.0", Pneumonia="-1.0", Fracture="0.0"),
        chexpert_row(TRAIN + "patient00003/study1/view1_frontal.jpg", "Unknown", "0", "Frontal,LL", Pneumonia="1.0"),
        chexpert_row(TRAIN + "patient00003/study2/view1_frontal.jpg", Fracture="0.0"),
    ],
    "valid.csv": [chexpert_row(VALID + "patient64541/study1/view1_frontal.jpg", view="Frontal,PA", Edema="1.0")],
}


def chexpert(folder: Path, lists: dict[str, list[str]] = CHEXPERT_LISTS, header: str = CHEXPERT_HEADER) -> Path:
    """Both lists and every listed picture; the folder is what the archive unpacks to."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = 200
    for name, rows in lists.items():
        (folder / name).write_text("\n".join([header, *rows]) + "\n")
        for row in rows:
            picture(folder / row.split(",")[0].partition("/")[2], seed)
            seed += 1
    return folder


def classes(folder: Path, **pictures: list[str]) -> Path:
    """A folder a class, with pictures of these names."""
    seed = 300
    for name, files in pictures.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            picture(folder / name / file, seed)
            seed += 1
    return folder
