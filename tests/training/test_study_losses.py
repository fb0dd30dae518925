"""Losses of the study classifier: heads, weights of classes and images, soft labels; and its loader's draws."""

import dataclasses
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from cxr.data.datasets import StudyImages, even_weights, study_loader
from cxr.labels import STUDY_CLASSES
from cxr.profiles import ours
from cxr.training.losses import class_loss, even_class_weights, study_losses
from cxr.training.studies import empty_classes

LOGITS = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
TARGET = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
ONES = torch.ones(2)


def table(classes, **columns):
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(len(classes))], "height": 16, "width": 16, **columns})
    for column, name in enumerate(STUDY_CLASSES):
        images[name] = [float(number == column) for number in classes]
    return images


def test_without_more_it_is_cross_entropy():
    wanted = torch.nn.functional.cross_entropy(LOGITS, TARGET.argmax(1))
    assert class_loss(LOGITS, TARGET, ONES).item() == pytest.approx(wanted.item())


def test_focal_loss_by_hand():
    p = LOGITS.softmax(1)[:, 0]
    wanted = (-((1 - p) ** 2) * p.log()).mean()
    assert class_loss(LOGITS, TARGET, ONES, focal=2.0).item() == pytest.approx(wanted.item())


def test_soft_labels_and_weights_of_images_count_in_proportion():
    soft = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    p = LOGITS[:1].softmax(1)[0]
    assert class_loss(LOGITS[:1], soft, torch.tensor([0.5])).item() == pytest.approx(
        -0.5 * 0.5 * (p[0].log() + p[1].log()).item()
    )


def test_class_weights_are_inverse_frequencies_with_mean_one_over_the_images():
    targets = np.eye(4)[[0, 0, 0, 1]]
    weights = even_class_weights(targets)
    assert weights.tolist() == pytest.approx([4 / 3 / 2, 4 / 2, 0, 0]), "two classes, as heavy together; nobody has two"
    assert (targets @ weights.numpy()).mean() == pytest.approx(1.0)


def test_heads_add_losses_and_unknown_boxes_count_for_nothing():
    mask, none = torch.zeros(2, 1, 2, 2), torch.tensor([3.0, 0.0])
    network = lambda pixels: {"classes": LOGITS, "mask": mask, "none": none}  # noqa: E731
    batch = {"pixels": None, "target": TARGET, "weight": ONES, "mask": torch.ones(2, 1, 2, 2)}
    batch["empty"] = torch.tensor([1.0, float("nan")])
    found = study_losses()(network, batch)
    assert set(found) == {"class", "mask", "none"}
    assert found["none"].item() == pytest.approx(np.log(1 + np.exp(-3.0))), "the image whose boxes are unknown is out"
    batch["mask"][1] = torch.nan
    half = study_losses()(network, batch)["mask"].item()
    # BCE of chance .5: log 2 on the known half; Dice of .5 over ones: 1 - 2 * 2 / (1 + 4)
    assert half == pytest.approx(np.log(2) / 2 + 1 - 4 / 5)


def test_an_item_of_an_image_without_known_boxes():
    images = table([0], has_box=np.nan, weight=0.5)
    boxes = pd.DataFrame(columns=["image_id", "label", "score", "x_min", "y_min", "x_max", "y_max"])
    item = StudyImages(images, boxes, np.zeros((1, 16, 16), np.uint8), 16, 8)[0]
    assert torch.isnan(item["mask"]).all() and torch.isnan(item["empty"]) and item["weight"] == 0.5


def test_oversampling_draws_every_class_as_often():
    classes = [0] * 30 + [1] * 6 + [3] * 4
    targets = table(classes)[list(STUDY_CLASSES)].to_numpy()
    weights = np.array(even_weights(targets))
    assert [weights[np.array(classes) == number].sum() for number in (0, 1, 3)] == pytest.approx([1, 1, 1])
    settings = dataclasses.replace(ours.STUDY, size=16, batch=8, oversample=True, seed=1)
    boxes = pd.DataFrame(columns=["image_id", "label", "score", "x_min", "y_min", "x_max", "y_max"])
    loader = study_loader(table(classes), boxes, np.zeros((40, 16, 16), np.uint8), settings, 8, True)
    drawn = Counter(int(one) for _ in range(20) for batch in loader for one in batch["target"].argmax(1))
    assert all(drawn[number] / drawn.total() == pytest.approx(1 / 3, abs=0.06) for number in (0, 1, 3))


def test_classes_that_nobody_has_are_named():
    notes = empty_classes(np.eye(4)[[0, 1, 1]], "fold_0")
    assert [note.split(" is ")[1].split(",")[0] for note in notes] == ["indeterminate", "atypical"]
    assert notes[0].startswith("note: fold_0: none of 3 training images")
