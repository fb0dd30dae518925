import cv2
import numpy as np
import pytest
from planted import picture, reencoded
from scipy.fft import dctn

from cxr.data.near_duplicates import CORRELATION, is_flat, near_copies, perceptual_hashes, registered, to_thumbnails
from cxr.data.pictures import load_gray
from cxr.faults import DataFault
from cxr.images.resize import to_cache_size

PICTURES = [picture(number, 200) for number in range(30)]


def noisy(pixels):
    noise = np.random.default_rng(5).normal(0, 10, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def turned(pixels):
    move = cv2.getRotationMatrix2D((100, 100), 1.5, 1)
    return cv2.warpAffine(pixels, move, pixels.shape, borderMode=cv2.BORDER_REPLICATE)


COPIES = {
    "re-encoded, smaller, brighter": reencoded,
    "gamma": lambda pixels: (255 * (pixels / 255) ** 0.7).astype(np.uint8),
    "less contrast": lambda pixels: (pixels * 0.6 + 40).astype(np.uint8),
    "noise": noisy,
    "larger": lambda pixels: cv2.resize(pixels, (301, 333), interpolation=cv2.INTER_CUBIC),
    "cut by 1.5 % on every side": lambda pixels: pixels[3:-3, 3:-3],
    "turned": turned,
    "negative": lambda pixels: 255 - pixels,
}


def pairs(found):
    return list(zip(found["row"], found["other"], strict=True))


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found_and_nothing_else(name):
    copies = [COPIES[name](pixels) for pixels in PICTURES[:10]]
    found = near_copies(to_thumbnails([*PICTURES, *copies]))
    assert set(pairs(found)) <= {(number, 30 + number) for number in range(10)}
    assert len(found) >= 8, "of ten"
    assert (found["correlation"].abs() > CORRELATION).all() and (found["correlation"] < 0).any() == (name == "negative")


def test_two_sets_are_compared_with_each_other_alone():
    ours, theirs = to_thumbnails(PICTURES[:6]), to_thumbnails([PICTURES[9], reencoded(PICTURES[4]), PICTURES[9]])
    assert pairs(near_copies(theirs, ours)) == [(1, 4)] and pairs(near_copies(ours, theirs)) == [(4, 1)]
    assert near_copies(ours).empty and pairs(near_copies(theirs)) == [(0, 2)]
    assert near_copies(ours, theirs[:0]).empty and near_copies(theirs[:0], ours).empty and near_copies(ours[:1]).empty


def test_pairs_reach_over_the_blocks_of_rows():
    many = [picture(number, 64) for number in range(150)]
    many[140] = many[3]
    many[149] = many[63]
    assert pairs(near_copies(to_thumbnails(many))) == [(3, 140), (63, 149)]


def test_the_hash_is_that_of_the_lowest_frequencies():
    thumbnail = to_thumbnails([PICTURES[0]])[0]
    small = thumbnail.reshape(32, 2, 32, 2).mean((1, 3))
    low = dctn(small, norm="ortho")[:8, :8]
    low[0] *= np.sqrt(2)  # the orthonormal form weighs the first row and column less
    low[:, 0] *= np.sqrt(2)
    bits = np.unpackbits(perceptual_hashes(thumbnail[None]).view(np.uint8))
    assert (bits == (low > np.median(low)).ravel()).all() and bits.sum() == 32


def test_the_correlation_is_pearsons():
    one, other = PICTURES[0], noisy(PICTURES[0])
    found = near_copies(to_thumbnails([one, other]))
    small = [to_cache_size(pixels, 64).ravel() for pixels in (one, other)]
    assert found["correlation"][0] == pytest.approx(np.corrcoef(small)[0, 1], abs=1e-4)


def test_flat_pictures_are_like_nothing():
    blank = np.full((64, 64), 7, np.uint8)
    speck = blank.copy()
    speck[10, 10] = 60  # a dead pixel is no picture either: its deviation is 53 / 64
    thumbnails = np.stack([blank, blank, speck, speck, PICTURES[0][:64, :64], blank + 248])
    assert is_flat(thumbnails).tolist() == [True, True, True, True, False, True]
    assert near_copies(thumbnails).empty and near_copies(thumbnails, thumbnails[:4]).empty


def test_a_moved_picture_must_fit_in_its_fine_structure():
    one = to_thumbnails([PICTURES[0]])[0]
    moved = to_thumbnails([PICTURES[0][4:, 2:]])[0]
    assert registered(one, moved) > CORRELATION
    coarse = cv2.GaussianBlur(one, (0, 0), 3)  # the same hills
    other = cv2.add(coarse, cv2.subtract(to_thumbnails([PICTURES[1]])[0], 90) // 8)
    assert registered(one, other) == 0
    assert registered(one, np.roll(one, 9, 1)) < CORRELATION, "nine pixels are another position of another body"


def test_pictures_by_the_hundred_that_look_alike_are_a_fault():
    alike = np.stack([PICTURES[0][:64, :64]] * 200)
    with pytest.raises(
        DataFault, match=r"\d+ pairs look alike among the first \d+ of 200 pictures .* 01_dicom_to_png"
    ) as f:
        near_copies(alike)
    assert "\n" not in str(f.value)


def test_real_pictures_of_different_patients_are_kept_apart(realdata):
    files = sorted((realdata / "images" / "nih").glob("*.jpg"))
    twins = sorted((realdata / "images" / "nih_png_original").glob("*.png"))
    assert len(files) > 400 and len(twins) == 6
    files = files[::4] + [realdata / "images" / "nih" / f"{path.stem}.jpg" for path in twins]
    files = sorted(set(files)) + twins
    thumbnails = to_thumbnails([load_gray(path) for path in files])
    found = [{files[row].stem, files[other].stem} for row, other in pairs(near_copies(thumbnails))]
    assert found == [{path.stem} for path in twins], "a JPEG and its PNG, and no two patients"
