"""A run of six studies after stage 10, small enough that every error can be read off the tables."""

import numpy as np
import pandas as pd

from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS, write_csv
from cxr.workspace import open_workspace

SIZE, EVIL = 16, "<img src=x onerror=alert(1)>"
IMAGES = [  # image, study, class, role; every file is 100 x 200 pixels
    ("i0", "s0", "negative", "train"),
    ("i1", "s1", "typical", "train"),
    ("i1b", "s1", "typical", "duplicate"),
    ("i2", "s2", "typical", "train"),
    ("i3", "s3", "indeterminate", "train"),
    ("i4", "s4", "atypical", "train"),
    (EVIL, "s5", "negative", "train"),
]
TRUE = ["i1", "i2", "i3"]  # one box each, at 10, 20, 60, 90
FOUND = [  # image, score, shift in pixels of the true box; a shift of 30 of 50 px leaves an IoU of 20 / 80
    ("i0", 0.7, 0),  # no true box there
    ("i1", 0.9, 2),
    ("i1b", 0.95, 0),  # on a boxless copy: not judged
    ("i2", 0.2, 1),
    ("i3", 0.8, 0),
    ("i3", 0.6, 1),  # hits what is taken
    ("i2", 0.1, 30),
]


def corners(shift=0):
    return [10.0 + shift, 20.0, 60.0 + shift, 90.0]


def box_rows(rows):
    table = pd.DataFrame([(image, "opacity", score, *corners(shift)) for image, score, shift in rows])
    return table.set_axis(["image_id", "label", "score", *BOX_COLUMNS], axis=1)


def after_stage_03(tmp_path):
    """After stage 03: truth and pictures, no predictions."""
    run = open_workspace("demo", f"images.cache_size={SIZE}", str(tmp_path), str(tmp_path), str(tmp_path / "out"))
    images = pd.DataFrame(IMAGES, columns=["image_id", "study_id", "kind", "role"])
    for name in STUDY_CLASSES:
        images[name] = (images["kind"] == name).astype(int)
    images = images.assign(patient_id="p-" + images["study_id"], source="siim", path="x.png", height=100, width=200)
    images = images.assign(sex=["F", *["M"] * 6], age=np.nan, body_part=EVIL, bits_stored=12.0)
    images["has_box"] = images["image_id"].isin(TRUE).astype(int)
    write_csv(images.drop(columns="kind"), run.places.images_table)
    folds = images[["image_id", "study_id", "patient_id"]].assign(group="g", fold=[0, 0, 0, 0, 1, 1, 1])
    write_csv(folds, run.places.folds_table)
    write_csv(box_rows([(image, 1.0, 0) for image in TRUE]), run.places.boxes_table)
    run.places.cache(SIZE).parent.mkdir(parents=True)
    np.save(
        run.places.cache(SIZE), np.arange(len(IMAGES), dtype=np.uint8)[:, None, None] * np.ones((1, SIZE, SIZE), "u1")
    )
    return run


def add_predictions(bare):
    """A detector, and a classifier that is wrong on s2 alone."""
    write_csv(box_rows(FOUND), bare.places.predictions("yolo") / "out_of_fold.csv")
    images = pd.read_csv(bare.places.images_table)
    scores = images[["image_id", *STUDY_CLASSES]].copy()
    scores[list(STUDY_CLASSES)] = scores[list(STUDY_CLASSES)] * 0.6 + 0.1
    scores.loc[scores["image_id"] == "i2", list(STUDY_CLASSES)] = [0.7, 0.1, 0.1, 0.1]
    write_csv(scores, bare.places.predictions("studies") / "out_of_fold_images.csv")
