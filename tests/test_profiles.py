import dataclasses

import pytest

from cxr.faults import DataFault
from cxr.profiles import PROFILES, load_profile, section_values


def test_overrides_change_one_value_and_keep_its_type():
    profile = load_profile("demo", "yolo.epochs=3 study.lr=1e-4 images.png=no folds.count=5")
    assert (profile.yolo.epochs, profile.study.lr, profile.images.png, profile.folds.count) == (3, 1e-4, False, 5)
    assert dataclasses.replace(profile, yolo=PROFILES["demo"].yolo).yolo == PROFILES["demo"].yolo


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("big", "", "PROFILE=big: no such profile; choose one of demo, kaggle, paper, full"),
        ("demo", "epochs=3", "is not of the form section.key=value"),
        ("demo", "yolo.epochs", "is not of the form section.key=value"),
        ("demo", "yola.epochs=3", "names no section; choose one of phantom"),
        ("demo", "yolo.epoch=3", "yolo has no 'epoch'; choose one of model"),
        ("demo", "yolo.epochs=three", "needs a value like 16"),
        ("demo", "study.flip_at_test=perhaps", "needs a value like True"),
    ],
)
def test_a_wrong_setting_is_named(name, overrides, message):
    with pytest.raises(DataFault, match=message):
        load_profile(name, overrides)


def test_section_values_are_plain():
    assert section_values(PROFILES["demo"], ["folds"]) == {"folds": {"count": 2, "seed": 2021, "most_patients": 3}}


def test_every_number_of_the_networks_says_where_it_comes_from():
    """A section, an equation or a figure of paper 004, the authors' code, the library, or ours."""
    import re
    from pathlib import Path

    from cxr.profiles import networks

    text = Path(networks.__file__).read_text()
    paper = text[: text.index("class Pseudo")]
    lines = [line for line in paper.splitlines() if re.match(r"    \w+: (int|float|str|bool) = ", line)]
    origin = re.compile(r"#.*?(\b[2-6]\.?\d?\b|equation \d|figure \d+|\bcode\b|\bours\b|\blibrary\b|beside|names of)")
    assert len(lines) > 90 and [line for line in lines if not origin.search(line)] == []
