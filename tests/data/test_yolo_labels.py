import os

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from cxr.data.yolo_labels import write_yolo, yolo_lines
from cxr.faults import DataFault

SIZE = 32


@pytest.fixture
def fold():
    images = pd.DataFrame({"image_id": list("abcd"), "height": [100, 200, 100, 100], "width": [200, 400, 100, 100]})
    boxes = pd.DataFrame(
        [("b", "opacity", 1.0, 100, 50, 300, 150), ("b", "opacity", 1.0, 0, 0, 40, 20), ("c", "none", 1.0, 0, 0, 1, 1)],
        columns=["image_id", "label", "score", "x_min", "y_min", "x_max", "y_max"],
    )
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE), dtype=np.uint8)
    return images, boxes, pixels


def test_lines_are_centre_and_size_as_shares():
    # centre (10 + 30) / 2 / 100 = .2, (20 + 60) / 2 / 80 = .5; size 20 / 100, 40 / 80
    assert yolo_lines(np.array([[10, 20, 30, 60]]), height=80, width=100) == "0 0.200000 0.500000 0.200000 0.500000\n"
    assert yolo_lines(np.array([[-10, 0, 50, 90]]), height=80, width=100) == "0 0.250000 0.500000 0.500000 1.000000\n"
    assert yolo_lines(np.array([[150, 0, 170, 20]]), height=80, width=100) == ""
    assert yolo_lines(np.empty((0, 4)), 80, 100) == ""


def test_layout(fold, tmp_path):
    images, boxes, pixels = fold
    path = write_yolo(tmp_path / "yolo" / "fold_0", images, boxes, pixels, ["a", "b"], ["c", "d"])
    root = tmp_path / "yolo" / "fold_0"
    assert path == root / "data.yaml"
    assert yaml.safe_load(path.read_text()) == {
        "path": str(root),
        "train": "images/train",
        "val": "images/val",
        "names": {0: "opacity"},
    }
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("*.*")) == [
        "data.yaml",
        "images/train/a.png",
        "images/train/b.png",
        "images/val/c.png",
        "images/val/d.png",
        "labels/train/a.txt",
        "labels/train/b.txt",
        "labels/val/c.txt",
        "labels/val/d.txt",
    ]
    np.testing.assert_array_equal(cv2.imread(str(root / "images/train/b.png"), cv2.IMREAD_UNCHANGED), pixels[1])
    assert (root / "labels/train/b.txt").read_text() == (
        "0 0.500000 0.500000 0.500000 0.500000\n0 0.050000 0.050000 0.100000 0.100000\n"
    )
    assert (root / "labels/val/c.txt").read_text() == ""
    assert [p.name for p in root.parent.iterdir()] == ["fold_0"]


def test_a_path_with_blanks_and_quotes_stays_one_path(fold, tmp_path):
    path = write_yolo(tmp_path / 'my "own": data', *fold, ["a", "b"], ["c"])
    assert yaml.safe_load(path.read_text())["path"] == str(path.parent)


def test_writing_again_replaces_and_gives_the_same_bytes(fold, tmp_path):
    root = write_yolo(tmp_path / "fold", *fold, ["a", "b"], ["c", "d"]).parent
    first = {path: path.read_bytes() for path in root.rglob("*.*")}
    write_yolo(root, *fold, ["a"], ["c"])
    assert not (root / "images/train/b.png").exists()
    write_yolo(root, *fold, ["a", "b"], ["c", "d"])
    assert {path: path.read_bytes() for path in root.rglob("*.*")} == first


def test_an_interrupted_write_leaves_the_old_folder(fold, tmp_path, monkeypatch):
    root = write_yolo(tmp_path / "fold", *fold, ["a"], ["c"]).parent
    monkeypatch.setattr(cv2, "imwrite", lambda *_: False)
    with pytest.raises(DataFault, match=r"a.png: the picture could not be written; is the disk full\?"):
        write_yolo(root, *fold, ["a"], ["c"])
    assert (root / "images/train/a.png").exists() and os.listdir(tmp_path) == ["fold"]


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        (
            ["a", "x"],
            ["c"],
            r"train: 1 image\(s\) are not in the images table \(x\); make folds and images table from one",
        ),
        (["a"], [], "val has no image; a YOLO training needs both train and val"),
        (["a", "b"], ["b", "c"], r"1 image\(s\) are in train and in val \(b\); make the folds again"),
    ],
)
def test_faults(fold, tmp_path, train, val, message):
    with pytest.raises(DataFault, match=message):
        write_yolo(tmp_path / "fold", *fold, train, val)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_else_is_left_alone(fold, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataFault, match="holds something that is no YOLO data set; name another folder"):
        write_yolo(tmp_path, *fold, ["a"], ["c"])
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_pixels_and_images_must_be_parallel(fold, tmp_path):
    images, boxes, pixels = fold
    with pytest.raises(ValueError, match=r"pixels are uint8 \(3, 32, 32\), expected uint8 \[4 x S x S\]"):
        write_yolo(tmp_path / "fold", images, boxes, pixels[:3], ["a"], ["c"])
