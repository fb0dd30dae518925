"""The tree of a rehearsal: both mount layouts, the swapped test set, inputs that stay as they are."""

import os

import pytest

from cxr import paths
from cxr.data import siim
from cxr.faults import DataFault
from cxr.kaggle import session
from cxr.kaggle.rehearsal.tree import (
    NEW,
    OLD,
    Bind,
    binds_of,
    changed_files,
    competition_entries,
    copy_read_only,
    datasets_of,
    make_mount_points,
    remove_tree,
    size_of,
    snapshot,
)
from cxr.workspace import write_json


@pytest.fixture
def competition(tmp_path):
    return make_competition(tmp_path / "competition", "seen")


def make_competition(folder, image):
    for part in ("train", "test"):
        (folder / part / "study" / "series").mkdir(parents=True)
        (folder / part / "study" / "series" / f"{part}_{image}.dcm").write_bytes(b"pixels")
    (folder / "train_image_level.csv").write_text(f"id\n{image}\n")
    (folder / "sample_submission.csv").write_text(f"id,PredictionString\n{image}_image,none 1 0 0 1 1\n")
    return folder


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "bundle" / "wheels"
    folder.mkdir(parents=True)
    (folder / "dataset-metadata.json").write_text("{}")
    (folder / "wheels.json").write_text("{}")
    return folder


@pytest.fixture
def kaggle_input(tmp_path):
    yield tmp_path / "kaggle" / "input"
    remove_tree(tmp_path / "kaggle")


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    ("layout", "place", "packages"),
    [
        (NEW, "competitions/siim-covid19-detection", "datasets/somebody/cxr-wheels"),
        (OLD, "siim-covid19-detection", "cxr-wheels"),
    ],
)
def test_both_layouts_are_found_by_the_code(
    competition, wheels, kaggle_input, layout, place, packages, hidden, tmp_path, monkeypatch
):
    swapped = make_competition(tmp_path / "other", "unseen") if hidden else None
    binds = binds_of(
        kaggle_input, layout, competition_entries(competition, swapped), {("somebody", "cxr-wheels"): wheels}
    )
    copy_read_only(binds, kaggle_input)
    monkeypatch.setattr(siim, "KAGGLE_INPUT", kaggle_input)
    monkeypatch.setattr(paths, "KAGGLE_INPUT", kaggle_input)

    found = siim.find_competition(None)
    assert found == kaggle_input / place
    assert session.find_wheels() == kaggle_input / packages
    assert not (kaggle_input / packages / "dataset-metadata.json").exists()
    seen = "unseen" if hidden else "seen"
    assert [path.name for path in siim.find_dicoms(found / "test")] == [f"test_{seen}.dcm"]
    assert [path.name for path in siim.find_dicoms(found / "train")] == ["train_seen.dcm"]
    assert siim.read_sample(found / "sample_submission.csv")["item_id"].tolist() == [seen]


def test_a_hidden_set_without_a_sample_file_is_refused(competition, tmp_path):
    (tmp_path / "half" / "test").mkdir(parents=True)
    with pytest.raises(DataFault, match=r"half: no sample_submission.csv; a hidden test set has test and sample"):
        competition_entries(competition, tmp_path / "half")


def test_mount_points_are_empty_and_of_the_right_kind(competition, kaggle_input):
    make_mount_points(
        [
            Bind(competition / "test", kaggle_input / "a" / "test"),
            Bind(competition / "sample_submission.csv", kaggle_input / "a" / "sample_submission.csv"),
        ]
    )
    assert list((kaggle_input / "a" / "test").iterdir()) == []
    assert (kaggle_input / "a" / "sample_submission.csv").read_text() == ""


def test_copies_have_no_write_permission_and_originals_keep_theirs(competition, kaggle_input):
    before = snapshot([competition])
    copy_read_only([Bind(competition, kaggle_input / "a")], kaggle_input)
    for path in (kaggle_input, kaggle_input / "a" / "test", kaggle_input / "a" / "sample_submission.csv"):
        assert path.stat().st_mode & 0o222 == 0, path
    assert (competition / "sample_submission.csv").stat().st_mode & 0o200
    assert changed_files(before, snapshot([competition])) == []
    dicom = "test/study/series/test_seen.dcm"
    assert os.path.samefile(competition / dicom, kaggle_input / "a" / dicom)


def test_every_kind_of_change_is_seen(competition):
    before = snapshot([competition])
    sample, dicom = competition / "sample_submission.csv", competition / "test" / "study" / "series" / "test_seen.dcm"
    os.utime(sample, ns=(1, 1))
    dicom.unlink()
    (competition / "new").touch()
    os.utime(competition, ns=(before[str(competition)][1],) * 2)
    os.utime(dicom.parent, ns=(before[str(dicom.parent)][1],) * 2)
    assert changed_files(before, snapshot([competition])) == sorted(map(str, (sample, dicom, competition / "new")))


def test_sizes_count_files_once_and_no_links(competition):
    (competition / "link.dcm").symlink_to(competition / "train_image_level.csv")
    # two DICOMs of 6 bytes, "id\nseen\n", and the sample's header of 20 + row of 29
    assert size_of(competition) == 2 * 6 + 8 + len("id,PredictionString\nseen_image,none 1 0 0 1 1\n")


def test_data_sets_are_mounted_under_the_names_of_their_metadata(tmp_path):
    for name in ("code", "wheels"):
        write_json({"id": f"somebody/my-{name}"}, tmp_path / name / "dataset-metadata.json")
    assert datasets_of(tmp_path, ["wheels"]) == {("somebody", "my-wheels"): tmp_path / "wheels"}
