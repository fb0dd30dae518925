"""The measures of the difficulty card on made-up pictures whose answers are known, and on a small phantom."""

import os
from pathlib import Path

import numpy as np
import pytest

from cxr.faults import DataFault
from cxr.phantom.difficulty import difficulty_card, measure, phantom_samples, real_samples

NONE = np.empty((0, 4))


def pictures(count, change, seed=0):
    """Noise pictures of 160 px; the first half has a box in which `change` was applied."""
    rng = np.random.default_rng(seed)
    box = np.array([[20.0, 40.0, 70.0, 120.0]])
    made = []
    for number in range(count):
        pixels = 0.5 + 0.05 * rng.standard_normal((160, 160)).astype(np.float32)
        if number < count // 2:
            pixels[40:120, 20:70] = change(pixels[40:120, 20:70], rng)
        made.append((pixels, box if number < count // 2 else NONE))
    return made


def test_box_statistics_are_shares_of_the_picture():
    values = measure(pictures(8, lambda part, rng: part))
    assert values["pictures"] == 8 and values["with boxes, %"] == 50 and values["one box, %"] == 100
    assert values["box width"] == pytest.approx(50 / 160) and values["box height"] == pytest.approx(80 / 160)
    assert values["box area"] == pytest.approx(50 * 80 / 160**2) and values["box area, SD"] == pytest.approx(0)
    assert values["mean boxes hit, %"] == 100  # all boxes are the mean box


def test_brightness_and_texture_are_told_apart():
    bright = measure(pictures(24, lambda part, rng: part + 0.05))
    rough = measure(pictures(24, lambda part, rng: part + 0.05 * rng.standard_normal(part.shape).astype(np.float32)))
    assert bright["brightness, d"] > 5 and bright["ring contrast"] > 0.5
    assert abs(rough["brightness, d"]) < 1.5 and rough["fine texture, d"] > 5
    assert bright["thumbnail, d"] > 2 * rough["thumbnail, d"]


def test_bytes_and_floats_measure_alike():
    floats = pictures(8, lambda part, rng: part + 0.1)
    as_bytes = [((pixels * 255).round().astype(np.uint8), boxes) for pixels, boxes in floats]
    one, other = measure(floats), measure(as_bytes)
    assert one["brightness, d"] == pytest.approx(other["brightness, d"], rel=0.05)


def test_both_kinds_of_pictures_are_needed():
    with pytest.raises(DataFault, match="0 pictures with boxes and 1 without"):
        measure([(np.zeros((20, 20)), NONE)])


def test_the_phantom_hides_from_thumbnails_and_shows_in_texture():
    samples = list(phantom_samples(60, seed=3, longer_side=(240, 300)))
    values = measure(samples)
    assert values["thumbnail, d"] < 0.45 and abs(values["brightness, d"]) < 1
    assert values["middle texture, d"] > 0.3
    assert 0.15 < values["box width"] < 0.3 and 0.25 < values["box height"] < 0.5
    card = difficulty_card({"phantom": samples}, {"labels": {"box width": 0.218}})
    assert "| box width |" in card and card.splitlines()[0] == "| measure | phantom | labels |"


def test_real_pictures_are_measured_by_the_same_code():
    folder = Path(os.environ.get("CXR_REALDATA", Path(__file__).resolve().parents[3] / "shared" / "realdata"))
    if not (folder / "images.csv").is_file():
        pytest.skip("no real radiographs: set CXR_REALDATA to a folder with images.csv and boxes.csv")
    samples = real_samples(folder, "gb_opacity")
    pixels, boxes = next(samples)
    assert pixels.dtype == np.uint8 and len(boxes) and (boxes[:, 2:] > boxes[:, :2]).all()
