"""What the bench of fusion compares gives the same bits on both sides."""

import numpy as np
import pytest

from cxr.bench.fusion import BOXES, MODELS, check_equal, draw, fuse_at_once, main


@pytest.mark.parametrize("clustered", [True, False])
def test_the_sample_has_the_size_that_its_title_says_and_both_agree_on_it(clustered):
    sample = draw(np.random.default_rng(5), 1, clustered)
    assert sample.scores.shape == (1, MODELS, BOXES) == (1, 10, 100) and sample.corners.shape == (1, 10, 100, 4)
    assert (sample.corners[..., 2:] >= sample.corners[..., :2]).all() and (sample.corners >= 0).all()
    check_equal(sample)
    found = len(fuse_at_once(sample)[0][1])
    assert found < 150 if clustered else found > 400, "boxes near objects merge, uniform ones hardly"


def test_a_difference_stops_the_bench(monkeypatch):
    monkeypatch.setattr("cxr.bench.fusion.fuse_at_once", lambda sample: [(np.zeros((1, 4)), np.zeros(1))])
    with pytest.raises(ValueError, match="fusion at once differs from ensemble-boxes"):
        check_equal(draw(np.random.default_rng(5), 1, clustered=False))


def test_the_table_has_a_line_for_each_case(monkeypatch, capsys):
    for name, value in (("MODELS", 2), ("BOXES", 5), ("IMAGES", 4), ("TIMED", 2)):
        monkeypatch.setattr(f"cxr.bench.fusion.{name}", value)
    main(1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-3:] == ["reference", "ours", "times"] and len(lines) == 8
