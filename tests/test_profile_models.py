"""Every profile builds its models at full size, and each takes one training step (`make test-all`; minutes)."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from cxr.data.nih import FINDINGS
from cxr.data.yolo_labels import write_yolo
from cxr.images.resize import to_cache_size
from cxr.labels import STUDY_CLASSES
from cxr.profiles import PROFILES, more_detectors
from cxr.training import yolo
from cxr.training.cross_validation import Fold
from cxr.training.detectors import train_detector
from cxr.training.pretraining import Pictures, train_labels
from cxr.training.start import Start
from cxr.training.studies import train_study

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda p: p.name)]
RANDOM = Start(None, None, ())
ONE_STEP = {"epochs": 1, "batch": 2}


@pytest.fixture(scope="module")
def pair():
    """Four pictures of 1024 px, a box on each: two to train on and two to hold out."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (4, 1024, 1024), dtype=np.uint8)
    pixels[:, 256:768, 256:512] += 120
    images = pd.DataFrame({"image_id": list("abcd"), "patient_id": list("abcd"), "height": 1024, "width": 1024})
    for column, name in enumerate(STUDY_CLASSES):
        images[name] = [float(row % 2 == column) for row in range(4)]
    for name in FINDINGS:
        images[name] = 0.0
    corners = {"x_min": 256.0, "y_min": 256.0, "x_max": 512.0, "y_max": 768.0}
    boxes = pd.DataFrame({"image_id": images["image_id"], "label": "opacity", "score": 1.0, **corners})
    return images, boxes, pixels


def part(pair, rows):
    images, boxes, pixels = pair
    return images.iloc[rows], boxes, pixels[rows]


def test_nih_pretraining(pair, profile, tmp_path):
    images, boxes, pixels = pair
    settings = dataclasses.replace(profile.nih, **ONE_STEP)
    data = Pictures(images, boxes, pixels, np.array([False, False, True, True]))
    state, record = train_labels(settings, data, None, RANDOM, tmp_path, 600)
    assert record["epochs"] == 1 and state["classifier.1.weight"].shape[0] == len(FINDINGS)


def test_faster_rcnn(pair, profile, tmp_path):
    settings = dataclasses.replace(profile.faster_rcnn, head_epochs=0, **ONE_STEP)
    state, record = train_detector("faster_rcnn", settings, part(pair, [0, 1]), None, RANDOM, tmp_path, 600)
    assert record["epochs"] == 1 and state["model.roi_heads.box_predictor.cls_score.weight"].shape[0] == 2


def test_further_detectors(pair, profile, tmp_path):
    settings = dataclasses.replace(profile.faster_rcnn, head_epochs=0, **ONE_STEP)
    for name in more_detectors(profile):
        _, record = train_detector(name, settings, part(pair, [0, 1]), None, RANDOM, tmp_path / name, 600)
        assert record["architecture"] == name and record["epochs"] == 1


def test_study_classifier(pair, profile, tmp_path):
    settings = dataclasses.replace(profile.study, head_epochs=0, **ONE_STEP)
    fold = Fold(0, tmp_path, *pair, ["a", "b"], ["c", "d"], RANDOM, 600)
    state, record = train_study(settings, fold)
    assert record["epochs"] == 1 and state[f"classifier.{3 if settings.hidden else 1}.weight"].shape[0] == len(
        STUDY_CLASSES
    )


def test_yolo(pair, profile, tmp_path):
    yolo.prepare(tmp_path / "config")
    settings = dataclasses.replace(profile.yolo, nominal_batch=2, warmup_epochs=0.0, warmup_iterations=0, **ONE_STEP)
    images, boxes, pixels = pair
    small = np.stack([to_cache_size(picture, settings.size) for picture in pixels])
    data_yaml = write_yolo(tmp_path / "data", images, boxes, small, ["a", "b"], ["c", "d"])
    _, record = yolo.train_yolo(settings, data_yaml, tmp_path / "run", RANDOM, 600, profile.name)
    assert record["epochs"] == 1 and not record["clock_bound"]


def test_lung_segmenter(pair, profile):
    import torch

    from cxr.models.segmenters import build_segmenter
    from cxr.training.losses import dice_loss

    s = profile.lungs
    network = build_segmenter(s.network, s.width, s.depth)
    picture = torch.from_numpy(to_cache_size(pair[2][0], s.size))[None, None]
    logits = network(picture)
    assert logits.shape == (1, 1, s.size, s.size)
    dice_loss(logits, torch.ones_like(logits)).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
