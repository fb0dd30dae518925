"""What each study class shows, and boxes that fit what can be seen."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cxr.labels import STUDY_CLASSES
from cxr.phantom.anatomy import draw_patient, draw_view, render
from cxr.phantom.lesions import LEFT, RIGHT, Disease, Lesion, draw_disease

NIH = {
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
}


def plain_view(seed=0, size=300):
    rng = np.random.default_rng(seed)
    patient = draw_patient(rng)
    return patient, replace(
        draw_view(rng, patient),
        devices=(),
        border=(0.0,) * 4,
        angle=0.0,
        shift_cm=(0.0, 0.0),
        height=size,
        width=size,
        exposure=50.0,
        sharpen=0.0,
        window=(0.1, 0.9),
        gamma=1.0,
    )


def lesion(kind="ground_glass", **changes):
    values = dict(
        kind=kind, side=RIGHT, u=0.6, v=0.6, ru=0.35, rv=0.25, density=0.3, patch=0.3, mottle=0.08, group=0, seed=5
    )
    return Lesion(**(values | changes))


def many(study_class, count=400):
    return [draw_disease(np.random.default_rng([7, number]), study_class) for number in range(count)]


def box_counts(diseases):
    counts = Counter(len({lesion.group for lesion in disease.lesions} - {-1}) for disease in diseases)
    return {number: count / len(diseases) for number, count in counts.items()}


def test_an_unknown_class_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="'covid'; expected one of negative, typical, indeterminate, atypical"):
        draw_disease(np.random.default_rng(0), "covid")


def test_negative_studies_have_nothing():
    assert draw_disease(np.random.default_rng(0), "negative") == Disease("negative")


def test_typical_is_bilateral_peripheral_low_and_has_two_boxes():
    diseases = many("typical")
    assert box_counts(diseases)[2] > 0.85  # 93 % in the SIIM train set
    assert np.mean([{item.side for item in disease.lesions} == {LEFT, RIGHT} for disease in diseases]) > 0.95
    assert np.mean([item.u for disease in diseases for item in disease.lesions]) > 0.55
    assert np.mean([item.v for disease in diseases for item in disease.lesions]) > 0.55


def test_indeterminate_and_atypical_box_counts_follow_the_real_set():
    one = box_counts(many("indeterminate"))
    assert 0.58 < one[1] < 0.72 and 0.25 < one[2] < 0.38 and 0 < one[0] < 0.1  # 65, 31, 4 %
    other = box_counts(many("atypical"))
    assert 0.12 < other[0] < 0.28 and other[1] > other[2]  # 19 % without, most have one


def test_atypical_kinds_and_names():
    kinds = Counter(item.kind for disease in many("atypical") for item in disease.lesions)
    assert set(kinds) == {"lobar", "effusion", "nodule", "pneumothorax"}
    patient, view = plain_view(1)
    names = {
        name
        for study_class in STUDY_CLASSES
        for seed in range(6)
        for name in render(patient, view, draw_disease(np.random.default_rng(seed), study_class)).findings
    }
    assert names <= NIH and "Infiltration" in names


def test_the_change_lies_inside_the_box():
    patient, view = plain_view(2)
    sick = render(patient, view, Disease("indeterminate", (lesion(),)))
    change = np.abs(sick.pixels - render(patient, view, Disease("negative")).pixels)
    ((x1, y1, x2, y2),) = np.rint(sick.boxes_xyxy).astype(int)
    inside = np.zeros(change.shape, bool)
    inside[y1:y2, x1:x2] = True
    assert change[inside].mean() > 4 * change[~inside].mean()
    right = np.argwhere(sick.masks["right_lung"])
    assert abs((x1 + x2) / 2 - right[:, 1].mean()) < 0.35 * np.ptp(right[:, 1])


def test_sides_are_the_patients():
    patient, view = plain_view(3)
    (right,), (left,) = (
        render(patient, view, Disease("indeterminate", (lesion(side=side),))).boxes_xyxy for side in (RIGHT, LEFT)
    )
    assert right[[0, 2]].mean() < 150 < left[[0, 2]].mean()


def test_lesions_of_one_group_share_a_box_and_minus_one_has_none():
    patient, view = plain_view(4)
    high, low = lesion(v=0.3, rv=0.12), lesion(v=0.8, rv=0.12, seed=6)
    boxes = {
        name: render(patient, view, Disease("typical", lesions)).boxes_xyxy
        for name, lesions in {
            "apart": (high, replace(low, group=1)),
            "merged": (high, low),
            "unboxed": (replace(high, group=-1),),
        }.items()
    }
    assert [len(boxes[name]) for name in ("apart", "merged", "unboxed")] == [2, 1, 0]
    height = boxes["merged"][0, 3] - boxes["merged"][0, 1]
    assert height > 1.5 * (boxes["apart"][:, 3] - boxes["apart"][:, 1]).max()


def test_boxes_scatter_like_a_human_hand_but_stay_close():
    patient, view = plain_view(5)
    boxes = np.array(
        [render(patient, replace(view, seed=seed), Disease("typical", (lesion(),))).boxes_xyxy[0] for seed in range(12)]
    )
    size = (boxes[:, 2:] - boxes[:, :2]).mean(axis=0)
    spread = boxes.std(axis=0) / np.tile(size, 2)
    assert (spread > 0.01).all() and (spread < 0.12).all()


def test_boxes_are_cut_at_the_picture():
    patient, view = plain_view(6)
    close = replace(view, field_cm=20.0)  # the lungs reach out of the picture
    rendering = render(patient, close, Disease("typical", (lesion(u=0.5, ru=0.7, v=0.5, rv=0.6),)))
    assert rendering.boxes_xyxy.min() >= 0 and rendering.boxes_xyxy.max() <= 300
    assert ((rendering.boxes_xyxy[:, 2:] - rendering.boxes_xyxy[:, :2]) > 4).all()


@pytest.mark.parametrize(("kind", "sign"), [("effusion", 1), ("lobar", 1), ("pneumothorax", -1)])
def test_fluid_brightens_and_free_air_darkens(kind, sign):
    patient, view = plain_view(7)
    item = lesion(kind, u=0.85, v=0.5, ru=0.4, rv=0.6, density=0.8 if sign > 0 else 0.0, group=-1)
    sick = render(patient, view, Disease("atypical", (replace(item, v=0.9, rv=0.3) if kind == "effusion" else item,)))
    change = sick.pixels - render(patient, view, Disease("negative")).pixels
    assert sign * change[sick.masks["right_lung"]].mean() > 0.003
    assert sign * change[sick.masks["right_lung"]].mean() > 3 * sign * change[sick.masks["left_lung"]].mean()
