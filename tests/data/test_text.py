import cv2
import numpy as np

from cxr.data.text import without_text


def test_letters_are_painted_over_and_the_rest_stays():
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.normal(90, 30, (320, 320)).clip(0, 180).astype(np.uint8), (0, 0), 4)
    marked = picture.copy()
    cv2.putText(marked, "L 7", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    found = without_text(marked)
    assert (marked >= 200).sum() > 100 and (found >= 200).sum() == 0
    assert np.array_equal(found[120:], picture[120:]), "what has no text stays as it is"
    assert np.abs(found.astype(int) - picture).mean() < 2
    assert np.array_equal(without_text(picture), picture)
