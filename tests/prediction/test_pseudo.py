"""Pictures without labels: which are taken, what a teacher says of them, and that students learn from both."""

import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.data.fingerprints import TRAIN
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.prediction import pseudo
from cxr.prediction.pseudo import Both, Unlabelled, joined, load_unlabelled, soft_labels
from cxr.workspace import open_workspace


class Teacher:
    """Says of picture k what its brightness tells: sure of `typical` where it is bright."""

    def __init__(self):
        self.asked = []

    def predict(self, images, pixels):
        self.asked.append(len(images))
        table = pd.DataFrame({"image_id": list(images["image_id"])})
        bright = np.array([picture.mean() / 255 for picture in pixels])
        return table.assign(negative=(1 - bright) / 3, typical=bright, indeterminate=(1 - bright) / 3,
                            atypical=(1 - bright) / 3)  # fmt: skip


@pytest.fixture
def unlabelled():
    images = pd.DataFrame({"image_id": list("abc"), "height": 8, "width": 8})
    pixels = np.stack([np.full((8, 8), value, np.uint8) for value in (250, 100, 200)])
    return Unlabelled("others", images, pixels)


def test_sure_labels_are_kept_soft_and_block_by_block(unlabelled, monkeypatch):
    monkeypatch.setattr(pseudo, "BLOCK", 2)
    teacher = Teacher()
    rows, pixels = soft_labels(teacher, unlabelled, least=0.7, weight=0.5)
    assert teacher.asked == [2, 1], "never all at once"
    assert list(rows["image_id"]) == ["a", "c"] and rows["weight"].eq(0.5).all() and rows["has_box"].isna().all()
    assert rows["typical"].tolist() == pytest.approx([250 / 255, 200 / 255])
    assert rows[list(STUDY_CLASSES)].sum(axis=1).tolist() == pytest.approx([1, 1])
    assert len(pixels) == 2 and pixels[1][0, 0] == 200


def test_students_see_labelled_and_unlabelled_in_one_row(unlabelled):
    images = pd.DataFrame({"image_id": ["x"], "height": 8, "width": 8, "has_box": 1, "typical": 1.0})
    rows, pixels = soft_labels(Teacher(), unlabelled, 0.7, 0.5)
    table, _, both = joined((images, pd.DataFrame(), np.zeros((1, 8, 8), np.uint8)), rows, pixels)
    assert list(table["weight"]) == [1.0, 0.5, 0.5] and list(table["image_id"]) == ["x", "a", "c"]
    assert isinstance(both, Both) and [both[n][0, 0] for n in range(3)] == [0, 250, 200] and len(both) == 3


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose training set holds one picture, and a folder with that picture, another one and a broken file."""
    rng = np.random.default_rng(0)
    pictures = [cv2.resize(rng.integers(0, 255, (12, 12), dtype=np.uint8), (96, 96)) for _ in range(2)]
    folder = tmp_path / "others"
    folder.mkdir()
    for name, picture in zip(("copy.png", "new.png"), pictures, strict=True):
        cv2.imwrite(str(folder / name), picture)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")

    def repeats(workspace, images, pixels, parts):
        assert parts == (TRAIN,), "test pictures may be learned from"
        same = [np.abs(one.astype(int) - cv2.resize(pictures[0], one.shape[::-1])).mean() < 12 for one in pixels]
        return pd.DataFrame({"image_id": images["image_id"][same]})

    monkeypatch.setattr(pseudo, "find_repeats", repeats)
    settings = f"images.cache_size=64 images.workers=1 pseudo.images={folder}"
    return open_workspace("demo", settings, str(tmp_path / "input"), str(tmp_path / "working"), str(tmp_path))


def test_copies_of_training_pictures_are_refused_and_broken_ones_named(run, capsys):
    found = load_unlabelled(run)
    said = capsys.readouterr().out
    assert list(found.images["image_id"].str.split("-").str[-1]) == ["new"] and len(found.pixels) == 1
    assert "pseudo-labels: 1 pictures of others; 1 refused" in said and "broken.png" in said


def test_a_folder_without_pictures_is_told(run, tmp_path):
    (tmp_path / "empty").mkdir()
    profile = dataclasses.replace(
        run.profile, pseudo=dataclasses.replace(run.profile.pseudo, images=str(tmp_path / "empty"))
    )
    with pytest.raises(DataFault, match=r"pseudo.images=.*empty: no file with one of .dcm, .png"):
        load_unlabelled(dataclasses.replace(run, profile=profile))
