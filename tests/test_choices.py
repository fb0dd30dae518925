"""What single choices are worth: each is switched to what the run has not, and the gain is always that of having it."""

import pandas as pd
import pytest

from cxr.ablations import choices
from cxr.ablations.choices import CHOICES, measure
from cxr.workspace import open_workspace


@pytest.fixture
def workspace(tmp_path):
    return open_workspace("demo", "", str(tmp_path), str(tmp_path), str(tmp_path))


def test_choices_are_switched_and_mirror_images_only_asked_for(workspace, monkeypatch):
    trained, asked = [], []

    def compare(workspace, name, variant, **changes):
        trained.append((variant, changes))
        return {"model": name, "metric": "AP", "run": 0.5, "variant": 0.4, "gain": -0.1, "low": -0.2, "high": 0.05}

    def again(workspace, name, mirrored):
        asked.append((name, tuple(mirrored)))
        return pd.DataFrame()

    monkeypatch.setattr(choices, "compare", compare)
    monkeypatch.setattr(choices, "predict_again", again)
    monkeypatch.setattr(choices, "paired", lambda workspace, name, both, plain: compare(workspace, name, "mirror"))
    rows = measure(workspace)["rows"]
    # the demo has the segmentation head and none of the others
    assert trained[:2] == [
        ("without_segmentation_head", {"mask_weight": 0.0}),
        ("with_class_weights", {"class_weights": True}),
    ]
    assert rows[0] == {
        "model": "studies", "choice": "segmentation head", "metric": "AP", "with": 0.5, "without": 0.4,
        "gain": 0.1, "low": -0.05, "high": 0.2,
    }  # fmt: skip
    assert (rows[1]["with"], rows[1]["without"], rows[1]["gain"]) == (0.4, 0.5, -0.1)
    assert [row["choice"] for row in rows] == [*CHOICES, *["mirror images"] * 3]
    assert asked == [
        (name, views) for name in ("yolo", "faster_rcnn", "studies") for views in ((False, True), (False,))
    ]


def test_some_of_them_alone(workspace, monkeypatch):
    monkeypatch.setattr(choices, "TRAININGS", {})
    monkeypatch.setattr(choices, "_study_row", lambda workspace, words, on, off: {"choice": words})
    assert [row["choice"] for row in measure(workspace, ["oversampling"])["rows"]] == ["oversampling"]
