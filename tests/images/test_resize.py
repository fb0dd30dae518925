"""The resize equals OpenCV's, to the bit."""

import cv2
import numpy as np
import pytest

from cxr.images.resize import fit_within, resize_area, to_cache_size


def cv2_area(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def random_picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise, or few grey levels: those put many sums exactly between two integers."""
    levels = rng.choice([2, 3, 5, 256])
    return (rng.integers(0, levels, (height, width)) * (255 // (levels - 1))).astype(np.uint8)


@pytest.mark.parametrize("seed", range(300))
def test_equals_opencv_at_any_size(seed):
    rng = np.random.default_rng(seed)
    height, width, new_height, new_width = rng.integers(1, 200, 4).tolist()
    pixels = random_picture(rng, height, width)
    assert np.array_equal(resize_area(pixels, new_height, new_width), cv2_area(pixels, new_height, new_width))


@pytest.mark.parametrize("shape", [(2544, 3056), (3520, 4280), (2048, 2048), (1500, 1024), (1023, 1025)])
@pytest.mark.parametrize("size", [1024, 512])
def test_equals_opencv_at_real_sizes(shape, size):
    pixels = random_picture(np.random.default_rng(size), *shape)
    assert np.array_equal(to_cache_size(pixels, size), cv2_area(pixels, size, size))


def test_pictures_that_are_not_contiguous_are_read_right():
    pixels = random_picture(np.random.default_rng(0), 90, 130)
    for view in (pixels[::2], pixels[:, ::-1], pixels.T, pixels[5:80, 7:99]):
        assert np.array_equal(to_cache_size(view, 17), cv2_area(np.ascontiguousarray(view), 17, 17))


def test_cache_size_stretches_to_a_square_by_area():
    pixels = np.array([[0, 0, 100, 100], [0, 0, 100, 100], [50, 50, 200, 200], [50, 50, 200, 200],
                       [50, 50, 200, 200], [50, 50, 200, 200]], np.uint8)  # fmt: skip
    # rows 0-2 and 3-5 fall together: (0 + 0 + 50) / 3 = 17, (100 + 100 + 200) / 3 = 133
    assert to_cache_size(pixels, 2).tolist() == [[17, 133], [50, 200]]


def test_fit_within_keeps_proportions_and_never_enlarges():
    pixels = np.zeros((50, 20), np.uint8)
    assert fit_within(pixels, 25).shape == (25, 10)
    assert fit_within(pixels, 1).shape == (1, 1)
    assert fit_within(pixels, 1000) is pixels
