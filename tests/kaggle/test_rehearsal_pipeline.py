"""The case `pipeline`: its settings exist, and a fold that was trained twice is seen. The whole of it is slow."""

import pytest

from cxr.kaggle.rehearsal.pipeline import PROFILE, TINY, retrained
from cxr.profiles import load_profile


def test_the_tiny_settings_are_settings_of_the_profile():
    profile = load_profile(PROFILE, TINY)
    assert (profile.yolo.epochs, profile.study.epochs, profile.fusion.resamples) == (2, 2, 100)


@pytest.fixture
def sessions(tmp_path):
    for session in ("before", "after"):
        for fold in ("fold_0", "fold_1"):
            folder = tmp_path / session / "models" / "yolo" / fold
            folder.mkdir(parents=True)
            (folder / "weights.pt").write_bytes(fold.encode())
    return tmp_path / "before", tmp_path / "after"


def test_folds_that_were_taken_over_are_no_problem(sessions):
    assert retrained(*sessions) == []


def test_a_fold_that_was_trained_again_or_lost_is_named(sessions):
    before, after = sessions
    (after / "models" / "yolo" / "fold_0" / "weights.pt").write_bytes(b"other")
    (after / "models" / "yolo" / "fold_1" / "weights.pt").unlink()
    assert retrained(before, after) == ["models/yolo/fold_0 was trained again", "models/yolo/fold_1 was trained again"]


def test_a_first_session_without_weights_proves_nothing(sessions, tmp_path):
    assert retrained(tmp_path / "nothing", sessions[1]) == ["the first session left no weights of folds"]
