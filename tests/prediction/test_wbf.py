import subprocess
import sys
import warnings

import numpy as np
import pytest
from ensemble_boxes import weighted_boxes_fusion as reference

from cxr.prediction.combine import weighted_boxes_fusion
from cxr.prediction.wbf import CONF_TYPES, fuse_arrays

OBJECTS = np.array([[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.9, 0.8], [0.12, 0.15, 0.5, 0.5]])


def random_boxes(rng, count):
    """Boxes near objects, anywhere, over the border and reversed, or on a coarse grid with ties and empty ones."""
    kind = rng.integers(4)
    if kind == 0:
        return OBJECTS[rng.integers(3, size=count)] + rng.normal(0, 0.03, (count, 4))
    if kind == 1:
        return np.sort(rng.random((count, 2, 2)), axis=1).reshape(-1, 4)
    return rng.normal(0.5, 0.5, (count, 4)) if kind == 2 else rng.integers(0, 5, (count, 4)) / 4


def random_case(rng):
    """Arguments of a fusion, lists or arrays, with ties and several labels."""
    models, names = rng.integers(1, 12), rng.integers(1, 4)
    boxes, scores, labels = [], [], []
    for _ in range(models):
        count = rng.integers(0, 15)
        found = rng.random(count)
        found = found.round(1) if rng.random() < 0.4 else found
        boxes.append(random_boxes(rng, count))
        scores.append(found.astype(np.float32) if rng.random() < 0.1 else found)
        labels.append(rng.integers(names, size=count))
    if rng.random() < 0.5:
        boxes, labels = [each.tolist() for each in boxes], [each.tolist() for each in labels]
    weights = [None, rng.random(models) + 0.1, rng.integers(1, 4, models).tolist(), rng.integers(0, 3, models) * 1.0]
    settings = {
        "weights": weights[rng.integers(4)],
        "iou_thr": rng.choice([0.0, 0.3, 0.5, 0.55, 0.7, 1.0]),
        "skip_box_thr": rng.choice([0.0, 0.001, 0.3]),
        "conf_type": CONF_TYPES[rng.integers(4)],
        "allows_overflow": bool(rng.integers(2)),
    }
    return (boxes, scores, labels), settings


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore")
def test_results_are_those_of_ensemble_boxes_to_the_bit_or_an_error_where_it_gives_nan():
    rng, refused = np.random.default_rng(2026), 0
    for _ in range(1200):
        lists, settings = random_case(rng)
        with np.errstate(all="ignore"):
            expected = reference(*lists, **settings)
        if all(np.isfinite(each).all() for each in expected) and (
            settings["weights"] is None or np.any(settings["weights"])
        ):
            assert_same(weighted_boxes_fusion(*lists, **settings), expected)
            continue
        refused += 1
        with pytest.raises(ValueError, match="of 0 alone|one above 0"):
            weighted_boxes_fusion(*lists, **settings)
    assert 0 < refused < 240, "nearly all cases compare numbers"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_twenty_thousand_random_cases():
    rng = np.random.default_rng(7)
    for _ in range(20000):
        lists, settings = random_case(rng)
        with np.errstate(all="ignore"):
            expected = reference(*lists, **settings)
        if all(np.isfinite(each).all() for each in expected):
            try:
                assert_same(weighted_boxes_fusion(*lists, **settings), expected)
            except ValueError as error:
                assert "one above 0" in str(error)


def test_many_images_in_one_call_are_each_as_alone():
    rng = np.random.default_rng(3)
    cases, rows = [], []
    for image in range(40):
        count = rng.integers(0, 30)
        model, label = np.sort(rng.integers(3, size=count)), rng.integers(2, size=count)
        part = random_boxes(rng, count), rng.random(count).round(2) + 0.01, label, model
        cases.append(part)
        rows += [image] * count
    corners, scores, labels, models = (np.concatenate(column) for column in zip(*cases, strict=True))
    starts = np.searchsorted(rows, np.arange(len(cases) + 1))
    weights = np.array([1.0, 0.5, 2.0])
    fused = fuse_arrays(corners, scores, labels, models, starts, weights, 0.5, 0.2)
    assert fused.starts[-1] == len(fused.scores)
    for image, (boxes, found, label, model) in enumerate(cases):
        lists = [[column[model == number] for number in range(3)] for column in (boxes, found, label)]
        span = slice(fused.starts[image], fused.starts[image + 1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = reference(*lists, weights, 0.5, 0.2)
        assert_same((fused.corners[span], fused.scores[span], fused.labels[span]), expected)


def test_more_boxes_than_are_searched_together_and_more_models_than_are_summed_together():
    rng = np.random.default_rng(4)
    boxes = [OBJECTS[rng.integers(3, size=2)] + rng.normal(0, 0.1, (2, 4)) for _ in range(300)]
    boxes = [np.sort(each.reshape(-1, 2, 2), axis=1).reshape(-1, 4).clip(0, 1) for each in boxes]
    scores, labels, weights = list(rng.random((300, 2))), [[0, 0]] * 300, rng.random(300) + 0.1
    for conf_type in CONF_TYPES:
        settings = {"weights": weights, "iou_thr": 0.6, "conf_type": conf_type}
        assert_same(
            weighted_boxes_fusion(boxes, scores, labels, **settings), reference(boxes, scores, labels, **settings)
        )


def test_equations_3_to_6_of_paper_004():
    """C = mean C_i; X = sum C_i X_i / sum C_i, Y alike; C' = C min(T, M) / M for T boxes and M models."""
    boxes = np.array([[0.1, 0.2, 0.5, 0.6], [0.12, 0.2, 0.5, 0.64], [0.1, 0.22, 0.52, 0.6]])
    confidence = np.array([0.9, 0.6, 0.3])
    for models in (3, 4, 2):  # each box by one model; a fourth found nothing; two models, one of which found it twice
        owner = np.minimum(np.arange(3), models - 1)
        lists = [boxes[owner == m] for m in range(models)], [confidence[owner == m] for m in range(models)]
        found, scores, _ = weighted_boxes_fusion(*lists, [[0] * len(each) for each in lists[1]])
        mean = confidence.sum() / 3
        corners = [(confidence * boxes[:, k]).sum() / confidence.sum() for k in range(4)]
        assert scores == pytest.approx([mean * min(3, models) / models], abs=1e-6)
        assert found[0] == pytest.approx(corners, abs=1e-6)


def test_scores_above_one_come_out_as_in_the_reference():
    lists = [[[0, 0, 1, 1]], [[0, 0, 1, 1]]], [[0.9], [0.9]], [[0], [0]]
    scores = weighted_boxes_fusion(*lists, weights=[1.0, 1.0], allows_overflow=True)[1]
    assert scores == pytest.approx([0.9])
    heavy = [[[0, 0, 1, 1]], [[0.9, 0.9, 1, 1]]], [[1.0], [0.1]], [[0], [0]]
    assert weighted_boxes_fusion(*heavy, weights=[3.0, 0.1])[1][0] == pytest.approx(3 / 3.1)
    twice = [[[0, 0, 1, 1]] * 3, []], [[1.0] * 3, []], [[0] * 3, []]
    assert weighted_boxes_fusion(*twice, weights=[2.0, 1.0])[1] == pytest.approx([2 * 2 / 3]), "1.33"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes_list": []}, "boxes, scores and labels are of 0, 1 and 1 models"),
        ({"scores_list": [[0.5, 0.5]]}, "model 0 has 1 boxes, 2 scores, 1 labels; give a score and a label"),
        ({"labels_list": [[]]}, "model 0 has 1 boxes, 1 scores, 0 labels"),
        ({"boxes_list": [[[0, 0, 1]]]}, r"boxes of shape \(1, 3\)"),
        ({"weights": [1.0, 1.0]}, "2 weights for 1 models; give one a model"),
        ({"weights": [np.nan]}, "each must be finite, and one above 0"),
        ({"weights": [0.0]}, "each must be finite, and one above 0"),
        ({"conf_type": "mean"}, "conf_type 'mean': choose one of avg, max, box_and_model_avg, absent_model_aware_avg"),
        ({"boxes_list": [[[0, 0, 1, np.nan]]]}, "is not finite"),
        ({"scores_list": [[np.inf]]}, "is not finite"),
        ({"labels_list": [[np.nan]]}, "is not finite"),
    ],
)
def test_what_the_reference_exits_prints_or_turns_into_nan_for_is_an_error(change, message):
    good = {"boxes_list": [[[0, 0, 1, 1]]], "scores_list": [[0.5]], "labels_list": [[0]]}
    assert weighted_boxes_fusion(**good)[1] == pytest.approx([0.5])
    with pytest.raises(ValueError, match=message):
        weighted_boxes_fusion(**{**good, **change})


def test_boxes_without_any_score_have_no_mean():
    lists = [[[0, 0, 1, 1]], [[0, 0, 1, 1]]], [[0.0], [0.0]], [[0], [0]]
    with pytest.raises(ValueError, match="scores or weights of 0 alone, and so no mean; skip scores of 0"):
        weighted_boxes_fusion(*lists)
    assert len(weighted_boxes_fusion(*lists, skip_box_thr=0.001)[1]) == 0


@pytest.mark.slow
def test_fusion_works_where_nothing_can_be_kept_on_disk(tmp_path):
    """numba finds no place for its cache: then it compiles in memory."""
    program = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from cxr.prediction.wbf import weighted_boxes_fusion as fuse\n"
        "from cxr.prediction.wbf_loops import fuse_groups\n"
        "assert type(fuse_groups._cache).__name__ == 'NullCache'\n"
        "print(fuse([[[0, 0, 1, 1]]], [[.5]], [[0]])[1])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "[0.5]" in done.stdout, done.stderr
