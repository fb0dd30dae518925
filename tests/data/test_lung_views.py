"""What a model sees of a picture, and where its boxes lie in the original one."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxr.boxes import iou_xyxy
from cxr.data.lung_views import LungViews, lung_of, see, see_lungs, see_training
from cxr.data.masks import mask_file, write_mask
from cxr.faults import DataFault
from cxr.profiles import PROFILES, Lungs
from cxr.tables import BOX_COLUMNS, LUNGS, write_table

SIDE = 64


def two_lungs(left=8, right=56, top=16, bottom=48):
    """Two upright bars, from `left` to `right`."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top:bottom, left : left + 16] = mask[top:bottom, right - 16 : right] = True
    return mask


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(1, 256, (SIDE, SIDE), dtype=np.uint8)


def boxes_of(*rows):
    return pd.DataFrame(
        [(name, "opacity", 1.0, *box) for name, box in rows], columns=["image_id", "label", "score", *BOX_COLUMNS]
    )


def images_of(*shapes):
    return pd.DataFrame([(f"i{n}", *shape) for n, shape in enumerate(shapes)], columns=["image_id", "height", "width"])


def test_a_crop_is_the_box_of_the_lungs_and_its_margin(picture):
    # box 8..56 x 16..48, an eighth of its sides (6 and 4) more at each side
    seen = see_lungs(picture, lung_of(two_lungs(), Lungs(margin=1 / 8)), "crop")
    assert np.array_equal(seen, picture[12:52, 2:62])


def test_a_margin_ends_at_the_border(picture):
    assert see_lungs(picture, lung_of(two_lungs(), Lungs(margin=5.0)), "crop").shape == (SIDE, SIDE)


def test_outside_of_the_grown_lungs_a_masked_picture_is_black(picture):
    lung = lung_of(two_lungs(), Lungs(margin=0))
    seen = see_lungs(picture, lung, "mask")
    assert (lung.mask & two_lungs()).sum() == two_lungs().sum(), "the lungs themselves are kept"
    assert np.array_equal(seen, picture * lung.mask) and not seen[:4].any()
    both = see_lungs(picture, lung, "crop+mask")
    assert np.array_equal(both, seen[16:48, 8:56])


def test_what_lies_between_the_lungs_may_be_kept_in(picture):
    without, with_heart = (lung_of(two_lungs(), Lungs(keep_heart=keep)).mask for keep in (False, True))
    assert not without[32, 32] and with_heart[16:48, 8:56].all() and (with_heart >= without).all()


def test_without_lungs_a_model_sees_everything(picture):
    assert all(see_lungs(picture, None, view) is picture for view in ("whole", "crop", "mask", "crop+mask"))


def test_views_are_rows_like_those_of_an_array(picture):
    pixels = np.stack([picture, picture[::-1], picture.T])
    views = LungViews(
        pixels, [lung_of(two_lungs(), Lungs(margin=0)), None, lung_of(two_lungs(top=0), Lungs(margin=0))], "crop"
    )
    assert [one.shape for one in views] == [(32, 48), (64, 64), (48, 48)] and len(views) == 3
    assert [one.shape for one in views[np.array([2, 0])]] == [(48, 48), (32, 48)]
    assert len(views[1:]) == 2 and np.array_equal(views[1:][0], pixels[1])


@pytest.mark.parametrize("view", ["crop", "crop+mask"])
def test_boxes_move_into_the_view_and_back(picture, view):
    images, inside = images_of((640, 1280), (640, 1280)), (200.0, 200.0, 400.0, 300.0)
    boxes = boxes_of(("i0", inside), ("i1", inside))
    seen = see(images, boxes, np.stack([picture] * 2), [lung_of(two_lungs(), Lungs(margin=0)), None], view)
    # the lungs' box is 8..56 x 16..48 of 64, so 160..1120 x 160..480 of the original
    assert seen.images["width"].tolist() == [960, 1280] and seen.images["height"].tolist() == [320, 640]
    assert seen.boxes[BOX_COLUMNS].to_numpy().tolist() == [[40, 40, 240, 140], list(inside)]
    assert np.allclose(seen.back(seen.boxes)[BOX_COLUMNS], [inside, inside])
    scores = pd.DataFrame({"image_id": ["i0"], "negative": [0.5]})
    assert seen.back(scores) is scores


def test_boxes_are_cut_at_the_view_and_left_out_where_little_is_left(picture):
    images = images_of((640, 640))
    # the view is 80..560 x 160..480
    rows = [(0, 200, 120, 300), (0, 200, 160, 300), (600, 200, 640, 300)]
    boxes = boxes_of(*(("i0", tuple(map(float, row))) for row in rows))
    seen = see(images, boxes, picture[None], [lung_of(two_lungs(), Lungs(margin=0))], "crop")
    # a third of the first lies in the view (40 of 120), half of the second, nothing of the last
    assert seen.boxes[BOX_COLUMNS].to_numpy().tolist() == [[0, 40, 40, 140], [0, 40, 80, 140]]


def test_a_masked_picture_keeps_its_boxes_and_sizes(picture):
    images, boxes = images_of((640, 640)), boxes_of(("i0", (0.0, 0.0, 10.0, 10.0)))
    seen = see(images, boxes, picture[None], [lung_of(two_lungs(), Lungs(margin=0))], "mask")
    assert seen.images is images and seen.boxes is boxes and seen.back(boxes) is boxes


def test_the_whole_picture_is_the_array_itself(picture):
    images, pixels = images_of((640, 640)), picture[None]
    seen = see(images, boxes_of(), pixels, [None], "whole")
    assert seen.pixels is pixels and seen.images is images


@pytest.fixture
def run(tmp_path):
    """A workspace in which stage 06 has left masks of two images, of which the second is not believed."""
    table = pd.DataFrame(
        [("i0", 0, 0, 640, 640, 2, 0.25, 1, ""), ("i1", 0, 0, 640, 640, 1, 0.01, 0, "small")],
        columns=[*LUNGS.columns, "reason"],
    )
    places = SimpleNamespace(lungs=tmp_path / "lungs", lungs_table=tmp_path / "tables" / "lungs.csv")
    write_table(table, places.lungs_table, LUNGS)
    for name in ("i0", "i1"):
        write_mask(mask_file(places.lungs, name), two_lungs())
    return SimpleNamespace(places=places, profile=PROFILES["demo"])


def test_training_images_are_seen_by_the_masks_of_stage_06(run, picture, capsys):
    images, pixels = images_of((640, 640), (640, 640)), np.stack([picture] * 2)
    seen, identity = see_training(run, "crop", images, boxes_of(), pixels)
    assert seen.pixels[0].shape < (SIDE, SIDE) and seen.pixels[1].shape == (SIDE, SIDE)
    assert "view crop: 1 of 2 images by their lungs" in capsys.readouterr().out
    write_mask(mask_file(run.places.lungs, "i0"), two_lungs(top=0))
    assert see_training(run, "crop", images, boxes_of(), pixels)[1] != identity, "other masks are another training"
    assert see_training(run, "whole", images, boxes_of(), pixels)[1] == []


def test_what_is_wrong_is_said_in_one_line(run, picture):
    images = images_of((640, 640), (640, 640), (640, 640))
    with pytest.raises(
        DataFault, match=r"lungs=hull: no such view of a picture; choose one of whole, crop, mask, crop\+mask"
    ):
        see_training(run, "hull", images, boxes_of(), None)
    with pytest.raises(DataFault, match=r"no lung mask of 1 image\(s\) \(i2\); run 06_segment_lungs again"):
        see_training(run, "crop", images, boxes_of(), None)
    run.places.lungs_table.unlink()
    with pytest.raises(DataFault, match="put lung masks into the input and run 06_segment_lungs, or take lungs=whole"):
        see_training(run, "mask", images, boxes_of(), None)


def test_windows_of_real_proportions_lose_no_part_of_a_box(picture):
    rng, mask = np.random.default_rng(1), two_lungs()
    shapes = [tuple(rng.integers(500, 4000, 2)) for _ in range(50)]
    corners = [rng.uniform(0.3, 0.45, 2).tolist() + rng.uniform(0.5, 0.7, 2).tolist() for _ in shapes]
    rows = [
        (f"i{n}", tuple(np.array(c) * [w, h, w, h])) for n, ((h, w), c) in enumerate(zip(shapes, corners, strict=True))
    ]
    boxes, images = boxes_of(*rows), images_of(*shapes)
    seen = see(images, boxes, np.stack([picture] * 50), [lung_of(mask, Lungs(margin=0.08))] * 50, "crop")
    back = seen.back(seen.boxes)[BOX_COLUMNS].to_numpy()
    assert np.diag(iou_xyxy(back, boxes[BOX_COLUMNS].to_numpy())).min() > 1 - 1e-9
