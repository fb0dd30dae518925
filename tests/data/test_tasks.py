"""Tasks: patients stay together, every class is there, and what cannot be is said."""

import numpy as np
import pandas as pd
import pytest

from cxr.data.tasks import Pictures, changed_pictures, make_task, share_of_patients
from cxr.faults import DataFault

CLASSES = ("normal", "covid")


def table(count=40, split=True):
    """Two pictures a patient, classes by turns."""
    patients = np.repeat([f"p{n}" for n in range(count // 2)], 2)
    rows = pd.DataFrame({"image_id": [f"i{n}" for n in range(count)], "patient_id": patients, "group": patients})
    rows["label"] = [CLASSES[int(name[1:]) % 2] for name in patients]
    rows = rows.assign(height=100, width=120, age=50.0)
    if split:
        place = np.arange(count) // 2 % 10
        rows["split"] = np.select([place < 6, place < 8], ["train", "validation"], "test")
    return rows


def task(folds=1, **changes):
    rows = table(**changes)
    pixels = np.zeros((len(rows), 8, 8), np.uint8)
    return make_task("two", CLASSES, rows, pixels, ["made up"], folds)


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_no_patient_is_in_two_parts(folds):
    made = task(folds)
    tested = []
    for fold in made.folds:
        parts = made.parts(fold)
        patients = [set(part.images["patient_id"]) for part in parts]
        assert all(patients) and not (patients[0] & patients[1]) and not (patients[2] & (patients[0] | patients[1]))
        for part in parts[:1] + parts[2:]:
            assert set(part.targets) == {0, 1}
        tested += parts[2].ids
    assert sorted(tested) == sorted(set(tested))
    assert len(tested) == (8 if folds == 1 else 40)


def test_the_collections_own_validation_part_is_kept():
    made = task()
    assert set(made.parts(0)[1].ids) == {f"i{n}" for n in range(40) if n // 2 % 10 in (6, 7)}


def test_a_class_without_pictures_and_too_few_patients_are_named():
    rows = table()
    with pytest.raises(DataFault, match="0 patients are pneumonia, at least 2 are needed"):
        make_task("three", ("normal", "pneumonia", "covid"), rows, np.zeros((40, 8, 8), np.uint8), [])
    with pytest.raises(DataFault, match="10 patients are normal, at least 11 are needed for 11 fold"):
        task(11)
    with pytest.raises(DataFault, match="the collection has no split"):
        task(split=False)


def test_a_part_without_a_class_is_named(capsys):
    made = task()
    made = made._replace(usable=made.usable & (made.pictures.targets == 0))
    made.parts(0)
    assert "pictures to learn from is covid, so nothing can be learned of that" in capsys.readouterr().out


def test_a_share_of_the_patients_is_whole_patients_of_every_class():
    made = share_of_patients(task(), 0.5)
    training = made.parts(0)[0]
    assert set(training.targets) == {0, 1}
    assert len(training) < len(task().parts(0)[0])
    assert training.images["patient_id"].value_counts().eq(2).all()


def test_masks_are_unpacked_and_unbelieved_ones_are_none():
    masks = np.zeros((3, 8, 8), bool)
    masks[:, 2:5, 1:7] = True
    images = pd.DataFrame({"image_id": list("abc"), "patient_id": list("abc"), "height": 8, "width": 8})
    packed, believed = np.packbits(masks, axis=2), np.array([True, False, True])
    pictures = Pictures(images, [0, 1, 1], np.zeros((3, 8, 8), np.uint8), packed, believed)
    assert np.array_equal(pictures.mask(0), masks[0]) and pictures.mask(1) is None
    assert np.array_equal(pictures.take(np.array([2])).mask(0), masks[2])
    assert pictures.take(believed).known_lungs.all()


def test_changed_pictures_keep_the_rest():
    made = task()
    changed = changed_pictures(made, lambda picture: picture + 7)
    assert changed.pictures.picture(3).min() == 7 and made.pictures.picture(3).max() == 0
    assert changed.pictures.ids == made.pictures.ids and np.array_equal(changed.fold, made.fold)
