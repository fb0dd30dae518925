"""Average precision: by hand, against the VOC kit's loop written out, and against object-detection-metrics (podm)."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from cxr.boxes import iou_xyxy
from cxr.evaluation.voc import (
    average_precision,
    boxed_only,
    match_detections,
    mean_average_precision,
    precision_recall,
    restrict,
)
from cxr.labels import UNIT_BOX

ABOVE_HALF = np.nextafter(0.5, 1)  # turns podm's "IoU >= threshold" into "IoU > .5"
BOX = (0, 0, 10, 10)


def matches_of(detections, truths, images=1, iou_threshold=0.5):
    """detections: (image, score, box) in file order; truths: (image, box)."""
    image, scores, boxes = zip(*detections, strict=True) if detections else ((), (), ())
    true_image, true_boxes = zip(*truths, strict=True) if truths else ((), ())
    return match_detections(image, scores, boxes, true_image, true_boxes, images, iou_threshold)


def ap(detections, truths, images=1, **kwargs):
    return average_precision(matches_of(detections, truths, images, **kwargs))


def voc_loop(detections, truths, threshold=0.5):
    """VOCevaldet.m of the VOC 2010 kit, statement by statement: one detection after the other."""
    boxes = {}
    for image, box in truths:
        boxes.setdefault(image, []).append(box)
    taken, correct = set(), []
    for image, _, one in sorted(detections, key=lambda detection: -detection[1]):
        best, owner = -math.inf, None
        for number, other in enumerate(boxes.get(image, [])):
            width = min(one[2], other[2]) - max(one[0], other[0])
            height = min(one[3], other[3]) - max(one[1], other[1])
            if width > 0 and height > 0:
                areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
                overlap = width * height / (sum(areas) - width * height)
                if overlap > best:
                    best, owner = overlap, (image, number)
        correct.append(best > threshold and owner not in taken)
        if correct[-1]:
            taken.add(owner)
    found = np.cumsum(correct)
    recall = [0, *(found / len(truths)), 1]
    precision = [0, *(found / np.arange(1, len(correct) + 1)), 0]
    for rank in reversed(range(len(precision) - 1)):
        precision[rank] = max(precision[rank], precision[rank + 1])
    return sum((recall[rank] - recall[rank - 1]) * precision[rank] for rank in range(1, len(recall)))


def podm_ap(detections, truths, threshold=ABOVE_HALF):
    podm = pytest.importorskip("podm.metrics", reason="object-detection-metrics is not installed")
    gold = [podm.BoundingBox.of_bbox(image, "c", *box) for image, box in truths]
    found = [podm.BoundingBox.of_bbox(image, "c", *box, score) for image, score, box in detections]
    return podm.get_pascal_voc_metrics(gold, found, threshold)["c"].ap


def random_case(seed):
    """Boxes on a coarse grid and scores of few values, so that IoU of exactly .5, equal IoUs and ties are common."""
    rng = np.random.default_rng(seed)
    images = int(rng.integers(1, 6))

    def boxes(count):
        corner, size = rng.integers(0, 4, (count, 2)), rng.integers(1, 5, (count, 2))
        return np.hstack([corner, corner + size]).tolist()

    truths = [(int(rng.integers(images)), box) for box in boxes(rng.integers(1, 12))]
    count = int(rng.choice([0, 1, 5, 40]))
    detections = [(int(rng.integers(images)), int(rng.integers(1, 10)) / 10, box) for box in boxes(count)]
    return detections, truths, images


def test_area_below_the_envelope_by_hand():
    # three true boxes on three images; ranked: hit, miss, miss, hit, hit
    detections = [(0, 0.9, BOX), (3, 0.8, BOX), (4, 0.7, BOX), (1, 0.6, BOX), (2, 0.5, BOX)]
    truths = [(0, BOX), (1, BOX), (2, BOX)]
    # precision 1/1, 1/2, 1/3, 2/4, 3/5; at the hits 1, .5, .6; its envelope there 1, .6, .6; a hit adds 1/3 of recall
    assert ap(detections, truths, 5) == pytest.approx((1 + 0.6 + 0.6) / 3)
    curve = precision_recall(matches_of(detections, truths, 5))
    assert curve.precision == pytest.approx([1, 1 / 2, 1 / 3, 2 / 4, 3 / 5])
    assert curve.envelope == pytest.approx([1, 0.6, 0.6, 0.6, 0.6])
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3, 1])
    assert curve.scores.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]


def test_sklearn_takes_no_envelope_and_so_is_another_metric():
    detections = [(0, 0.9, BOX), (3, 0.8, BOX), (4, 0.7, BOX), (1, 0.6, BOX), (2, 0.5, BOX)]
    without = average_precision_score([1, 0, 0, 1, 1], [0.9, 0.8, 0.7, 0.6, 0.5])
    assert without == pytest.approx((1 + 0.5 + 0.6) / 3)
    assert ap(detections, [(0, BOX), (1, BOX), (2, BOX)], 5) - without == pytest.approx(0.1 / 3)


def test_missed_boxes_cap_the_recall():
    # two of four boxes are found, both ranked first: 2/4 of recall at precision 1
    assert ap([(0, 0.9, BOX), (1, 0.8, BOX)], [(image, BOX) for image in range(4)], 4) == 0.5


@pytest.mark.parametrize(("y_max", "expected"), [(5, 0.0), (5.01, 1.0), (20, 0.0), (19.99, 1.0)])
def test_iou_of_exactly_one_half_is_a_miss(y_max, expected):
    # 10 x 10 against 10 x 5: 50 / (100 + 50 - 50) = .5; against 10 x 20: 100 / (200 + 100 - 100) = .5
    assert ap([(0, 0.9, (0, 0, 10, y_max))], [(0, BOX)]) == expected


def test_width_has_no_plus_one():
    # 2 x 2 against 2 x 1: 2 / 4 = .5, a miss; with +1 it would be 3 x 3 against 3 x 2: 6 / 9, a hit
    assert ap([(0, 0.9, (0, 0, 2, 1))], [(0, (0, 0, 2, 2))]) == 0.0


def test_a_second_detection_of_a_taken_box_is_a_miss_even_if_another_box_would_fit():
    truths = [(0, BOX), (0, (0, 0, 10, 9))]
    # both detections are nearest to the first box (IoU 1); the second one would have IoU .9 with the other box
    assert ap([(0, 0.9, BOX), (0, 0.8, BOX)], truths) == pytest.approx(1 / 2)
    # nearest to the other box: a hit; (0, 0, 10, 9.1) has IoU .91 with the first and 9 / 9.1 = .99 with the second
    assert ap([(0, 0.9, BOX), (0, 0.8, (0, 0, 10, 9.1))], truths) == 1.0


def test_equal_ious_go_to_the_first_box():
    # the detection's IoU is 70 / 100 with the box of the left part and with the box of the right part
    truths = [(0, (0, 0, 7, 10)), (0, (3, 0, 10, 10))]
    assert matches_of([(0, 0.9, BOX), (0, 0.8, BOX)], truths).hits.tolist() == [0]
    assert ap([(0, 0.9, BOX), (0, 0.8, (3, 0, 10, 10))], truths) == 1.0


def test_ties_keep_file_order():
    hit, miss = (0, 0.5, BOX), (1, 0.5, BOX)
    assert ap([hit, miss], [(0, BOX)], 2) == 1.0
    assert ap([miss, hit], [(0, BOX)], 2) == 0.5  # precision 1/2 at the only hit
    # with many equal scores an unstable sort would shuffle them: 99 misses, then the hit
    assert ap([miss] * 99 + [hit], [(0, BOX)], 2) == pytest.approx(1 / 100)


def test_the_ranking_goes_over_all_images():
    # a better score on an image without the class comes first: precision 1/2
    assert ap([(0, 0.3, BOX), (1, 0.9, BOX)], [(0, BOX)], 2) == 0.5


def test_a_box_of_another_image_does_not_count():
    assert ap([(1, 0.9, BOX)], [(0, BOX)], 2) == 0.0


def test_classes_without_a_place_use_the_unit_box():
    # three rows, the class is true on rows 0 and 2; ranked: 0 hit, 1 miss, 2 hit: (1 + 2/3) / 2
    detections = [(0, 0.9, UNIT_BOX), (1, 0.5, UNIT_BOX), (2, 0.1, UNIT_BOX)]
    assert ap(detections, [(0, UNIT_BOX), (2, UNIT_BOX)], 3) == pytest.approx((1 + 2 / 3) / 2)
    assert ap([(0, 0.9, (0, 0, 300, 400))], [(0, UNIT_BOX)]) == 0.0


def test_empty_sides():
    assert ap([], [(0, BOX)]) == 0.0
    assert math.isnan(ap([(0, 0.9, BOX)], []))
    assert math.isnan(ap([], []))
    assert math.isnan(precision_recall(matches_of([(0, 0.9, BOX)], [])).recall[0])


def test_degenerate_and_inverted_boxes_are_misses():
    assert ap([(0, 0.9, (5, 5, 5, 5)), (0, 0.8, (10, 10, 0, 0)), (0, 0.7, BOX)], [(0, BOX)]) == pytest.approx(1 / 3)


def test_a_score_that_is_nan_is_refused():
    with pytest.raises(ValueError, match="score is NaN"):
        ap([(0, math.nan, BOX)], [(0, BOX)])


def test_random_cases_equal_the_loop_of_the_voc_kit():
    for seed in range(300):
        detections, truths, images = random_case(seed)
        assert ap(detections, truths, images) == pytest.approx(voc_loop(detections, truths), abs=1e-12), seed


def test_random_cases_equal_podm():
    sensitive = 0
    for seed in range(300):
        detections, truths, images = random_case(seed)
        assert ap(detections, truths, images) == pytest.approx(podm_ap(detections, truths), abs=1e-9), seed
        sensitive += ap(detections, truths, images) != pytest.approx(podm_ap(detections, truths, 0.5))
    assert sensitive > 20  # the cases can tell > from >=


def test_thousands_of_boxes_equal_podm():
    rng = np.random.default_rng(7)
    corner = rng.uniform(0, 500, (4000, 2))
    boxes = np.hstack([corner, corner + rng.uniform(50, 400, (4000, 2))])
    image, scores = rng.integers(0, 150, 4000), rng.random(4000).round(2)
    truths = [(int(image[k]), tuple(boxes[k] + rng.normal(0, 15, 4))) for k in range(0, 4000, 11)]
    detections = [(int(image[k]), float(scores[k]), tuple(boxes[k])) for k in range(4000)]
    expected = podm_ap(detections, truths)
    assert 0.05 < expected < 0.95
    assert ap(detections, truths, 150) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_thousands_of_boxes_on_many_images_with_ties_equal_podm(seed):
    # 50 to 3000 boxes on a grid of 10 px with scores of one decimal: hundreds of ties, IoU of exactly .5 among them
    rng = np.random.default_rng(seed)
    images, count = int(rng.integers(2, 60)), int(rng.choice([50, 1000, 3000]))

    def boxes(number):
        corner, size = rng.integers(0, 20, (number, 2)) * 10, rng.integers(1, 9, (number, 2)) * 10
        return np.hstack([corner, corner + size]).tolist()

    truths = [(int(rng.integers(images)), box) for box in boxes(rng.integers(20, 300))]
    near = [(image, rng.integers(1, 11) / 10, [*box[:2], box[2] + 10, box[3]]) for image, box in truths]
    detections = near + [(int(rng.integers(images)), rng.integers(1, 11) / 10, box) for box in boxes(count)]
    expected = podm_ap(detections, truths)
    assert 0 < expected < 1
    assert ap(detections, truths, images) == pytest.approx(expected, abs=1e-9)


def test_empty_sides_are_those_of_podm():
    podm = pytest.importorskip("podm.metrics", reason="object-detection-metrics is not installed")
    box = podm.BoundingBox.of_bbox(0, "c", *BOX, 0.9)
    assert podm.get_pascal_voc_metrics([box], [], ABOVE_HALF)["c"].ap == ap([], [(0, BOX)]) == 0
    assert math.isnan(podm.get_pascal_voc_metrics([], [box], ABOVE_HALF)["c"].ap)
    assert math.isnan(ap([(0, 0.9, BOX)], []))
    assert podm.get_pascal_voc_metrics([], [], ABOVE_HALF) == {}  # no class at all: nothing to compare


def test_which_box_is_nearest_is_decided_by_the_same_numbers_as_everywhere_else():
    # boxes of single detections: a hit if the highest IoU of `boxes.iou_xyxy` is above .5, to the last bit
    rng = np.random.default_rng(3)
    corner, size = rng.integers(0, 6, (2000, 2)), rng.integers(1, 6, (2000, 2))
    one, other = np.split(np.hstack([corner, corner + size]) / 3, 2)
    iou = iou_xyxy(one, other).diagonal()
    assert (np.abs(iou - 0.5) < 1e-12).sum() >= 10
    for threshold in (0.5, 0.3, float(np.sort(iou)[-50])):
        image = np.arange(len(one))
        matches = match_detections(image, np.ones(len(one)), one, image, other, len(one), threshold)
        assert matches.hits.tolist() == np.flatnonzero(iou > threshold).tolist()


@pytest.mark.parametrize(("image", "true_image"), [(-1, 0), (2, 0), (0, -1), (0, 2)])
def test_an_image_number_out_of_range_is_refused(image, true_image):
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        ap([(image, 0.9, BOX)], [(true_image, BOX)], 2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_box_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="box is not finite"):
        ap([(0, 0.9, (0, 0, value, 10))], [(0, BOX)])
    with pytest.raises(ValueError, match="box is not finite"):
        ap([(0, 0.9, BOX)], [(0, (0, value, 10, 10))])


def test_boxed_images_only_is_easier():
    # ranked: miss on the empty image 1, hit on image 0; without image 1 the hit comes first
    matches = matches_of([(1, 0.9, BOX), (0, 0.8, BOX)], [(0, BOX)], 2)
    assert average_precision(matches) == 1 / 2
    assert average_precision(boxed_only(matches)) == 1
    assert restrict(matches, np.array([False, True])).truths.sum() == 0


def test_weights_of_one_change_nothing():
    for seed in range(50):
        detections, truths, images = random_case(seed)
        matches = matches_of(detections, truths, images)
        assert average_precision(matches, np.ones(images)) == average_precision(matches)


def test_weights_equal_copies_of_the_image():
    for seed in range(100):
        detections, truths, images = random_case(seed)
        weights = np.random.default_rng(seed).integers(0, 4, images)
        # copy c of image i becomes image i + c * images; copies of a detection stand next to each other in the ranking
        ranked = sorted(detections, key=lambda detection: -detection[1])
        copied = [(i + c * images, score, box) for i, score, box in ranked for c in range(weights[i])]
        expected = ap(copied, [(i + c * images, box) for i, box in truths for c in range(weights[i])], 4 * images)
        weighted = average_precision(matches_of(detections, truths, images), weights)
        assert weighted == pytest.approx(expected, abs=1e-12, nan_ok=True), seed


def test_weights_by_hand():
    # hit on image 0, miss on image 1, hit on image 2, drawn 1, 2 and 0 times: the one remaining true box comes first
    matches = matches_of([(0, 0.9, BOX), (1, 0.8, BOX), (2, 0.7, BOX)], [(0, BOX), (2, BOX)], 3)
    assert average_precision(matches, np.array([1, 2, 0])) == 1.0
    # drawn 0, 2 and 1 times: two misses, then the hit
    assert average_precision(matches, np.array([0, 2, 1])) == pytest.approx(1 / 3)
    # only the image without a true box is drawn: the class is absent
    assert math.isnan(average_precision(matches, np.array([0, 3, 0])))


def test_the_mean_is_over_classes_and_reproduces_the_published_arithmetic():
    # one-page summary of a medal solution: study .592, none .822, opacity .594 give .631
    values = [0.592] * 4 + [0.822, 0.594]
    assert mean_average_precision(values) == pytest.approx((4 * 0.592 + 0.822 + 0.594) / 6)
    assert round(mean_average_precision(values), 3) == 0.631


def test_the_mean_leaves_out_absent_classes():
    values = np.array([[0.5, np.nan, 0.7], [np.nan, np.nan, np.nan], [0.1, 0.2, 0.3]])
    assert mean_average_precision(values) == pytest.approx([0.6, np.nan, 0.2], nan_ok=True)
