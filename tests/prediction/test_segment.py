import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from cxr.data.masks import read_masks
from cxr.faults import DataFault
from cxr.figures.lungs import show_lungs
from cxr.images.lungs import lung_box_xyxy
from cxr.models.unet import UNet
from cxr.prediction import segment
from cxr.prediction.segment import LungSegmenter, lung_table, segment_training
from cxr.profiles import Lungs
from cxr.tables import IMAGES, LUNGS, read_table, write_table
from cxr.training.runs import finish_run, start_run
from cxr.workspace import open_workspace

SETTINGS = {"network": "unet", "structures": False, "width": 2, "depth": 3, "size": 16}


def disc(size, *circles):
    mask = np.zeros((size, size), np.uint8)
    for x, y, radius in circles:
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def dark_is_lung(folder):
    """A run folder whose network answers: darker than the mean of the picture."""
    network = UNet(**{name: SETTINGS[name] for name in ("width", "depth")})
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    state = network.state_dict()
    first, second, join = "down.0.0.weight", "down.0.3.weight", "join.1.0.weight"
    state[first][0, 0, 1, 1] = -1.0  # darkness, carried through the centre of every kernel up to the last layer
    state[second][0, 0, 1, 1] = 1.0
    state[join][0, 2, 1, 1] = 1.0  # channels 0 and 1 come from below, 2 and 3 over the skip
    state["join.1.3.weight"][0, 0, 1, 1] = 1.0
    for name in ("down.0.1", "down.0.4", "join.1.1", "join.1.4"):
        state[f"{name}.weight"][0] = 1.0
    state["last.weight"][0, 0], state["last.bias"][0] = 20.0, -2.0
    start_run(folder, {"settings": SETTINGS})
    finish_run(folder, state, {})
    return folder


def pictures(count=3, side=64):
    """Bright pictures with two dark discs; the last one has none."""
    lungs = disc(side, (18, 30, 11), (46, 30, 11))
    pixels = np.where(lungs, 40, 180).astype(np.uint8)[None].repeat(count, 0)
    pixels[-1] = 180
    return pixels, lungs


@pytest.fixture
def run(tmp_path):
    """A workspace after stage 01 with three images and a segmenter."""
    workspace = open_workspace(
        "demo", "images.cache_size=64", str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s")
    )
    places, (pixels, _) = workspace.places, pictures()
    names = ["12e4", "b", "c"]
    texts = {column: names for column in IMAGES.text}
    write_table(pd.DataFrame({**texts, "height": 128, "width": 256}), places.images_table, IMAGES)
    places.cache(64).parent.mkdir(parents=True)
    np.save(places.cache(64), pixels)
    dark_is_lung(places.lungs_model)
    return workspace


def test_a_segmenter_answers_at_the_size_of_the_cache(tmp_path):
    pixels, lungs = pictures()
    masks = LungSegmenter(dark_is_lung(tmp_path / "lungs")).predict(pixels)
    assert masks.shape == pixels.shape and masks.dtype == bool
    for mask in masks[:2]:
        assert 2 * (mask & lungs).sum() / (mask.sum() + lungs.sum()) > 0.9
    assert not masks[2].any()
    assert LungSegmenter(tmp_path / "lungs").predict(pixels[:0]).shape == (0, 64, 64)


def test_boxes_are_in_pixels_of_the_original_image():
    mask = np.zeros((1, 100, 100), bool)
    mask[0, 20:60, 10:30] = True
    mask[0, 20:60, 70:90] = True
    images = pd.DataFrame({"image_id": ["12e4"], "height": [1000], "width": [500]})
    row = lung_table(images, mask, Lungs(min_area=0.1, max_area=0.5)).iloc[0]
    # columns 10..90 of 100 are 50..450 of 500, rows 20..60 of 100 are 200..600 of 1000
    assert row[["x_min", "y_min", "x_max", "y_max"]].tolist() == [50, 200, 450, 600]
    assert row["area"] == 0.16 and row["parts"] == 2 and row["accepted"] == 1 and row["reason"] == ""


def test_rejected_masks_stay_listed_with_the_reason():
    masks = np.zeros((3, 10, 10), bool)
    masks[1, 4, 4] = True
    masks[2, 1:] = True
    images = pd.DataFrame({"image_id": list("abc"), "height": [20] * 3, "width": [30] * 3})
    table = lung_table(images, masks, Lungs(min_area=0.06, max_area=0.75))
    assert table["accepted"].tolist() == [0, 0, 0] and table["parts"].tolist() == [0, 1, 1]
    assert table["reason"].tolist() == [
        "no lung found",
        "covers 1.0% of the picture, less than 6%",
        "covers 90.0% of the picture, more than 75%",
    ]
    assert table.loc[0, ["x_min", "y_min", "x_max", "y_max"]].tolist() == [0, 0, 30, 20], "cropping loses nothing"
    assert lung_box_xyxy(masks[1]).tolist() == [4, 4, 5, 5]


def test_masks_and_table_of_all_training_images_are_written(run, monkeypatch, capsys):
    monkeypatch.setattr(segment, "CHUNK", 2)
    run.places.lungs.mkdir(parents=True)
    (run.places.lungs / "gone.png").touch()
    table = segment_training(run, {"dice": 1.0})
    assert table["image_id"].tolist() == ["12e4", "b", "c"] and table["accepted"].tolist() == [1, 1, 0]
    assert "lungs of 2 of 3 images are believed" in capsys.readouterr().out
    pd.testing.assert_frame_equal(read_table(run.places.lungs_table, LUNGS).fillna({"reason": ""}), table)
    assert sorted(path.name for path in run.places.lungs.iterdir()) == ["12e4.png", "b.png", "c.png"]
    masks = read_masks(run.places.lungs, ["12e4", "c"])
    assert masks.shape == (2, 64, 64) and masks[0].mean() == pytest.approx(table["area"][0], abs=1e-4)
    # 64 cache pixels stand for 256 original ones across and 128 down
    box = lung_box_xyxy(masks[0]) * [4, 2, 4, 2]
    assert table.loc[0, ["x_min", "y_min", "x_max", "y_max"]].tolist() == box.tolist()


def test_without_a_segmenter_nothing_is_written(run):
    assert segment_training(run, None) is None
    assert not run.places.lungs.exists() and not run.places.lungs_table.exists()
    assert show_lungs(None, None, run.places.lungs, accepted=1) is None


def test_a_cache_of_other_images_is_refused(run):
    np.save(run.places.cache(64), pictures(2)[0])
    with pytest.raises(DataFault, match="images.csv: does not fit train_64.npy; run 01_dicom_to_png again"):
        segment_training(run, {})
    run.places.images_table.unlink()
    with pytest.raises(DataFault, match="images.csv: not there yet; run notebook 01_dicom_to_png first"):
        segment_training(run, {})


def test_outlines_are_drawn_for_what_was_asked(run):
    table = segment_training(run, {})
    pixels = np.load(run.places.cache(64))
    accepted = show_lungs(table, pixels, run.places.lungs, accepted=1)
    assert [axes.get_title().split()[0] for axes in accepted.axes] == ["12e4", "b"]
    assert all(len(axes.collections) == 1 for axes in accepted.axes), "one contour each"
    rejected = show_lungs(table, pixels, run.places.lungs, accepted=0)
    assert len(rejected.axes) == 1 and not rejected.axes[0].collections, "an empty mask has no outline"
    assert len(accepted._repr_png_()) > 1000
