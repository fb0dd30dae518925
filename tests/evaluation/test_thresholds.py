"""Precision, recall and F1 at thresholds: by hand, and never chosen on what they judge."""

import math

import numpy as np
import pandas as pd
import pytest

from cxr.evaluation.thresholds import (
    Counts,
    at_thresholds,
    best_threshold,
    count_at,
    nested_counts,
    read_thresholds,
    threshold_table,
    write_thresholds,
)
from cxr.evaluation.voc import match_detections, restrict
from cxr.faults import DataFault
from cxr.labels import CLASSES, UNIT_BOX


def unit_matches(scores, right):
    """One detection a row with the unit box; `right` says which rows hold the class."""
    rows, true = np.arange(len(scores)), np.flatnonzero(right)
    unit = np.tile(UNIT_BOX, (len(scores), 1))
    return match_detections(rows, scores, unit, true, unit[: len(true)], len(scores))


def random_matches(seed, rows=60):
    """20 true boxes, of which 15 are found, some twice, among 40 wrong detections; scores of one decimal, so ties."""
    rng = np.random.default_rng(seed)
    corner, size = rng.integers(0, 3, (60, 2)), rng.integers(1, 4, (60, 2))
    boxes, image = np.hstack([corner, corner + size]), rng.integers(rows, size=60)
    found = np.concatenate([rng.integers(15, size=30), np.arange(20, 60)])
    return match_detections(image[found], rng.integers(1, 8, 70) / 10, boxes[found], image[:20], boxes[:20], rows)


def test_counts_and_ratios_by_hand():
    matches = unit_matches([0.9, 0.8, 0.7, 0.2], [1, 0, 1, 1])
    assert count_at(matches, 0.7) == (2, 1, 1)  # .9 and .7 are right, .8 is not, .2 is missed
    assert count_at(matches, 0.7).ratios() == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "F1": 2 / 3})
    assert count_at(matches, 0.95) == (0, 0, 3)
    nothing = count_at(matches, 0.95).ratios()
    assert math.isnan(nothing["precision"]) and (nothing["recall"], nothing["F1"]) == (0, 0)
    assert math.isnan(Counts(0, 0, 0).ratios()["F1"])


def test_all_of_a_tie_count():
    matches = unit_matches([0.5, 0.5, 0.5, 0.4], [0, 1, 0, 1])
    assert count_at(matches, 0.5) == (1, 2, 1)
    assert count_at(matches, np.nextafter(0.5, 1)) == (0, 0, 2)
    # F1 2 * 1 / (3 + 2) = .4 with the whole tie, 2 * 2 / (4 + 2) = .67 with all; never 2 * 1 / (2 + 2) inside the tie
    assert best_threshold(matches) == 0.4


def test_without_a_threshold_nothing_counts():
    assert math.isnan(best_threshold(unit_matches([0.9, 0.1], [0, 0])))
    assert math.isnan(best_threshold(match_detections([], [], [], [0], [UNIT_BOX], 1)))
    assert count_at(unit_matches([0.9, 0.1], [1, 0]), math.nan) == (0, 0, 1)


@pytest.mark.parametrize("seed", range(20))
def test_the_best_threshold_is_the_best_of_all_scores(seed):
    matches = random_matches(seed)
    tried = {score: count_at(matches, score).ratios()["F1"] for score in np.unique(matches.scores)}
    highest = max(tried.values())
    assert best_threshold(matches) == max(score for score, f1 in tried.items() if f1 == highest)


@pytest.mark.parametrize("seed", range(20))
def test_what_counts_is_what_matching_says_of_the_detections_above_alone(seed):
    rng = np.random.default_rng(seed)
    corner, size = rng.integers(0, 3, (60, 2)), rng.integers(1, 4, (60, 2))
    boxes, scores, image = np.hstack([corner, corner + size]), rng.integers(1, 8, 40) / 10, rng.integers(5, size=40)
    true = rng.integers(5, size=20), boxes[40:], 5
    kept = scores >= 0.4
    alone = match_detections(image[kept], scores[kept], boxes[:40][kept], *true)
    counts = count_at(match_detections(image, scores, boxes[:40], *true), 0.4)
    assert counts == (len(alone.hits), kept.sum() - len(alone.hits), 20 - len(alone.hits))


def test_each_fold_is_judged_at_the_threshold_of_the_others():
    # fold 0: best at .6 (both right); fold 1: best at .3, where the second right one is found
    matches = unit_matches([0.9, 0.6, 0.5, 0.8, 0.3, 0.2], [1, 1, 0, 1, 1, 0])
    folds = np.array([0, 0, 0, 1, 1, 1])
    counts, chosen = nested_counts(matches, folds)
    assert chosen == {0: 0.3, 1: 0.6}
    # fold 0 at .3: 2 right, 1 wrong; fold 1 at .6: 1 right, 1 missed
    assert counts == (3, 1, 1)
    assert best_threshold(matches) == 0.3  # all folds: 4 right, 1 wrong, F1 8 / 9


def test_noise_looks_good_where_the_threshold_was_chosen_and_not_where_it_was_not():
    rng, gains = np.random.default_rng(0), []
    folds = np.arange(40) % 4
    for _ in range(60):
        matches = unit_matches(rng.random(40), rng.random(40) < 0.3)
        nested = nested_counts(matches, folds)[0].ratios()["F1"]
        gains.append(count_at(matches, best_threshold(matches)).ratios()["F1"] - nested)
    assert np.mean(gains) > 0.02 and np.mean(np.array(gains) >= 0) > 0.8


def test_one_fold_has_no_others():
    with pytest.raises(ValueError, match="one fold alone"):
        nested_counts(unit_matches([0.5], [1]), np.zeros(1))


def test_the_table_and_another_set_at_kept_thresholds(tmp_path):
    folds = np.arange(60) % 3
    six, others = ([random_matches(seed + 10 * turn) for seed in range(6)] for turn in range(2))
    table = threshold_table(six, folds)
    assert table.index.tolist() == list(CLASSES)
    for label, matches in zip(CLASSES, six, strict=True):
        row = table.loc[label]
        assert row["threshold"] == best_threshold(matches)
        single = [best_threshold(restrict(matches, folds != fold)) for fold in range(3)]
        assert (row["threshold_low"], row["threshold_high"]) == (min(single), max(single))
        assert row["tp"] + row["fn"] == matches.truths.sum()
        assert row["precision"] == pytest.approx(row["tp"] / (row["tp"] + row["fp"]))
    kept = read_thresholds(write_thresholds(table, tmp_path / "thresholds.csv"))
    pd.testing.assert_series_equal(kept, table["threshold"], check_names=False)
    other = at_thresholds(others, kept)
    assert other.loc["none", ["tp", "fp", "fn"]].tolist() == list(count_at(others[4], kept["none"]))
    assert at_thresholds(others, kept.to_dict()).equals(other)


def test_a_class_without_a_threshold_survives_the_file_as_an_empty_cell(tmp_path):
    table = pd.DataFrame({"threshold": [0.5, math.nan, 0.1, 0.2, 0.3, 0.4]}, index=list(CLASSES))
    kept = read_thresholds(write_thresholds(table, tmp_path / "thresholds.csv"))
    assert math.isnan(kept["typical"])
    row = at_thresholds([unit_matches([0.9, 0.1], [1, 0])] * 6, kept).loc["typical"]
    assert (row["tp"], row["fp"], row["fn"], row["F1"]) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,cut\nnone,0.5\n", "column 'threshold' is missing; found class, cut"),
        ("class,threshold\nlung,0.5\n", "row 1: class 'lung'; it must be one of negative typical"),
        ("class,threshold\nnone,high\n", "row 1: threshold 'high' of none; it must be a finite number or empty"),
        ("class,threshold\nnone,0.5\ntypical,inf\n", "row 2: threshold .*inf.* of typical; it must be a finite number"),
        ("class,threshold\nnone,0.5\nnone,0.6\n", "row 2: none stands there twice; keep one row a class"),
        ("class,threshold\nnone,0.5\n", "no row for negative, typical, indeterminate, atypical, opacity; give one"),
        ("", "not a readable CSV"),
    ],
)
def test_a_file_of_thresholds_that_is_none(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataFault, match=message) as caught:
        read_thresholds(tmp_path / "a.csv")
    assert str(caught.value).startswith(str(tmp_path / "a.csv")) and "\n" not in str(caught.value)


def test_a_class_without_a_kept_threshold_is_a_fault():
    with pytest.raises(DataFault, match="thresholds: none for typical, indeterminate, atypical, none, opacity"):
        at_thresholds([unit_matches([0.5], [1])] * 6, {"negative": 0.5})
