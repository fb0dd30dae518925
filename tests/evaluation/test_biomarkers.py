"""Markers on pictures that are drawn so that the answer is known, and the paper's tests beside scipy."""

import numpy as np
import pytest
from scipy import stats

from cxr.evaluation.biomarkers import cardiothoracic_ratio, differ, is_normal, lung_intensity, marker_table, stars
from cxr.images.lungs import HEART, LEFT_LUNG, RIGHT_LUNG


def chest(heart=30):
    """Thorax 80 px wide at its widest row, a heart of so many px."""
    found = np.zeros((100, 100), np.uint8)
    found[20:80, 14:40], found[20:80, 60:86] = RIGHT_LUNG, LEFT_LUNG
    found[60:70, 10:40], found[60:70, 60:90] = RIGHT_LUNG, LEFT_LUNG
    found[50:75, 50 - heart // 2 : 50 + heart // 2] = HEART
    return found


def test_the_ratio_is_widest_heart_by_widest_thorax():
    assert cardiothoracic_ratio(chest(30)) == pytest.approx(30 / 80)
    assert cardiothoracic_ratio(chest(44)) == pytest.approx(44 / 80)


def test_no_heart_or_one_lung_has_no_ratio():
    alone = chest()
    alone[alone == LEFT_LUNG] = 0
    assert np.isnan(cardiothoracic_ratio(np.where(chest() == HEART, 0, chest()))) and np.isnan(
        cardiothoracic_ratio(alone)
    )


def test_lung_intensity_is_of_the_lungs_alone():
    picture, mask = np.full((10, 10), 255, np.uint8), np.zeros((10, 10), bool)
    mask[:4], picture[:2], picture[2:4] = True, 51, 153
    assert lung_intensity(picture, mask) == pytest.approx((0.4, 0.2))
    assert np.isnan(lung_intensity(picture, np.zeros_like(mask))).all()


def test_stars_at_the_papers_levels():
    assert [stars(p) for p in (0.2, 0.049, 0.009, 0.0009, np.nan)] == ["-", "*", "**", "***", ""]


def test_tests_are_scipys():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, 60), rng.normal(0.7, 1, 40)
    assert differ(one, other) == pytest.approx(stats.ranksums(one, other).pvalue)
    assert differ(one[:40], other, paired=True) == pytest.approx(stats.wilcoxon(one[:40], other).pvalue)
    assert is_normal(one) > 0.05 > is_normal(rng.exponential(1, 4000) ** 2)
    assert np.isnan(differ(one[:2], other)) and differ(one, one.copy(), paired=True) == 1.0


def test_a_table_like_the_papers():
    rng = np.random.default_rng(1)
    labels = ["normal"] * 50 + ["viral"] * 50 + ["bacterial"] * 2
    values = np.concatenate([rng.normal(0.5, 0.05, 50), rng.normal(0.6, 0.05, 50), [0.5, np.nan]])
    table = marker_table(values, labels, ("normal", "viral", "bacterial"))
    assert table.loc["viral", "vs normal"] == "***" and table.loc["normal", "vs normal"] == ""
    assert table.loc["bacterial", "pictures"] == 1 and table.loc["bacterial", "vs viral"] == ""
    assert table.loc["normal", "mean"] == pytest.approx(0.5, abs=0.02)
