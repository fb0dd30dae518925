"""Each layout of lung masks on small made-up sets, what is told about files that are wrong, and real pairs."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.data.mask_sets import darwin, jsrt, listed, nlm
from cxr.data.mask_sets.jsrt_img import read_jsrt
from cxr.data.mask_sets.parts import Part, load_part, load_parts
from cxr.data.mask_sets.sets import MASK_SETS, annotated, read_mask_sets
from cxr.data.masks import load_lungs, load_pairs, load_structures
from cxr.faults import DataFault
from cxr.images.lungs import HEART, LEFT_LUNG, RIGHT_LUNG

SIDE = 40


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        Image.fromarray(pixels).save(path)
    else:
        assert cv2.imwrite(str(path), pixels)
    return path


def picture(side=SIDE):
    return np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)


def bar(columns, rows=(8, 30), value=255, side=SIDE):
    mask = np.zeros((side, side), np.uint8)
    mask[slice(*rows), slice(*columns)] = value
    return mask


RIGHT, LEFT = (5, 15), (25, 35)  # columns: the patient's right is left in the picture


def montgomery(folder, stem="MCUCXR_0001_0", right=RIGHT, left=LEFT):
    save(folder / "CXR_png" / f"{stem}.png", picture())
    save(folder / "ManualMask" / "rightMask" / f"{stem}.png", bar(right))
    save(folder / "ManualMask" / "leftMask" / f"{stem}.png", bar(left))
    return folder


def test_montgomery_tells_right_from_left(tmp_path):
    folder = montgomery(tmp_path)
    save(folder / "CXR_png" / "MCUCXR_0002_1.png", picture())
    pairs, findings = nlm.read_montgomery(folder)
    assert pairs[["image_id", "source"]].to_numpy().tolist() == [["MCUCXR_0001_0", "montgomery"]]
    assert findings == [f"{folder}: left out, not both masks: 1 (MCUCXR_0002_1)"]
    maps = load_structures(next(pairs.itertuples()), (SIDE, SIDE))
    assert (maps[8:30, 5:15] == RIGHT_LUNG).all() and (maps[8:30, 25:35] == LEFT_LUNG).all()
    assert np.array_equal(load_lungs(next(pairs.itertuples()), (SIDE, SIDE)) == 1, maps > 0)


def test_right_is_where_the_patients_right_is_whatever_a_folder_is_called(tmp_path):
    pairs, findings = nlm.read_montgomery(montgomery(tmp_path, right=LEFT, left=RIGHT))
    assert "leftMask" in pairs["right"][0][0].path and "rightMask" in pairs["left"][0][0].path
    assert "lie the other way round than they are called and are exchanged: 1 (MCUCXR_0001_0)" in findings[0]


@pytest.mark.parametrize("name", ["mask", "masks"])
def test_shenzhen_with_the_masks_that_are_shipped_apart(tmp_path, name):
    save(tmp_path / "CXR_png" / "CHNCXR_0001_0.png", picture())
    with pytest.raises(DataFault, match="the masks of Shenzhen are shipped apart, put them beside CXR_png"):
        nlm.read_shenzhen(tmp_path)
    save(tmp_path / name / "CHNCXR_0001_0_mask.png", bar((5, 35)))
    pairs, findings = nlm.read_shenzhen(tmp_path)
    assert len(pairs) == 1 and findings == [] and pairs["right"][0] == ()


def raw(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels.astype(">u2").tofile(path)
    return path


def test_jsrt_is_raw_big_endian_and_bright_where_the_film_is_dark(tmp_path):
    stored = np.full((2048, 2048), 1000)
    stored[0, 0], stored[0, 1] = 4095, 95
    pixels = read_jsrt(raw(tmp_path / "JPCLN001.IMG", stored))
    assert pixels.dtype == np.uint8 and pixels[0, 0] == 0 and pixels[0, 1] == 255
    assert pixels[5, 5] == round((4095 - 1000) / 4000 * 255)
    (tmp_path / "short.IMG").write_bytes(b"1234")
    with pytest.raises(DataFault, match=r"short.IMG: 4 bytes, a raw picture of JSRT has 8388608; download it again"):
        read_jsrt(tmp_path / "short.IMG")


def scr(folder, stem, fold="fold1", ending="gif", side=64):
    for part, columns in (("heart", (20, 40)), ("right lung", (5, 20)), ("left lung", (30, 60))):
        save(folder / "scr" / fold / "masks" / part / f"{stem}.{ending}", bar(columns, (10, 50), side=side))


def test_jsrt_with_the_masks_of_scr(tmp_path):
    raw(tmp_path / "All247images" / "JPCLN001.IMG", np.arange(2048**2).reshape(2048, 2048) % 4096)
    save(tmp_path / "png" / "JPCNN002.png", picture(64))
    scr(tmp_path, "JPCLN001")
    scr(tmp_path, "JPCNN002", "fold2")
    scr(tmp_path, "JPCNN003", "fold2")
    pairs, findings = jsrt.read_jsrt_scr(tmp_path)
    assert pairs["image_id"].tolist() == ["JPCLN001", "JPCNN002"] and pairs["height"].tolist() == [2048, 64]
    assert findings[0].endswith("masks without a picture: 1 (JPCNN003)")
    assert "another size than its picture and is resized: 1 (JPCLN001)" in findings[1]
    maps = load_structures(list(pairs.itertuples())[1], (64, 64))
    assert (maps[10:50, 20:40] == HEART).all(), "the heart lies over the left lung"
    assert (maps[10:50, 40:60] == LEFT_LUNG).all() and (maps[10:50, 5:20] == RIGHT_LUNG).all()
    pixels, small = load_pairs(pairs, 32, structures=True)
    assert pixels.shape == small.shape == (2, 32, 32) and set(np.unique(small)) == {0, 1, 2, 3}
    with pytest.raises(DataFault, match="no masks/right lung/"):
        jsrt.read_jsrt_scr(tmp_path / "png")


def points(*corners):
    return [{"x": x, "y": y} for x, y in corners]


SQUARE = points((10, 20), (110, 20), (110, 220), (10, 220))
HOLE = points((40, 100), (80, 100), (80, 140), (40, 140))


def darwin_file(folder, name, annotations, version=1, size=(300, 400), image=True):
    if image:
        save(folder / "images" / f"{name}.png", np.zeros(size, np.uint8))
    height, width = size
    content = {"annotations": annotations}
    if version == 1:
        content["image"] = {"filename": f"{name}.png", "height": height, "width": width}
    else:
        content["item"] = {"name": f"{name}.png", "slots": [{"height": height, "width": width}]}
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_both_versions_of_darwin_draw_the_same_mask(tmp_path):
    one = [{"name": "Lung", "polygon": {"path": SQUARE}}, {"name": "Patient ID/12e4", "tag": {}}]
    two = [{"name": "Lung", "polygon": {"paths": [SQUARE]}}, {"name": "Patient ID/12e4", "tag": {}}]
    darwin_file(tmp_path, "a", one)
    darwin_file(tmp_path, "b", two, version=2)
    pairs, findings = darwin.read_darwin(tmp_path)
    assert pairs["patient_id"].tolist() == ["v7-12e4"] * 2 and findings == []
    masks = [load_lungs(row, (300, 400)) for row in pairs.itertuples()]
    assert np.array_equal(*masks) and masks[0].sum() == 101 * 201 and masks[0][20:221, 10:111].all()
    assert load_lungs(next(pairs.itertuples()), (150, 200)).mean() == pytest.approx(masks[0].mean(), rel=0.03)


def test_a_path_inside_of_another_is_a_hole(tmp_path):
    for name, shape in (
        ("a", {"complex_polygon": {"path": [SQUARE, HOLE]}}),
        ("b", {"polygon": {"paths": [SQUARE, HOLE]}}),
    ):
        darwin_file(tmp_path, name, [{"name": "Lung", **shape}])
    for row in darwin.read_darwin(tmp_path)[0].itertuples():
        mask = load_lungs(row, (300, 400))
        assert not mask[110:130, 50:70].any() and mask[60, 60] == 1


def test_what_paper_003_leaves_out_is_left_out_and_told(tmp_path):
    lung = {"name": "Lung", "polygon": {"path": SQUARE}}
    darwin_file(tmp_path, "good", [lung])
    darwin_file(tmp_path, "side", [lung, {"name": "Lateral", "tag": {}}])
    darwin_file(tmp_path, "small", [lung], size=(255, 400))
    darwin_file(tmp_path, "bare", [{"name": "COVID-19", "tag": {}}])
    darwin_file(tmp_path, "gone", [lung], image=False)
    (tmp_path / "annotations" / "torn.json").write_text("{")
    (tmp_path / "annotations" / "list.json").write_text("[]")
    (tmp_path / "annotations" / "other.json").write_text('{"info": 1}')
    pairs, findings = darwin.read_darwin(tmp_path)
    told = " | ".join(findings)
    assert pairs["image_id"].tolist() == ["good"]
    for words in (
        "left out, lateral: 1 (side.png)",
        "left out, smaller than 256 px: 1 (small.png)",
        "left out, no polygon called Lung: 1 (bare.png)",
        "left out, the picture is not there: 1 (gone.png)",
        "no readable JSON; export it again: 1 (torn.json)",
        "a list or value, not an object); export it again: 1 (list.json)",
        "it needs image or item, and annotations); export it again: 1 (other.json)",
        "says nothing of patients, so each picture counts as a patient of its own: 1 (good.png)",
    ):
        assert words in told, words
    with pytest.raises(DataFault, match="no annotation file"):
        darwin.read_darwin(tmp_path / "images")


def test_a_polygon_of_no_numbers_is_one_line(tmp_path):
    darwin_file(tmp_path, "a", [{"name": "Lung", "polygon": {"path": [{"x": "left", "y": 1}]}}])
    with pytest.raises(DataFault, match=r"a point of Lung is no \{x, y\} of numbers.*not one|not one can be used"):
        darwin.read_darwin(tmp_path)


def listing(folder, rows, images=None):
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["path", "mask", "kind", "values"]).to_csv(folder / "masks.csv", index=False)
    if images:
        pd.DataFrame(images, columns=["path", "patient_id"]).to_csv(folder / "images.csv", index=False)
    return folder


def test_a_table_says_what_numbers_mean_and_who_the_patient_is(tmp_path):
    for name in ("a", "b", "c"):
        save(tmp_path / "pics" / f"{name}.png", picture())
    sides = bar(RIGHT, value=1) + bar(LEFT, value=2)
    save(tmp_path / "lr" / "a.png", sides)
    save(tmp_path / "v7" / "a.png", bar((5, 35)))
    unsure = bar((5, 20))
    unsure[:, 30:] = 127
    save(tmp_path / "v7" / "b.png", unsure)
    rows = [
        ("pics/a.png", "v7/a.png", "lung", "0 background / 255 lung / 127 ignore"),
        ("pics/a.png", "lr/a.png", "lung_lr", "0 background / 1 right / 2 left"),
        ("pics/b.png", "v7/b.png", "lung", "0 background / 255 lung / 127 ignore"),
        ("pics/b.png", "x/b.png", "opacity", "0 background / 1 ground glass"),
        ("pics/c.png", "lr/c.png", "lung_lr", "0 background / 1 right / 2 left"),
    ]
    pairs, findings = listed.read_listed(listing(tmp_path, rows, [("pics/a.png", "12e4"), ("pics/b.png", None)]))
    assert pairs["image_id"].tolist() == ["a", "b"] and pairs["source"].tolist() == ["lr", "v7"]
    assert pairs["patient_id"].tolist() == ["pics-12e4", "pics-b"]
    told = " | ".join(findings)
    assert "several masks, the one with more structures or the first counts: 1 (a)" in told
    assert "picture or mask is not there: 1 (c)" in told and "counts as a patient of its own: 1 (b)" in told
    first, second = pairs.itertuples()
    assert (
        load_structures(first, (SIDE, SIDE)) == np.where(sides == 1, RIGHT_LUNG, np.where(sides == 2, LEFT_LUNG, 0))
    ).all()
    mask = load_lungs(second, (SIDE, SIDE))
    assert (mask[:, 30:] == 255).all() and (mask[8:30, 5:20] == 1).all() and not mask[:, :5].any()


def test_a_table_that_is_wrong_is_one_line(tmp_path):
    (tmp_path / "masks.csv").write_text("path,mask\na,b\n")
    with pytest.raises(DataFault, match="kind"):
        listed.read_listed(tmp_path)
    with pytest.raises(DataFault, match="no row of kind lung or lung_lr"):
        listed.read_listed(listing(tmp_path, [("a", "b", "opacity", "")]))
    save(tmp_path / "a.png", picture())
    save(tmp_path / "m.png", bar((5, 35)))
    rows = [("a.png", "m.png", "lung_lr", "0 / 1 / 2")]
    with pytest.raises(DataFault, match="of 0 pictures with a mask not one can be used"):
        listed.read_listed(listing(tmp_path, rows))


def test_values_that_nobody_named_are_refused(tmp_path):
    path = save(tmp_path / "m.png", np.where(bar(RIGHT) > 0, 1, np.where(bar(LEFT) > 0, 7, 0)).astype(np.uint8))
    with pytest.raises(DataFault, match=r"m.png: holds values that nobody named \(7\); name them, or was it saved as"):
        load_part(Part(str(path), value=1, legend=(0, 1, 2)))
    assert load_part(Part(str(path), value=1, legend=(0, 1, 7))).sum() == bar(RIGHT, value=1).sum()
    photograph = save(tmp_path / "p.png", picture())
    with pytest.raises(DataFault, match=r"nobody named \(\d+, \d+, \d+, ...\)"):
        load_part(Part(str(photograph), value=1, legend=(0, 1, 2)))


def test_the_same_mask_for_both_lungs_is_left_out(tmp_path):
    montgomery(tmp_path, right=RIGHT, left=RIGHT)
    montgomery(tmp_path, stem="MCUCXR_0002_0")
    pairs, findings = nlm.read_montgomery(tmp_path)
    assert pairs["image_id"].tolist() == ["MCUCXR_0002_0"] and "right and left are the same mask: 1" in findings[0]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((SIDE, SIDE), np.uint8), "the mask is empty"),
        (255 - bar((5, 35)), "covers most of the border, so it seems inverted"),
        (bar((1, 39), (1, 39)), "covers more than 75% of the picture, so it seems inverted"),
        (bar((5, 35))[:, :20], "another shape than its picture"),
    ],
)
def test_masks_that_cannot_be_right_are_left_out(tmp_path, mask, words):
    save(tmp_path / "CXR_png" / "a.png", picture())
    save(tmp_path / "CXR_png" / "b.png", picture())
    save(tmp_path / "mask" / "a_mask.png", mask)
    save(tmp_path / "mask" / "b_mask.png", bar((5, 35)))
    pairs, findings = nlm.read_shenzhen(tmp_path)
    assert pairs["image_id"].tolist() == ["b"] and words in findings[0] and findings[0].endswith("1 (a)")


def test_parts_are_joined(tmp_path):
    parts = tuple(Part(str(save(tmp_path / f"{n}.png", bar(columns)))) for n, columns in enumerate((RIGHT, LEFT)))
    assert np.array_equal(load_parts(parts), (bar(RIGHT) | bar(LEFT)) > 0)


def test_all_sets_are_read_and_a_picture_of_two_counts_once(tmp_path):
    montgomery(tmp_path / "MontgomerySet")
    kaggle = tmp_path / "chest-xray-masks-and-labels" / "Lung Segmentation"
    for stem in ("MCUCXR_0001_0", "CHNCXR_0001_0"):
        save(kaggle / "CXR_png" / f"{stem}.png", picture())
        save(kaggle / "masks" / f"{stem}.png", bar((5, 35)))
    (tmp_path / "jsrt").mkdir()
    folders = {slug: tmp_path / slug for slug in ("chest-xray-masks-and-labels", "MontgomerySet", "jsrt")}
    pairs, findings = read_mask_sets(folders)
    assert pairs["image_id"].tolist() == ["MCUCXR_0001_0", "CHNCXR_0001_0"]
    assert annotated(pairs, "right").tolist() == [True, False] and annotated(pairs, "lungs").all()
    assert any(line.startswith("left out, ") and "no masks/right lung" in line for line in findings)
    assert findings[-1] == "pictures that another set has too, counted once: 1 (MCUCXR_0001_0)"
    with pytest.raises(DataFault, match="no masks/right lung"):
        read_mask_sets({"jsrt": tmp_path / "jsrt"})
    assert set(folders) < set(MASK_SETS)


def test_real_pairs_by_their_table(realdata):
    pairs, findings = listed.read_listed(realdata)
    assert len(pairs) == 80, "as the README of the pack says"
    assert any("several masks" in line for line in findings)
    assert not any("are exchanged" in line for line in findings), "right is left in the picture as it was written"
    sides = pairs[annotated(pairs, "right")]
    assert len(sides) == 24 and annotated(pairs, "lungs").all()
    pixels, maps = load_pairs(sides, 64, structures=True)
    middles = [[np.flatnonzero((one == number).any(0)).mean() for one in maps] for number in (RIGHT_LUNG, LEFT_LUNG)]
    assert (np.array(middles[0]) < np.array(middles[1])).all() and pixels.shape == (24, 64, 64)
    _, masks = load_pairs(pairs, 64)
    assert set(np.unique(masks)) == {0, 1, 255} and 0.1 < (masks == 1).mean() < 0.5


LUNG = {"name": "Lung", "polygon": {"path": SQUARE}}


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ([{"name": "Lung", "polygon": [1]}], "it needs image or item, and annotations"),
        (["Lung"], "it needs image or item, and annotations"),
        ([{"name": "Lung", "polygon": {"path": points((float("nan"), 1), (3, 4), (5, 6))}}], "a point of Lung is no"),
    ],
)
def test_odd_annotations_are_told_and_the_others_read(tmp_path, annotations, words):
    darwin_file(tmp_path, "good", [LUNG])
    darwin_file(tmp_path, "odd", annotations)
    pairs, findings = darwin.read_darwin(tmp_path)
    assert pairs["image_id"].tolist() == ["good"] and words in " | ".join(findings)


def test_a_tag_that_is_a_number_is_a_tag(tmp_path):
    darwin_file(tmp_path, "a", [LUNG, {"name": 3, "tag": {}}])
    assert len(darwin.read_darwin(tmp_path)[0]) == 1


def test_rows_without_a_file_and_pictures_of_one_name_are_told(tmp_path):
    for name in ("x/a.png", "y/a.png"):
        save(tmp_path / name, picture())
    save(tmp_path / "m.png", bar((5, 35)))
    rows = [("x/a.png", "m.png", "lung", ""), ("y/a.png", "m.png", "lung", ""), ("x/b.png", None, "lung", "")]
    pairs, findings = listed.read_listed(listing(tmp_path, rows))
    told = " | ".join(findings)
    assert pairs["path"].tolist() == [str(tmp_path / "x" / "a.png")]
    assert "left out, names no picture or no mask: 1 (line 4)" in told
    assert "left out, another picture has the same name: 1 (a)" in told
