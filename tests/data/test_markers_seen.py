"""Marks at one place are found, letters strewn over a corner are not."""

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.data import markers_seen
from cxr.labels import STUDY_CLASSES
from cxr.phantom.pictures import draw_picture
from cxr.phantom.shortcuts import MARKED_CLASS, PLACE, burn_marker

SIZE, PATIENTS = 320, 100


def letter(picture, text, x, y):
    cv2.putText(picture, text, (round(x), round(y)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)


@pytest.fixture(scope="module")
def chest():
    """PATIENTS noisy pictures with a letter laid by hand, each a little elsewhere in the upper corners."""
    rng = np.random.default_rng(3)
    pixels = rng.normal(90, 12, (PATIENTS, SIZE, SIZE)).clip(0, 255).astype(np.uint8)
    for picture in pixels:
        letter(picture, rng.choice(["L", "R"]), rng.choice([10, 240]) + rng.uniform(0, 50), rng.uniform(20, 110))
    images = pd.DataFrame(
        {"image_id": [f"i{n}" for n in range(PATIENTS)], "patient_id": [f"p{n}" for n in range(PATIENTS)]}
    )
    for number, name in enumerate(STUDY_CLASSES):
        images[name] = (np.arange(PATIENTS) % 4 == number).astype(int)
    return pixels, images


def test_spots_are_bright_and_sharp():
    picture = np.full((SIZE, SIZE), 90, np.uint8)
    cv2.circle(picture, (150, 150), 50, 250, -1)  # bright, but wide and soft as a heart
    picture = cv2.GaussianBlur(picture, (0, 0), 5)
    picture[10:13, 10:40] = 150  # sharp, but gray
    assert not markers_seen.spots_of(picture).any()
    letter(picture, "L", 250, 300)
    rows, columns = np.nonzero(markers_seen.spots_of(picture))
    scale = markers_seen.CELLS / SIZE
    assert rows.min() >= 280 * scale and rows.max() <= 304 * scale
    assert columns.min() >= 248 * scale and columns.max() <= 266 * scale


def test_letters_laid_by_hand_make_no_repeated_place(chest):
    maps = markers_seen.marker_maps(*chest)
    assert len(maps["siim"].spots) == PATIENTS and maps["siim"].spots.any((1, 2)).all(), "every picture has one"
    assert markers_seen.marker_table(maps).empty


def test_a_planted_marker_is_found_with_its_place_class_and_number(chest):
    pixels, images = chest[0].copy(), chest[1]
    marked = np.flatnonzero(images["typical"])[:15]
    for row in marked:
        letter(pixels[row], "H7", 40, 290)
    over = np.zeros((64, 64))
    over[:32] = 1
    found = markers_seen.marker_table(markers_seen.marker_maps(pixels, images), over)
    assert set(found["source"]) == {"siim"} and (found["x"].between(40 / SIZE, 66 / SIZE)).all()
    assert found["y"].between(276 / SIZE, 292 / SIZE).all()
    first = found.iloc[0]
    assert (first["seen_in"], first["images"], first["of"]) == ("siim", 15, 100)
    assert first["share"] == 0.15 > 5 * first["around"]
    assert first[list(STUDY_CLASSES)].tolist() == [0, 15 / 25, 0, 0] and first["over_lungs"] == 0


def test_copies_of_one_patient_or_picture_do_not_repeat_a_place(chest):
    pixels, images = chest[0].copy(), chest[1].copy()
    for row in range(20):
        letter(pixels[row], "H7", 40, 290)
    assert not markers_seen.marker_table(markers_seen.marker_maps(pixels, images)).empty
    one_patient = images.assign(patient_id=["p"] * 20 + [f"p{n}" for n in range(80)])
    assert markers_seen.marker_table(markers_seen.marker_maps(pixels, one_patient)).empty
    one_picture = images.assign(pixel_hash=["same"] * 20 + [f"h{n}" for n in range(80)])
    assert markers_seen.marker_table(markers_seen.marker_maps(pixels, one_picture)).empty


def test_another_source_is_judged_by_itself(chest):
    other = chest[0][:48].copy()
    for picture in other[:24]:
        letter(picture, "P", 150, 300)
    maps = markers_seen.marker_maps(chest[0][:0], chest[1][:0], {"NIH": other})
    found = markers_seen.marker_table(maps)
    assert set(found["source"]) == {"NIH"} and found["images"].iat[0] == 24
    assert found[list(STUDY_CLASSES)].isna().all(axis=None)


def test_at_most_so_many_pictures_are_read():
    found = markers_seen.spot_map(np.zeros((markers_seen.MOST_PICTURES + 7, 1, 1), np.uint8), [0, 2, 5])
    assert found.rows.tolist() == [0, 2, 5] and found.share.shape == (128, 128) and not found.share.any()


@pytest.mark.slow
def test_the_phantoms_shortcut_is_found_and_an_honest_phantom_has_none():
    kinds = [STUDY_CLASSES[number % 4] for number in range(64)]
    pictures = [
        draw_picture(5, "markers", (n, n, n, n), kind, None, (SIZE, SIZE)).pixels for n, kind in enumerate(kinds)
    ]
    images = pd.DataFrame({"patient_id": [f"p{n}" for n in range(64)]})
    for name in STUDY_CLASSES:
        images[name] = [int(kind == name) for kind in kinds]
    honest = np.stack([np.rint(picture * 255).astype(np.uint8) for picture in pictures])
    assert markers_seen.marker_table(markers_seen.marker_maps(honest, images)).empty
    planted = honest.copy()
    for row in np.flatnonzero(images[MARKED_CLASS]):
        planted[row] = np.rint(burn_marker(pictures[row]) * 255)
    found = markers_seen.marker_table(markers_seen.marker_maps(planted, images))
    assert (np.abs(found["x"] - PLACE[0]) < 0.1).all() and (np.abs(found["y"] - PLACE[1]) < 0.1).all()
    assert found[MARKED_CLASS].iat[0] > 0.8 > 5 * found["negative"].iat[0]
