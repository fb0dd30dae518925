"""Lung masks cleaned, grown, boxed and judged: the arithmetic on small masks, equality with scipy, real masks."""

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.bench.lungs import plain_clean, plain_grow, radiograph
from cxr.images.lungs import (
    LEAST_GROWN,
    MIRROR,
    UNDER_SEGMENTED,
    clean_mask,
    deformed_share,
    grow_mask,
    is_inverted,
    keep_heart,
    lung_box_xyxy,
    lungs_apart,
    rejection,
)


def disc(size, *circles):
    mask = np.zeros((size, size), np.uint8)
    for x, y, radius in circles:
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def test_two_largest_parts_stay_and_holes_are_filled():
    mask = disc(64, (16, 20, 10), (44, 20, 8), (30, 55, 4))
    mask[18:22, 14:18] = False
    clean = clean_mask(mask)
    assert np.array_equal(clean, disc(64, (16, 20, 10), (44, 20, 8)))
    assert not clean_mask(np.zeros((8, 8), bool)).any()


def test_a_speck_is_no_second_lung():
    mask = disc(64, (30, 30, 20))
    speck = mask.copy()
    speck[2:4, 2:4] = True
    assert np.array_equal(clean_mask(speck), mask)


def test_clean_up_gives_the_masks_of_scipy():
    rng = np.random.default_rng(0)
    for _ in range(50):
        noise = cv2.GaussianBlur(rng.normal(size=(60, 80)).astype(np.float32), (0, 0), rng.uniform(0.5, 4))
        mask = noise > rng.normal(0, noise.std())
        assert np.array_equal(clean_mask(mask), plain_clean(mask))
    for _ in range(20):  # many parts of equal size
        mask = rng.random((20, 30)) > 0.7
        assert np.array_equal(clean_mask(mask), plain_clean(mask))


def test_eight_dilations_and_two_closings_at_512_px_are_sixteen_and_four_at_1024():
    _, mask = radiograph()
    assert np.array_equal(grow_mask(clean_mask(mask)), plain_grow(clean_mask(mask)))
    point = np.zeros((512, 512), bool)
    point[100, 200] = True
    grown = grow_mask(point)
    assert grown.sum() == 17 * 17 and grown[92:109, 192:209].all()


def test_a_lung_at_the_border_is_not_eaten_by_the_closing():
    mask = np.zeros((512, 512), bool)
    mask[200:300, :50] = True
    assert grow_mask(mask)[192:308, :58].all() and grow_mask(mask).sum() == 116 * 58


def test_growing_closes_a_gap():
    mask = np.zeros((512, 512), bool)
    mask[100:200, 100:140] = mask[100:200, 159:200] = True  # 19 px apart: 8 from each side leave 3, the closing takes 4
    assert grow_mask(mask)[150, 100:200].all()


def test_the_least_area_of_paper_000_is_a_share():
    assert pytest.approx(0.1907, abs=1e-4) == LEAST_GROWN
    assert rejection(0.18, LEAST_GROWN, 0.75) == "covers 18.0% of the picture, less than 19%"
    assert rejection(0.2, LEAST_GROWN, 0.75) == "" and rejection(0, 0, 1) == "no lung found"


def test_a_margin_is_a_share_of_the_box_and_ends_at_the_border():
    mask = np.zeros((100, 200), bool)
    mask[40:60, 10:110] = True
    assert lung_box_xyxy(mask).tolist() == [10, 40, 110, 60]
    assert lung_box_xyxy(mask, 0.25).tolist() == [0, 35, 135, 65]
    assert lung_box_xyxy(np.zeros((100, 200), bool), 0.25).tolist() == [0, 0, 200, 100]


def test_what_lies_between_the_lungs_is_kept_in():
    mask = np.zeros((10, 20), bool)
    mask[1:6, 2:6] = mask[3:9, 14:18] = True
    kept = keep_heart(mask)
    expected = mask.copy()
    expected[3:6, 6:14] = True  # the rows in which both are
    assert np.array_equal(kept, expected)
    alone = mask.copy()
    alone[:, 10:] = False
    assert np.array_equal(keep_heart(alone), alone)


def test_a_deformed_lung_is_counted_above_a_quarter():
    truth = np.zeros((100, 100), bool)
    truth[20:80, 10:40] = truth[20:80, 60:90] = True
    found = truth.copy()
    found[50:80, 60:90] = False  # half of one lung: a quarter of both
    assert deformed_share(found, truth) == UNDER_SEGMENTED
    found[49, 60] = False
    assert deformed_share(found, truth) > UNDER_SEGMENTED
    assert np.isnan(deformed_share(found, np.zeros_like(truth)))


def test_without_the_truth_hulls_and_a_missing_lung_tell():
    both = disc(200, (60, 100, 40), (140, 100, 35))
    assert deformed_share(both) < 0.05
    alone = cv2.ellipse(np.zeros((200, 200), np.uint8), (60, 100), (24, 60), 0, 0, 360, 1, -1) > 0
    assert deformed_share(alone) == pytest.approx(1 - 1 / (1 + MIRROR), abs=0.03), "the other one is missing"
    notched = both.copy()
    notched[80:120, 60:100] = False  # 40 x 40 of 2 x 4400 or so, open to the middle
    assert deformed_share(notched) == pytest.approx(1600 / 8870, abs=0.03)
    assert np.isnan(deformed_share(np.zeros((10, 10), bool)))


def lungs(size=200):
    """Two half discs over a diaphragm that arches: the outer ends reach lower than the inner corners."""
    mask = np.zeros((size, size), np.uint8)
    for centre in (50, 150):
        cv2.ellipse(mask, (centre, 100), (30, 80), 0, 0, 360, 1, -1)
    cv2.ellipse(mask, (100, 185), (90, 60), 0, 0, 360, 0, -1)
    return mask > 0


def test_a_lung_of_which_a_third_is_left_shows_beside_the_other():
    both = lungs()
    found = both.copy()
    found[: both[:, :100].sum(1).cumsum().searchsorted(both[:, :100].sum() * 2 / 3), :100] = False
    assert deformed_share(both) < 0.15
    assert deformed_share(found, both) == pytest.approx(1 / 3, abs=0.02)
    assert UNDER_SEGMENTED < deformed_share(found) < 0.4


def test_the_space_under_the_diaphragm_is_not_kept_in():
    both = lungs()
    between = keep_heart(both) & ~both
    inner = [np.flatnonzero(both[:, column]).max() for column in (70, 130)]
    assert between[60:110, 85:115].all(), "the rows between the lungs"
    assert np.flatnonzero(between.any(1)).max() <= max(inner) < np.flatnonzero(both.any(1)).max() - 10
    everything = np.maximum.accumulate(both, 1) & np.maximum.accumulate(both[:, ::-1], 1)[:, ::-1]
    assert everything[inner[0] + 10 :].sum() > both[inner[0] + 10 :].sum(), "rows filled up would reach below"


def test_lungs_that_grew_together_are_two_and_pieces_of_one_are_one():
    both = lungs()
    left, right = lungs_apart(both)
    assert left[:, :100].sum() == left.sum() and right[:, 100:].sum() == right.sum()
    joined = both.copy()
    joined[90:94, 60:140] = True
    left, right = lungs_apart(joined)
    assert np.array_equal(left | right, joined) and not left[:, 100:].any() and not right[:, :99].any()
    assert deformed_share(joined) < UNDER_SEGMENTED
    assert (keep_heart(joined) & ~joined)[60:80, 90:110].all()
    pieces = both.copy()
    pieces[:, 100:] = pieces[70:80] = False
    assert len(lungs_apart(pieces)) == 1 and np.array_equal(keep_heart(pieces), pieces)
    assert lungs_apart(np.zeros((8, 8), bool)) == []
    pixel = np.zeros((8, 8), bool)
    pixel[4, 4] = True
    assert len(lungs_apart(pixel)) == 1 and np.array_equal(keep_heart(pixel), pixel) and deformed_share(pixel) > 0


def test_real_masks_are_sound(realdata):
    table = pd.read_csv(realdata / "masks.csv")
    paths = [realdata / name for name in table.loc[table["kind"].str.startswith("lung"), "mask"]]
    masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    lungs = [(mask > 0) & (mask != 127) for mask in masks]
    assert not any(is_inverted(mask) for mask in lungs)
    shares = np.array([deformed_share(clean_mask(mask)) for mask in lungs])
    assert np.median(shares) < 0.1 and shares.max() < UNDER_SEGMENTED, "what people drew is not deformed"
    assert all(len(lungs_apart(clean_mask(mask))) == 2 for mask in lungs)
    for mask in map(clean_mask, lungs):
        kept = keep_heart(mask)
        assert (kept >= mask).all() and kept.mean() < 1.6 * mask.mean()
    without = [mask & (lungs_apart(mask)[0] == 0) for mask in map(clean_mask, lungs)]
    assert min(map(deformed_share, without)) > UNDER_SEGMENTED, "a lung that is missing shows"
