"""Augmentations by name: what paper 004 states, and boxes that stay on what they mark."""

import albumentations as A
import numpy as np
import pytest

from cxr.data.augment import (
    DETECTION_AUGMENTATIONS,
    STUDY_AUGMENTATIONS,
    CircularCutouts,
    find_augmentation,
    paper_004_backbone,
    paper_004_detection,
)
from cxr.faults import DataFault


def steps(compose):
    return {type(step).__name__: step for step in compose.transforms}


def test_the_papers_probabilities_for_detectors():
    found = steps(paper_004_detection(0))
    shares = {name: step.p for name, step in found.items()}
    assert shares == {
        "HorizontalFlip": 0.3, "Affine": 0.3, "OneOf": 0.75, "RandomBrightnessContrast": 0.3, "CircularCutouts": 0.3
    }  # fmt: skip
    assert found["Affine"].rotate == (-20, 20) and found["CircularCutouts"].most == 6
    # one of sharpen .5 and blur .25: chosen 2 : 1, three times in four
    assert found["OneOf"].transforms_ps == pytest.approx([2 / 3, 1 / 3])


def test_the_papers_probabilities_for_the_backbone():
    found = steps(paper_004_backbone(0))
    assert {name: step.p for name, step in found.items()} == {
        "HorizontalFlip": 0.5, "Blur": 0.3, "Rotate": 1.0, "Erasing": 0.3
    }  # fmt: skip
    assert found["Erasing"].scale == (0.01, 0.1)


@pytest.mark.parametrize("name", DETECTION_AUGMENTATIONS)
def test_boxes_stay_on_what_they_mark(name):
    picture = np.zeros((96, 96), np.uint8)
    picture[30:60, 20:70] = 200
    augment = DETECTION_AUGMENTATIONS[name](3)
    for _ in range(20):
        moved = augment(image=picture, bboxes=np.array([[20.0, 30.0, 70.0, 60.0]]))
        x_min, y_min, x_max, y_max = np.rint(moved["bboxes"][0]).astype(int)
        outside = moved["image"].astype(float)
        inside = outside[y_min:y_max, x_min:x_max].mean()
        outside[y_min:y_max, x_min:x_max] = np.nan
        assert inside > np.nanmean(outside) + 60


def test_cut_outs_are_discs_of_mean_gray_and_at_most_six():
    compose = A.Compose([CircularCutouts(p=1.0)], seed=1)
    areas = []
    for _ in range(30):
        found = compose(image=np.full((200, 200), 250, np.uint8))["image"]
        assert set(np.unique(found)) <= {114, 250}
        areas.append((found == 114).sum())
    assert min(areas) > 0 and max(areas) <= 6 * np.pi * 13**2, "a radius of 6 % of the width, and the rounding"


@pytest.mark.parametrize("name", STUDY_AUGMENTATIONS)
def test_masks_move_with_their_pictures(name):
    picture = np.zeros((64, 64), np.uint8)
    picture[16:48, 8:30] = 220
    augment = STUDY_AUGMENTATIONS[name](5)
    for _ in range(10):
        moved = augment(image=picture, mask=(picture > 0).astype(np.float32))
        image, inside = moved["image"].astype(float), moved["mask"] > 0.5
        assert image[inside].mean() > image[~inside].mean() + 40


def test_an_unknown_name_is_told():
    with pytest.raises(DataFault, match=r"study.augmentation=mine: not known; choose one of ours, paper_004"):
        find_augmentation("mine", STUDY_AUGMENTATIONS, "study.augmentation")
