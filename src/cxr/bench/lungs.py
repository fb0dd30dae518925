"""Clean-up of a lung mask and patches of one picture of 1024 px: the plain way with scipy and loops against ours."""

from functools import partial

import numpy as np
from scipy import ndimage

from cxr.bench.timing import alternating_ms, print_pair
from cxr.images.lungs import CLOSINGS, DILATIONS, OF_SIDE, SMALLEST_PART, clean_mask, grow_mask
from cxr.images.patches import COUNT, PATCH, SIDE, draw_patches

SEED = 0
SQUARE = np.ones((3, 3), bool)


def main(repeats: int) -> None:
    """Print milliseconds of both. Raises ValueError where results differ."""
    picture, mask = radiograph()
    print(f"{f'lungs, one picture of {SIDE} px, ms':54}{'plain':>10}{'ours':>10}{'times':>8}")
    cleaned = clean_mask(mask)
    if not (np.array_equal(plain_clean(mask), cleaned) and np.array_equal(plain_grow(cleaned), grow_mask(cleaned))):
        raise ValueError("the plain way gives another mask; look at cxr.images.lungs")
    patches = draw_patches(picture, cleaned, SEED)
    if not np.array_equal(plain_patches(picture, cleaned, patches.centres), patches.pixels):
        raise ValueError("the plain way gives other patches; look at cxr.images.patches")
    pairs = {
        "two largest parts, holes filled": (partial(plain_clean, mask), partial(clean_mask, mask)),
        f"{DILATIONS} dilations and {CLOSINGS} closings of paper 000": (
            partial(plain_grow, cleaned),
            partial(grow_mask, cleaned),
        ),
        f"{COUNT} patches of {PATCH} px": (
            partial(plain_patches, picture, cleaned, patches.centres),
            partial(draw_patches, picture, cleaned, SEED),
        ),
        "clean-up, growth and patches": (partial(plain, picture, mask, patches.centres), partial(ours, picture, mask)),
    }
    for name, pair in pairs.items():
        print_pair(f"  {name}", *alternating_ms(list(pair), repeats))


def radiograph() -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture and two ragged lungs with holes and specks, as a network leaves them."""
    rng = np.random.default_rng(SEED)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    lungs = [((x - centre) / 0.16) ** 2 + ((y - 0.5) / 0.33) ** 2 for centre in (0.28, 0.72)]
    ragged = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 12)
    mask = np.minimum(*lungs) + 6 * ragged < 1
    mask ^= ndimage.binary_dilation(rng.random((SIDE, SIDE)) > 0.9995)
    return rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8), mask


def ours(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Clean-up, growth, and patches of the cleaned lungs."""
    cleaned = clean_mask(mask)
    grow_mask(cleaned)
    return draw_patches(picture, cleaned, SEED).pixels


def plain(picture: np.ndarray, mask: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The same, written down as the papers say it."""
    cleaned = plain_clean(mask)
    plain_grow(cleaned)
    return plain_patches(picture, cleaned, centres)


def plain_clean(mask: np.ndarray) -> np.ndarray:
    """`clean_mask` with scipy."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    kept = [index + 1 for index in np.argsort(-sizes, kind="stable")[:2] if sizes[index] >= SMALLEST_PART * sizes.max()]
    return ndimage.binary_fill_holes(np.isin(labels, kept))


def plain_grow(mask: np.ndarray) -> np.ndarray:
    """`grow_mask` by so many iterations; lungs end inside of this picture, so its border does not matter."""
    grown = ndimage.binary_dilation(mask, SQUARE, iterations=DILATIONS * SIDE // OF_SIDE)
    return ndimage.binary_closing(grown, SQUARE, iterations=CLOSINGS * SIDE // OF_SIDE)


def plain_patches(picture: np.ndarray, mask: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Each patch cut out by itself, black where it leaves the picture."""
    found, before = [], PATCH // 2
    for row, column in centres:
        patch = np.zeros((PATCH, PATCH), np.uint8)
        for i in range(PATCH):
            y = row - before + i
            if 0 <= y < SIDE:
                left, right = max(0, column - before), min(SIDE, column - before + PATCH)
                start = left - (column - before)
                line = np.where(mask[y, left:right], picture[y, left:right], 0)
                patch[i, start : start + right - left] = line
        found.append(patch)
    return np.stack(found)
