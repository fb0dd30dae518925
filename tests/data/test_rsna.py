import zipfile

import numpy as np
import pandas as pd
import pytest

from cxr.boxes import xywh_to_xyxy
from cxr.data import pictures
from cxr.data.rsna import cache_rsna, labelled_images, read_rsna
from cxr.faults import DataFault
from cxr.phantom.companions import plan_rsna, write_rsna_image, write_rsna_tables
from cxr.tables import BOX_COLUMNS, IMAGES, check_table

LABELS = ["patientId,x,y,width,height,Target", "c,,,,,0", "a,264.0,152.0,213.0,379.0,1", "a,562.0,152.0,256.0,453.0,1"]
LABELS += ["b,,,,,0", "12e4,10.0,20.0,30.0,40.0,1"]
CLASSES = ["patientId,class", "c,Normal", "a,Lung Opacity", "a,Lung Opacity", "b,No Lung Opacity / Not Normal"]
CLASSES += ["12e4,Lung Opacity"]


def write(folder, labels=LABELS, classes=CLASSES):
    (folder / "stage_2_train_labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "stage_2_detailed_class_info.csv").write_text("\n".join(classes) + "\n")
    (folder / "stage_2_train_images").mkdir(exist_ok=True)
    for name in ("a", "b", "c", "12e4"):
        (folder / "stage_2_train_images" / f"{name}.dcm").touch()
    return folder


def test_every_image_gets_one_row_and_every_box_its_own(tmp_path):
    images, boxes, findings = read_rsna(write(tmp_path))
    assert images.columns.tolist() == ["image_id", "study_id", "patient_id", "source", "path", "has_box", "rsna_class"]
    assert images["image_id"].tolist() == ["12e4", "a", "b", "c"]  # text, though one looks like a number
    assert images["patient_id"].tolist() == images["study_id"].tolist() == ["rsna-12e4", "rsna-a", "rsna-b", "rsna-c"]
    assert images["path"].tolist() == [f"stage_2_train_images/{name}.dcm" for name in images["image_id"]]
    assert images["has_box"].tolist() == [1, 1, 0, 0] and (images["source"] == "rsna").all()
    assert images["rsna_class"].tolist() == [
        "Lung Opacity",
        "Lung Opacity",
        "No Lung Opacity / Not Normal",
        "Normal",
    ]
    assert boxes["image_id"].tolist() == ["12e4", "a", "a"]
    assert boxes[BOX_COLUMNS].to_numpy().tolist() == [
        [10, 20, 10 + 30, 20 + 40],
        [264, 152, 264 + 213, 152 + 379],
        [562, 152, 562 + 256, 152 + 453],
    ]
    assert (boxes["label"] == "opacity").all() and (boxes["score"] == 1).all() and findings == []


def test_rows_that_stand_there_twice_count_once(tmp_path):
    images, boxes, findings = read_rsna(write(tmp_path, [*LABELS, LABELS[2], LABELS[1]]))
    assert len(images) == 4 and len(boxes) == 3
    assert findings == [f"{tmp_path / 'stage_2_train_labels.csv'}: rows that stand there twice count once: 2 (a, c)"]


def test_missing_and_unknown_dicoms_are_told(tmp_path):
    write(tmp_path)
    (tmp_path / "stage_2_train_images" / "a.dcm").rename(tmp_path / "stage_2_train_images" / "z.dcm")
    (tmp_path / "stage_2_train_images" / "._b.dcm").touch()
    images, boxes, findings = read_rsna(tmp_path)
    assert images["image_id"].tolist() == ["12e4", "b", "c"] and boxes["image_id"].tolist() == ["12e4"]
    assert findings == [
        f"{tmp_path}: labelled images without a DICOM are left out: 1 (a)",
        f"{tmp_path / 'stage_2_train_images'}: DICOMs without a row in the labels are left out: 1 (z)",
    ]


def test_a_folder_without_dicoms_or_labels_is_refused(tmp_path):
    with pytest.raises(DataFault, match=r"stage_2_train_labels\.csv: no such file"):
        read_rsna(tmp_path)
    write(tmp_path)
    (tmp_path / "stage_2_train_images").rename(tmp_path / "elsewhere")
    with pytest.raises(DataFault, match="stage_2_train_images: holds none of 4 labelled DICOMs; unpack"):
        read_rsna(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "b,1.0,2.0,,4.0,1",
            "1 row(s) with neither Target 1 and a box nor Target 0 and none, the first is patientId b",
        ),
        ("b,1.0,2.0,0.0,4.0,1", "width 0.0"),
        ("b,1.0,2.0,3.0,-4.0,1", "height -4.0"),
        ("b,1.0,2.0,3.0,inf,1", "height inf"),
        ("b,one,2.0,3.0,4.0,1", "x one"),
        ("b,1.0,2.0,3.0,4.0,0", "Target 0"),
        ("b,,,,,1", "Target 1"),
        ("b,,,,,2", "Target 2"),
        ("b,,,,,", "Target nan"),
        (",,,,,0", "each must have a patientId"),
        ("a,,,,,0", "patients with Target 1 in one row and 0 in another: 1 (a)"),
    ],
)
def test_broken_numbers_stop_the_run(tmp_path, row, message):
    with pytest.raises(DataFault) as fault:
        read_rsna(write(tmp_path, [line for line in LABELS if line != "b,,,,,0"] + [row]))
    assert message in str(fault.value) and str(fault.value).startswith(f"{tmp_path / 'stage_2_train_labels.csv'}: ")
    assert "\n" not in str(fault.value)


def test_a_box_over_the_border_is_cut_there(tmp_path):
    _, boxes, findings = read_rsna(write(tmp_path, [*LABELS[:-1], "12e4,-3.5,20.0,30.0,40.0,1"]))
    assert boxes[BOX_COLUMNS].iloc[0].tolist() == [0, 20, 26.5, 60]
    assert any("cut at its border: 1 (12e4)" in finding for finding in findings)


def test_the_detailed_classes_may_be_missing(tmp_path):
    (write(tmp_path) / "stage_2_detailed_class_info.csv").unlink()
    images, _, findings = read_rsna(tmp_path)
    assert (images["rsna_class"] == "").all() and images["has_box"].sum() == 2
    assert findings[0].endswith("missing, so the classes of the images without a box are unknown")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,Normal", "patients with two classes: 1 (b)"),
        ("b,Pneumonia", "class 'Pneumonia' is none of Normal, No Lung Opacity / Not Normal, Lung Opacity"),
    ],
)
def test_classes_that_cannot_be_trusted_stop_the_run(tmp_path, row, message):
    with pytest.raises(DataFault) as fault:
        read_rsna(write(tmp_path, classes=[*CLASSES, row]))
    assert message in str(fault.value)


def test_classes_that_are_missing_or_contradict_the_boxes_are_told(tmp_path):
    classes = ["patientId,class", "a,Normal", "b,Lung Opacity", "12e4,Lung Opacity"]
    images, _, findings = read_rsna(write(tmp_path, classes=classes))
    assert images["has_box"].tolist() == [1, 1, 0, 0]
    csv = tmp_path / "stage_2_detailed_class_info.csv"
    assert findings == [
        f"{csv}: images without a class: 1 (c)",
        f"{csv}: class and boxes contradict each other, boxes count: 2 (a, b)",
    ]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Six DICOMs in the phantom's layout."""
    root = tmp_path_factory.mktemp("rsna")
    plan = plan_rsna(6, seed=1)
    boxes = [write_rsna_image(row, root, seed=1) for row in plan.to_dict("records")]
    write_rsna_tables(plan, boxes, root)
    return root, plan, boxes


def test_the_phantom_is_read_like_the_real_set(phantom):
    root, plan, boxes_xywh = phantom
    images, boxes, findings = read_rsna(root)
    ordered = plan.sort_values("patient_id")
    assert images["image_id"].tolist() == ordered["patient_id"].tolist() and findings == []
    assert images["rsna_class"].tolist() == ordered["rsna_class"].tolist()
    expected = np.concatenate([xywh_to_xyxy(boxes_xywh[row]) for row in ordered.index])
    assert len(expected) > 0 and boxes[BOX_COLUMNS].to_numpy().tolist() == expected.tolist()


def test_dicoms_are_cached_once_and_a_bad_one_is_listed(phantom, tmp_path, monkeypatch):
    root, _, _ = phantom
    images, _, _ = read_rsna(root)
    bad = tmp_path / "set"
    (bad / "stage_2_train_images").mkdir(parents=True)
    for path in images["path"]:
        (bad / path).write_bytes((root / path).read_bytes())
    (bad / images["path"][2]).write_bytes(b"damaged")
    cache_file = tmp_path / "rsna_32.npy"
    read, failures = cache_rsna(bad, images, 32, cache_file)
    pixels = np.load(cache_file)
    assert read["image_id"].tolist() == images["image_id"].drop(2).tolist() and read.index.tolist() == [0, 1, 2, 3, 4]
    assert read.columns.tolist() == [*images.columns, "height", "width", "pixel_hash"]
    assert pixels.shape == (5, 32, 32) and (pixels.std(axis=(1, 2)) > 10).all()
    assert (read[["height", "width"]] == 512).all(axis=None)
    assert failures["path"].tolist() == [images["path"][2]] and "DICOM" in failures["reason"][0]
    check_table(read, IMAGES, "rsna")
    monkeypatch.setattr(pictures, "_make", None)  # a second call must not come so far
    again, same = cache_rsna(bad, images, 32, cache_file)
    assert again.equals(read) and same.equals(failures)


def test_the_real_label_files_keep_what_is_known_of_them(realdata, tmp_path):
    folder = realdata / "labels" / "rsna"
    with zipfile.ZipFile(folder / "stage_2_train_labels.csv.zip") as archive:
        archive.extract("stage_2_train_labels.csv", tmp_path)
    classes = pd.read_csv(folder / "rsna_to_nih.csv.gz").rename(columns={"rsna_patientId": "patientId"})
    classes.rename(columns={"rsna_class": "class"})[["patientId", "class"]].to_csv(
        tmp_path / "stage_2_detailed_class_info.csv", index=False
    )
    images, boxes, findings = labelled_images(tmp_path)
    assert len(images) == 26_684 and len(boxes) == 9_555 and images["has_box"].sum() == 6_012 and findings == []
    assert images.groupby("rsna_class")["has_box"].agg(["size", "sum"]).to_dict("index") == {
        "Lung Opacity": {"size": 6_012, "sum": 6_012},
        "No Lung Opacity / Not Normal": {"size": 11_821, "sum": 0},
        "Normal": {"size": 8_851, "sum": 0},
    }
    assert boxes[["x_max", "y_max"]].max().max() <= 1024
