"""Weighted box fusion: ensemble-boxes against ours, the same boxes, and that the results are equal to the bit.

Boxes near a few objects are what detectors give; uniform ones, which hardly overlap, are the worst case.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import ensemble_boxes
import numpy as np

from cxr.bench.timing import alternating_ms, print_pair
from cxr.prediction.wbf import fuse_arrays, weighted_boxes_fusion

MODELS, BOXES, OBJECTS = 10, 100, 4
IMAGES, TIMED = 1263, 20  # the visible test set; images of it that both fuse, and the reference is scaled up
SETTINGS = {"iou_thr": 0.55, "skip_box_thr": 0.001}


class Sample(NamedTuple):
    """Boxes of some images, the same number of each model on each."""

    corners: np.ndarray  # [I x M x B x 4] xyxy in 0..1
    scores: np.ndarray  # [I x M x B]


def main(repeats: int) -> None:
    """Print a line a case: milliseconds of both, how many times as fast. Raises ValueError where results differ."""
    print(f"{f'fusion, {MODELS} models x {BOXES} boxes':54}{'reference':>10}{'ours':>10}{'times':>8}")
    begun = time.perf_counter()
    _each_alone(weighted_boxes_fusion, draw(np.random.default_rng(0), 1, clustered=True))
    print(f"{'  compiling it, or loading it from disk, once':64}{1000 * (time.perf_counter() - begun):10.1f}")
    for name, clustered in (("near four objects", True), ("uniform", False)):
        sample = draw(np.random.default_rng(1), IMAGES, clustered)
        few = Sample(sample.corners[:TIMED], sample.scores[:TIMED])
        check_equal(few)
        reference, alone, at_once = (total / TIMED for total in _times(few, repeats))
        print_pair(f"  {name}, one image a call, ms an image", reference, alone)
        print_pair(f"  {name}, {TIMED} images a call, ms an image", reference, at_once)
        whole = alternating_ms([lambda sample=sample: fuse_at_once(sample)], repeats)[0]
        print_pair(f"  {name}, {IMAGES} images, reference scaled, ms", reference * IMAGES, whole)


def draw(rng: np.random.Generator, images: int, clustered: bool) -> Sample:
    """Random boxes with random scores."""
    shape = (images, MODELS, BOXES)
    if not clustered:
        corners = np.sort(rng.random((*shape, 2, 2)), axis=-2)
        return Sample(corners.reshape(*shape, 4), rng.random(shape))
    objects = np.sort(rng.random((images, OBJECTS, 2, 2)), axis=-2).reshape(images, OBJECTS, 4)
    near = rng.integers(OBJECTS, size=shape)
    corners = objects[np.arange(images)[:, None, None], near] + rng.normal(0, 0.03, (*shape, 4))
    corners = np.sort(corners.clip(0, 1).reshape(*shape, 2, 2), axis=-2).reshape(*shape, 4)
    return Sample(corners, rng.random(shape))


def fuse_at_once(sample: Sample) -> list[tuple[np.ndarray, np.ndarray]]:
    """All images in one call: corners and scores of each."""
    images, per_image = len(sample.scores), MODELS * BOXES
    models = np.tile(np.repeat(np.arange(MODELS), BOXES), images)
    starts = np.arange(images + 1) * per_image
    corners, scores = sample.corners.reshape(-1, 4), sample.scores.reshape(-1)
    found = fuse_arrays(corners, scores, np.zeros(len(scores), int), models, starts, np.ones(MODELS), **SETTINGS)
    spans = [slice(*pair) for pair in zip(found.starts[:-1], found.starts[1:], strict=True)]
    return [(found.corners[span], found.scores[span]) for span in spans]


def check_equal(sample: Sample) -> None:
    """Raise ValueError unless all three ways give the same bits."""
    expected = _each_alone(ensemble_boxes.weighted_boxes_fusion, sample)
    for name, found in (("one by one", _each_alone(weighted_boxes_fusion, sample)), ("at once", fuse_at_once(sample))):
        for (boxes, scores), (own_boxes, own_scores) in zip(expected, found, strict=True):
            if not (np.array_equal(boxes, own_boxes) and np.array_equal(scores, own_scores)):
                raise ValueError(f"fusion {name} differs from ensemble-boxes; look at cxr.prediction.wbf")


def _times(sample: Sample, repeats: int) -> list[float]:
    """Milliseconds of the reference, of ours image by image, and of ours at once."""
    pieces = [
        lambda: _each_alone(ensemble_boxes.weighted_boxes_fusion, sample),
        lambda: _each_alone(weighted_boxes_fusion, sample),
        lambda: fuse_at_once(sample),
    ]
    return alternating_ms(pieces, repeats)


def _each_alone(fusion: Callable, sample: Sample) -> list[tuple[np.ndarray, np.ndarray]]:
    """Corners and scores of each image, fused by a call of its own."""
    labels = np.zeros((MODELS, BOXES), int)
    return [
        fusion(list(corners), list(scores), list(labels), **SETTINGS)[:2]
        for corners, scores in zip(sample.corners, sample.scores, strict=True)
    ]
