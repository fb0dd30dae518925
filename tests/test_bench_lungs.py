"""The bench of lungs compares the same work, and says so where it is not."""

import numpy as np
import pytest

from cxr.bench.lungs import main, radiograph
from cxr.images.patches import Patches


def test_the_table_has_a_line_for_each_piece(capsys):
    main(1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-3:] == ["plain", "ours", "times"] and len(lines) == 5
    assert all(float(line.split()[-2]) > 0 for line in lines[1:])


def test_the_mask_needs_what_the_clean_up_does():
    picture, mask = radiograph()
    assert picture.shape == mask.shape == (1024, 1024) and 0.1 < mask.mean() < 0.4
    assert mask[:, 0].sum() < 20, "specks, but no lung at the border"


@pytest.mark.parametrize("name, words", [("clean_mask", "another mask"), ("draw_patches", "other patches")])
def test_a_difference_stops_the_bench(monkeypatch, name, words):
    wrong = {
        "clean_mask": np.ones((1024, 1024), bool),
        "draw_patches": Patches(np.ones((1, 224, 224)), np.ones((1, 2), int)),
    }
    monkeypatch.setattr(f"cxr.bench.lungs.{name}", lambda *given: wrong[name])
    with pytest.raises(ValueError, match=words):
        main(1)
