import argparse
import json

import numpy as np
import pandas as pd
import pytest

from cxr.data import coco as module
from cxr.data.coco import to_coco
from cxr.faults import DataFault


def labels():
    boxes = [np.array([[10, 20, 30, 40], [-3.56, 0, 13.56, 10]]), np.empty((0, 4)), np.array([[1.0, 1, 2, 2]])]
    return pd.DataFrame({"image_id": ["b", "a", "gone"], "boxes_xywh": boxes})


def sizes(**columns):
    return pd.DataFrame({"image_id": ["a", "b", "new"], "height": 100, "width": 200, **columns})


def run(*words):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.main(parser.parse_args([str(word) for word in words]))


def test_ids_start_at_one_and_boxes_are_clipped():
    coco = to_coco(labels(), sizes())
    assert coco["categories"] == [{"id": 1, "name": "opacity", "supercategory": "finding"}]
    assert coco["images"] == [
        {"id": 1, "image_id": "a", "height": 100, "width": 200, "file_name": "a.png"},
        {"id": 2, "image_id": "b", "height": 100, "width": 200, "file_name": "b.png"},
    ]
    assert coco["annotations"] == [
        {"id": 1, "image_id": 2, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 30 * 40, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [0, 0, 10, 10], "area": 10 * 10, "iscrowd": 0},
    ]


def test_what_was_changed_or_left_out_is_noted():
    assert to_coco(labels(), sizes())["info"]["notes"] == [
        "1 image(s) in the images table but not in the image level labels are left out: new",
        "1 image(s) in the image level labels but not in the images table are left out: gone",
        "image b: box 2 (-3.56, 0.00, 10.00, 10.00) reaches over the border of the image of 200 x 100 and is clipped",
    ]


def test_paths_become_file_names():
    assert to_coco(labels(), sizes(path=["x/a.png", "x/b.png", "c"]))["images"][1]["file_name"] == "x/b.png"


def test_an_image_without_a_size():
    with pytest.raises(DataFault, match="image a has no positive height and width; convert it again"):
        to_coco(labels(), sizes().assign(width=0))
    with pytest.raises(DataFault, match="images table lacks width"):
        to_coco(labels(), sizes().drop(columns="width"))


def test_command(competition, tmp_path, capsys):
    images, out = tmp_path / "images.csv", tmp_path / "new" / "coco.json"
    pd.DataFrame({"image_id": [f"a{n}" for n in range(1, 5)], "height": 100, "width": 30}).to_csv(images, index=False)
    assert run(competition / "train_image_level.csv", images, out) == 0
    coco = json.loads(out.read_text())
    assert [image["image_id"] for image in coco["images"]] == ["a1", "a2", "a3", "a4"]
    assert coco["annotations"][0]["bbox"] == [10.5, 20, 30 - 10.5, 40]
    printed = capsys.readouterr().out
    assert "1 image(s) in the image level labels but not in the images table are left out: a5" in printed
    assert printed.endswith("coco.json: 4 images, 1 boxes\n")
    assert [path.name for path in out.parent.iterdir()] == ["coco.json"]


def test_command_on_two_data_sets_writes_nothing(competition, tmp_path):
    images, out = tmp_path / "images.csv", tmp_path / "coco.json"
    pd.DataFrame({"image_id": ["z"], "height": 9, "width": 9}).to_csv(images, index=False)
    with pytest.raises(DataFault, match=r"none of its images is in .*train_image_level.csv; take two files of one"):
        run(competition / "train_image_level.csv", images, out)
    assert not out.exists()


def test_pycocotools_reads_it_and_finds_its_own_boxes(tmp_path, capsys):
    reader = pytest.importorskip("pycocotools.coco")
    judge = pytest.importorskip("pycocotools.cocoeval")
    truth = reader.COCO(str(module.write_json(to_coco(labels(), sizes()), tmp_path / "coco.json")))
    found = [{**truth.anns[number], "score": 0.5} for number in truth.getAnnIds(catIds=[1])]
    evaluation = judge.COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    capsys.readouterr()
    assert evaluation.stats[1] == pytest.approx(1)  # AP at IoU .5; an id of 0 would make it .5
