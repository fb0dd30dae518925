"""Enhancements of papers 001 and 002 on histograms whose answers are known."""

import numpy as np
import pytest

from cxr.faults import DataFault
from cxr.images.enhance import adaptive, beasf, clahe, equalise, match_histogram, normalise_contrast

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
NOISE = np.random.default_rng(0).normal(90, 25, (64, 64)).clip(0, 255).astype(np.uint8)


def by_hand(picture, gamma):
    """BEASF pixel by pixel, as SYSTEMS defines it."""
    mean, found = picture.mean(), np.empty(picture.shape)
    for half, low, high in ((picture <= mean, 0, mean), (picture > mean, mean, 255)):
        values = picture[half].astype(float)
        if not values.size:
            continue
        if values.max() == values.min():
            found[half] = values
            continue
        curve = 1 / (1 + np.exp(-gamma * 5 * (values - np.median(values)) / np.ptp(values)))
        found[half] = low + (high - low) * (curve - curve.min()) / np.ptp(curve)
    return np.rint(found)


@pytest.mark.parametrize("picture", [RAMP, NOISE, 255 - NOISE // 2], ids=["ramp", "noise", "bright"])
@pytest.mark.parametrize("gamma", [0.5, 1.5, 4.0])
def test_beasf_is_its_definition(picture, gamma):
    assert np.array_equal(beasf(picture, gamma), by_hand(picture, gamma))


def test_beasf_of_two_values_keeps_them():
    """Each half has one gray value: nothing to stretch."""
    picture = np.where(np.arange(16).reshape(4, 4) < 8, 40, 200).astype(np.uint8)
    assert np.array_equal(beasf(picture, 1.5), picture)


def test_beasf_meets_at_the_mean_and_fills_the_range():
    found = beasf(RAMP, 1.5).ravel()
    assert (found[0], found[127], found[255]) == (0, 128, 255)  # 127.5, the mean, is rounded to even
    assert np.all(np.diff(found.astype(int)) >= 0)


def test_a_larger_gamma_steepens_the_middle_of_each_half():
    gentle, steep = (beasf(RAMP, gamma).ravel().astype(int) for gamma in (0.5, 4.0))
    assert steep[80] - steep[48] > gentle[80] - gentle[48]


def test_beasf_of_an_even_picture_and_an_empty_one():
    assert np.array_equal(beasf(np.full((4, 4), 7, np.uint8), 1.5), np.full((4, 4), 7))
    assert beasf(np.empty((0, 4), np.uint8), 1.5).shape == (0, 4)
    with pytest.raises(DataFault, match="slope of BEASF must be above 0"):
        beasf(RAMP, 0)


def test_equalising_spreads_gray_values_evenly():
    found = np.bincount(equalise(NOISE).ravel(), minlength=256).cumsum() / NOISE.size
    assert np.abs(found - np.arange(1, 257) / 256).max() < 0.03


def test_clahe_limits_what_ahe_does():
    """Even noise of two gray levels: AHE tears it apart, CLAHE leaves it nearly alone."""
    even = np.random.default_rng(1).integers(100, 102, (64, 64)).astype(np.uint8)
    assert np.ptp(adaptive(even)) > 3 * np.ptp(clahe(even, clip=1.0))


def test_a_matched_picture_has_the_other_histogram():
    base = np.random.default_rng(2).normal(160, 12, (64, 64)).clip(0, 255).astype(np.uint8)
    found = match_histogram(NOISE, base)
    assert abs(found.mean() - base.mean()) < 1 and abs(found.std() - base.std()) < 1
    order = np.argsort(NOISE.ravel(), kind="stable")
    assert np.all(np.diff(found.ravel()[order].astype(int)) >= 0), "darker stays darker"
    assert np.array_equal(match_histogram(base, base), base)


def test_normalisation_of_paper_002():
    """Equalised, then (x / 255) ** .5: of the ramp, which equalising leaves alone, just that."""
    assert np.array_equal(normalise_contrast(RAMP), np.rint(255 * np.sqrt(equalise(RAMP) / 255)))
    assert np.array_equal(normalise_contrast(RAMP, gamma=1.0), equalise(RAMP))
