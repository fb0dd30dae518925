"""Damaged files end as images or as listed failures."""

import pytest
from fuzz import BAD, MUTATIONS, fuzz, mutations, outcome, seeds

from cxr.images.jobs import Done


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.slow)])
def test_damaged_files_end_as_images_or_failures(count):
    found = fuzz(count, seed=count, workers=2)
    assert sum(found.values()) == count
    assert not [key for key in found if key[1] in BAD], found
    for mutate in MUTATIONS:
        assert found[mutate.__name__, "refused"] > 0, f"{mutate.__name__} does no damage"
    assert sum(n for (_, kind), n in found.items() if kind == "image") > count / 10


def test_mutations_are_the_same_everywhere(tmp_path):
    one, two = tmp_path / "1", tmp_path / "2"
    originals = seeds()[:10]
    for folder in (one, two):
        folder.mkdir()
        assert len([*mutations(originals, 30, 5, folder)]) == 30
    same = [(one / f"{i}.dcm").read_bytes() == (two / f"{i}.dcm").read_bytes() for i in range(30)]
    assert all(same)


def test_bad_outcomes_are_told_from_good_ones():
    assert outcome(Done(reason="unexpected KeyError in x.py, line 3; please report it")) in BAD
    assert outcome(Done()) in BAD and outcome(Done(reason="two\nlines")) in BAD
    assert outcome(Done(reason="not a DICOM file")) == "refused"
    assert outcome(Done(reason="took longer than 5 s; get the file again")) == "hang"
