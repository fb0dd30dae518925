"""The centre of a picture in its own proportions, cut out of a cache of stretched pictures."""

import cv2
import numpy as np
import pytest

from cxr.images.centre import around_centre, boxes_in_window, centre_window, see_centre
from cxr.images.resize import resize_area, to_cache_size


def picture(height, width):
    """A smooth picture, so that two ways to resize it agree."""
    y, x = np.mgrid[:height, :width]
    return np.rint(100 + 60 * np.sin(x / width * 7) + 60 * np.cos(y / height * 5)).clip(0, 255).astype(np.uint8)


def test_it_is_the_papers_resize_and_crop():
    """Shorter side to 256, middle 224, by OpenCV on the original; here out of the 512 px square."""
    whole = picture(800, 600)
    usual = resize_area(whole, round(800 * 256 / 600), 256)
    top = (usual.shape[0] - 224) // 2
    wanted = usual[top : top + 224, 16:240]
    window = centre_window(800, 600, 224, 256)
    found = see_centre(to_cache_size(whole, 512), window, 224)
    assert found.shape == (224, 224) and np.abs(found.astype(int) - wanted).mean() < 1.5
    assert window == pytest.approx((1 / 16, (1 - 0.875 * 0.75) / 2, 0.875, 0.875 * 0.75))


def test_without_resize_all_is_seen():
    assert centre_window(800, 600, 224, 0) == (0.0, 0.0, 1.0, 1.0)
    cache = picture(512, 512)
    assert (see_centre(cache, (0.0, 0.0, 1.0, 1.0), 224) == to_cache_size(cache, 224)).all()


def test_boxes_follow_the_window():
    window = centre_window(800, 600, 224, 256)
    corners = np.array([[window[0], window[1], window[0] + window[2], window[1] + window[3]], [0.5, 0.5, 1.0, 1.0]])
    found = boxes_in_window(corners, window, 224)
    assert found[0] == pytest.approx([0, 0, 224, 224]) and found[1][:2] == pytest.approx([112, 112])
    assert found[1][2] > 224, "what lies outside stays outside"


def test_heat_goes_back_to_where_it_was_seen():
    window = centre_window(100, 100, 7, 8)
    whole = around_centre(np.ones((7, 7), np.float32), window)
    assert whole.shape == (8, 8) and whole.sum() == 49
    assert around_centre(np.ones((4, 4)), (0.0, 0.0, 1.0, 1.0)).shape == (4, 4)
    assert cv2.resize(whole, (16, 16)).max() == 1
