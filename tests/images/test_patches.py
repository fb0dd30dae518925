"""Patches at random places of the lungs, and their maps put together again."""

import numpy as np
import pytest

from cxr.bench.lungs import plain_patches, radiograph
from cxr.faults import DataFault
from cxr.images.lungs import clean_mask
from cxr.images.patches import coverage, draw_patches, mean_map, place_back, put_together


def test_patches_are_those_of_a_plain_loop_and_the_same_for_a_seed():
    picture, mask = radiograph()
    mask = clean_mask(mask)
    patches = draw_patches(picture, mask, seed=3, count=10)
    assert patches.pixels.shape == (10, 224, 224) and patches.pixels.dtype == np.uint8
    assert np.array_equal(patches.pixels, plain_patches(picture, mask, patches.centres))
    assert mask[tuple(patches.centres.T)].all(), "every centre is lung"
    assert np.array_equal(patches.pixels, draw_patches(picture, mask, seed=3, count=10).pixels)
    assert not np.array_equal(patches.centres, draw_patches(picture, mask, seed=4, count=10).centres)


@pytest.mark.parametrize("size", [4, 5])
def test_a_patch_over_the_border_is_black_there(size):
    picture, mask = np.full((8, 8), 9, np.uint8), np.zeros((8, 8), bool)
    mask[0, 0] = True
    patch = draw_patches(picture, mask, seed=0, count=1, size=size, masked=False).pixels[0]
    before = size // 2
    assert not patch[:before].any() and not patch[:, :before].any() and (patch[before:, before:] == 9).all()


def test_centres_are_drawn_evenly_among_lung_pixels():
    mask = np.zeros((4, 4), bool)
    mask[1, 1:3] = True
    centres = draw_patches(np.zeros((4, 4), np.uint8), mask, seed=0, count=4000, size=2).centres
    assert (centres[:, 0] == 1).all() and (centres[:, 1] == 1).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("size", [4, 5])
def test_equation_5_against_a_direct_loop(size):
    rng = np.random.default_rng(1)
    maps, centres = rng.random((6, size, size)), rng.integers(0, (9, 7), (6, 2))
    total, count = np.zeros((9, 7)), np.zeros((9, 7))
    for one, (row, column) in zip(maps, centres, strict=True):
        for i in range(size):
            for j in range(size):
                y, x = row - size // 2 + i, column - size // 2 + j
                if 0 <= y < 9 and 0 <= x < 7:
                    total[y, x] += one[i, j]
                    count[y, x] += 1
    found_total, found_count = put_together(maps, centres, (9, 7))
    assert np.allclose(found_total, total, atol=1e-6) and np.array_equal(found_count, count)
    expected = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    assert np.allclose(mean_map(maps, centres, (9, 7)), expected, atol=1e-6)
    assert (mean_map(maps, centres, (9, 7))[count == 0] == 0).all()


def test_a_picture_without_lungs_or_with_another_mask_is_refused():
    picture = np.zeros((8, 8), np.uint8)
    with pytest.raises(DataFault, match="no pixel of the mask is lung, so there is no place for a patch"):
        draw_patches(picture, np.zeros((8, 8), bool), seed=0)
    with pytest.raises(DataFault, match=r"a mask of \(4, 8\) does not fit a picture of \(8, 8\); resize it first"):
        draw_patches(picture, np.ones((4, 8), bool), seed=0)


@pytest.mark.parametrize("size", [4, 5])
def test_numbers_of_patches_as_a_map_against_a_direct_loop(size):
    rng = np.random.default_rng(2)
    values, centres = rng.random(40), rng.integers(0, (20, 30), (40, 2))
    total, count = np.zeros((20, 30)), np.zeros((20, 30), int)
    for value, (row, column) in zip(values, centres, strict=True):
        top, left = row - size // 2, column - size // 2
        total[max(0, top) : top + size, max(0, left) : left + size] += value
        count[max(0, top) : top + size, max(0, left) : left + size] += 1
    assert np.array_equal(coverage(centres, size, (20, 30)), count) and (count == 0).any() and count.max() > 1
    found = place_back(values, centres, size, (20, 30))
    assert found.dtype == np.float32 and (found[count == 0] == 0).all()
    assert np.allclose(found, total / np.maximum(count, 1), atol=1e-6)
    flat = np.repeat(values[:, None, None], size, 1).repeat(size, 2)
    assert np.allclose(found, mean_map(flat, centres, (20, 30)), atol=1e-6)


def test_a_mean_stays_between_the_numbers():
    centres = np.random.default_rng(3).integers(0, 64, (100, 2))
    assert set(np.unique(place_back(np.full(100, 0.1), centres, 9, (64, 64)))) == {0, np.float32(0.1)}
    assert not place_back(np.zeros(0), np.zeros((0, 2), int), 9, (8, 8)).any()


@pytest.mark.parametrize(
    "values, words", [([0.5], r"\(1,\)"), ([0.5, np.nan], r"\(2,\)"), ([[0.5], [0.5]], r"\(2, 1\)")]
)
def test_numbers_that_do_not_fit_the_patches_are_refused(values, words):
    with pytest.raises(DataFault, match=f"2 patches need as many finite numbers, here is {words}; one a patch"):
        place_back(values, np.zeros((2, 2), int), 3, (8, 8))
