"""Copies that a person planted: each must be found, or refused, wherever it would make a score kinder than it is."""

import cv2
import numpy as np
import pandas as pd
import pytest
from planted import picture, reencoded, write_competition, write_dicom, write_nih

from cxr.data import external, fingerprints, prepare
from cxr.data.duplicates import COLUMNS
from cxr.data.fingerprints import read_fingerprints
from cxr.data.leaks import check_run
from cxr.data.prepare import annotate_and_fold, convert_training, load_training
from cxr.faults import DataFault
from cxr.tables import read_csv
from cxr.training import pretraining
from cxr.training.pretraining import load_nih, load_rsna
from cxr.workspace import open_workspace, write_json

SETTINGS = "images.cache_size=96 images.png=no images.train_limit=0 folds.count=2 nih.size=64 nih.train_limit=0"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run(planted, nih)`: a workspace after stage 00, whose pictures are read without processes of their own."""
    for module in (prepare, fingerprints, pretraining):
        monkeypatch.setattr(module, "worker_count", lambda wanted=0: 0)

    def made(planted=None, nih=None):
        competition = write_competition(tmp_path / "input" / "siim-covid19-detection", planted)
        folder = write_nih(tmp_path / "input" / "data", nih) if nih else ""
        workspace = open_workspace("demo", SETTINGS, str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
        found = {"data": "competition", "competition": str(competition), "companions": {"data": str(folder)}}
        write_json(found, workspace.places.inputs)
        return workspace

    return made


def test_a_near_copy_under_another_patient_shares_its_fold_and_is_listed(run):
    workspace = run({5: reencoded(picture(2))})
    convert_training(workspace)
    _, notes = annotate_and_fold(workspace)
    table = read_csv(workspace.places.duplicates_table, list(COLUMNS))
    assert len(table) == 1 and table.loc[0, ["image_id", "other_id", "how"]].tolist() == ["a2", "a5", "as it is"]
    assert table["correlation"][0] > 0.97 and table["hamming"][0] <= 10 and table["same_patient"][0] == 0
    assert table["conflict"][0] == "class and boxes"  # 2 % 4 != 5 % 4, and only odd ones have a box
    images = load_training(workspace)[0].set_index("image_id")
    assert images.loc["a2", "fold"] == images.loc["a5", "fold"] and images.loc["a2", "group"] == "p2"
    assert images.loc["a5", "group"] == "p2" and images.loc["a6", "group"] == "p6"
    told = "\n".join(notes)
    assert "1 picture(s) stand under several image ids, 1 of them under several patients" in told
    assert "1 pair(s) of copies have labels that contradict each other, the first: a2 and a5 (class and boxes)" in told
    assert "largest deviation of a fold from the whole:" in told


@pytest.mark.parametrize("copy", [picture(2), reencoded(picture(2)), picture(2)[2:-2, 2:-2], 255 - picture(2)])
def test_folds_in_which_copies_cross_fail(run, copy):
    workspace = run({5: copy})
    convert_training(workspace)
    annotate_and_fold(workspace)
    folds = read_csv(workspace.places.folds_table)
    folds.loc[folds["image_id"] == "a5", "fold"] = 1 - folds["fold"][folds["image_id"] == "a2"].iloc[0]
    folds.to_csv(workspace.places.folds_table, index=False)
    with pytest.raises(DataFault, match=r"folds leak: 1 picture\(s\) stand in several folds \(a2 in folds 0 and 1\)"):
        check_run(workspace)


def test_the_stage_fails_and_leaves_no_folds_when_they_leak(run, monkeypatch):
    workspace = run({5: reencoded(picture(2))})
    convert_training(workspace)
    monkeypatch.setattr(prepare, "as_pairs", lambda duplicates: [])  # as if nobody had looked for copies
    make = prepare.make_folds

    def apart(*arguments):
        folds = make(*arguments)
        folds["fold"] = folds["image_id"].isin(["a2", "a3", "a4"]).astype(int)
        return folds

    monkeypatch.setattr(prepare, "make_folds", apart)
    with pytest.raises(DataFault, match=r"folds leak: 1 picture\(s\)"):
        annotate_and_fold(workspace)
    assert not workspace.places.folds_table.exists() and workspace.places.duplicates_table.is_file()


def test_folds_and_cache_of_different_runs_are_not_compared(run):
    workspace = run()
    convert_training(workspace)
    annotate_and_fold(workspace)
    folds = read_csv(workspace.places.folds_table)
    folds.iloc[1:].to_csv(workspace.places.folds_table, index=False)
    with pytest.raises(DataFault, match=r"folds.csv: 15 images with a fold, 16 in images.csv, 16 in train_96.npy"):
        check_run(workspace)


def test_one_picture_under_four_patients_stops_the_run(run):
    workspace = run({number: reencoded(picture(2), quality) for number, quality in ((3, 90), (7, 60), (9, 40))})
    convert_training(workspace)
    with pytest.raises(DataFault) as fault:
        annotate_and_fold(workspace)
    words = str(fault.value)
    assert "pictures join 4 patients to one group (p2, p3, p7, p9), more than 3" in words and "\n" not in words
    assert (
        "look at these pairs of images: a2 = a3, a2 = a7, a2 = a9, ..." in words and "leave one in the input" in words
    )
    assert not workspace.places.folds_table.exists()
    assert len(read_csv(workspace.places.duplicates_table)) == 6  # of four pictures


def test_blank_pictures_are_no_copies_of_each_other(run):
    blank = np.zeros((96, 96), np.uint8)
    workspace = run({2: blank, 5: blank, 8: blank + 255, 9: blank + 1, 10: blank})
    convert_training(workspace)
    _, notes = annotate_and_fold(workspace)
    assert read_csv(workspace.places.duplicates_table).empty
    assert load_training(workspace)[0]["group"].nunique() == 16
    assert any("5 picture(s) are one gray and compared with none: a2, a5, a8, ..." in note for note in notes)


def test_fingerprints_are_those_of_train_and_test(run):
    workspace = run()
    images, _ = convert_training(workspace)
    prints = read_fingerprints(workspace)
    assert prints.table["part"].tolist() == ["train"] * 16 + ["test"] * 3
    assert prints.table["image_id"].tolist() == [*images["image_id"], "b0", "b1", "b2"]
    assert prints.table["pixel_hash"].nunique() == 19 and prints.thumbnails.shape == (19, 64, 64)
    expected = cv2.resize(picture(1001), (64, 64), interpolation=cv2.INTER_AREA).astype(int)
    assert np.corrcoef(prints.thumbnails[17].ravel(), expected.ravel())[0, 1] > 0.999


def test_a_broken_test_picture_does_not_stop_stage_01(run):
    workspace = run()
    (workspace.competition / "test" / "t1" / "x" / "b1.dcm").write_bytes(b"nothing")
    convert_training(workspace)
    assert read_fingerprints(workspace).table["image_id"].tolist()[-2:] == ["b0", "b2"]


def test_training_pictures_that_stand_in_the_test_set_are_told(run):
    workspace = run({4: reencoded(picture(1001))})
    convert_training(workspace)
    _, notes = annotate_and_fold(workspace)
    assert any("1 training picture(s) stand in the test set as well (the first: a4 = b1)" in note for note in notes)


def test_pictures_of_nih_that_the_competition_has_are_refused(run, capsys):
    own = [picture(2000 + number) for number in range(12)]
    own[3], own[7], own[9] = reencoded(picture(1001)), picture(6), reencoded(picture(8))[1:-1, 1:]
    workspace = run(nih=own)
    convert_training(workspace)
    data = load_nih(workspace)
    assert len(data.images) == len(data.pixels) == len(data.held_out) == 9
    assert data.images["image_id"].str[:8].astype(int).tolist() == [1, 2, 3, 5, 6, 7, 9, 11, 12]
    for row in range(9):  # the rows of the pixels are still those of the images
        number = int(data.images["image_id"][row][:8]) - 1
        shown = cv2.resize(own[number], (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(data.pixels[row].astype(int) - shown).max() <= 1
    rows = np.flatnonzero(data.held_out)
    assert (data.pixels[rows] == np.stack(list(data.pixels))[rows]).all()
    told = capsys.readouterr().out
    assert "note: NIH ChestX-ray14: 3 of 12 pictures repeat the competition (2 train, 1 test) and are left out" in told
    table = read_csv(workspace.places.refused_table, list(external.COLUMNS))
    assert table[["image_id", "part", "other_id"]].to_numpy().tolist() == [
        ["00000004_000", "test", "b1"],
        ["00000008_000", "train", "a6"],
        ["00000010_000", "train", "a8"],
    ]
    assert table["how"].tolist()[0] == "as it is" and (table["source"] == "NIH ChestX-ray14").all()


def test_a_refused_picture_of_rsna_takes_its_boxes_along(run, tmp_path):
    workspace = run()
    folder = tmp_path / "input" / "rsna-pneumonia-detection-challenge"
    names = [f"r{number}" for number in range(8)]
    for number, name in enumerate(names):  # r3 shows a test picture, r6 a training picture
        pixels = {3: picture(1002), 6: reencoded(picture(11))}.get(number, picture(2000 + number))
        write_dicom(folder / "stage_2_train_images" / f"{name}.dcm", pixels, name, name)
    box = {"x": 10, "y": 10, "width": 30, "height": 30}
    labels = pd.DataFrame({"patientId": names, **box, "Target": 1})
    labels.to_csv(folder / "stage_2_train_labels.csv", index=False)
    write_json({**workspace.inputs, "companions": {folder.name: str(folder)}}, workspace.places.inputs)
    convert_training(workspace)
    data = load_rsna(workspace)
    kept = ["r0", "r1", "r2", "r4", "r5", "r7"]
    assert data.images["image_id"].tolist() == kept and data.boxes["image_id"].tolist() == kept
    assert len(data.pixels) == len(data.held_out) == 6
    expected = cv2.resize(picture(2004).astype(float), (96, 96))
    assert np.corrcoef(data.pixels[3].ravel(), expected.ravel())[0, 1] > 0.999
    table = read_csv(workspace.places.refused_table)
    assert table[["source", "image_id", "part", "other_id", "how"]].to_numpy().tolist() == [
        ["RSNA pneumonia", "r3", "test", "b2", "pixel_hash"],
        ["RSNA pneumonia", "r6", "train", "a11", "as it is"],
    ]


def test_without_repeats_the_pixels_are_those_of_the_cache(run, capsys):
    workspace = run(nih=[picture(2000 + number) for number in range(9)])
    convert_training(workspace)
    data = load_nih(workspace)
    assert isinstance(data.pixels, np.memmap) and len(data.images) == 9
    assert "NIH" not in capsys.readouterr().out and read_csv(workspace.places.refused_table).empty


def test_a_collection_that_repeats_the_competition_stops_the_stage(run):
    workspace = run(nih=[reencoded(picture(number)) for number in range(6)] + [picture(2000 + n) for n in range(5)])
    convert_training(workspace)
    with pytest.raises(DataFault, match=r"NIH ChestX-ray14: this collection repeats the competition: 6 of 11 pictures"):
        load_nih(workspace)
    assert len(read_csv(workspace.places.refused_table)) == 6


def test_without_fingerprints_nothing_is_learned_from_other_pictures(run):
    workspace = run(nih=[picture(2000 + number) for number in range(9)])
    with pytest.raises(DataFault, match=r"fingerprints.npz: not there yet; run notebook 01_dicom_to_png first"):
        load_nih(workspace)
    workspace.places.fingerprints.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(DataFault, match=r"fingerprints.npz: cannot be read \(.+\); run notebook 01_dicom_to_png again"):
        load_nih(workspace)


def test_the_list_of_refused_pictures_keeps_other_sources(run):
    workspace = run()
    convert_training(workspace)
    images = pd.DataFrame({"image_id": ["x", "y", "z"]})
    pixels = np.stack([cv2.resize(picture(n), (80, 80), interpolation=cv2.INTER_AREA) for n in (3000, 1000, 3001)])
    assert external.refuse_repeats(workspace, "one", images, pixels).tolist() == [True, False, True]
    assert external.refuse_repeats(workspace, "two", images, pixels).tolist() == [True, False, True]
    assert external.refuse_repeats(workspace, "one", images, pixels[[0, 0, 2]]).all()
    table = read_csv(workspace.places.refused_table)
    assert table[["source", "image_id", "other_id"]].to_numpy().tolist() == [["two", "y", "b0"]]


def test_a_second_copy_of_a_patient_with_other_studies_moves_them_all(run):
    workspace = run({5: reencoded(picture(2))})
    for number in (20, 21):  # two more studies of p5
        write_dicom(
            workspace.competition / "train" / f"s{number}" / "x" / f"a{number}.dcm",
            picture(number), f"s{number}", "p5",
        )  # fmt: skip
    levels = [read_csv(workspace.competition / f"train_{kind}_level.csv") for kind in ("image", "study")]
    more = levels[0].iloc[[0, 0]].assign(id=["a20_image", "a21_image"], StudyInstanceUID=["s20", "s21"])
    pd.concat([levels[0], more]).to_csv(workspace.competition / "train_image_level.csv", index=False)
    more = levels[1].iloc[[0, 0]].assign(id=["s20_study", "s21_study"])
    pd.concat([levels[1], more]).to_csv(workspace.competition / "train_study_level.csv", index=False)
    convert_training(workspace)
    annotate_and_fold(workspace)
    images = load_training(workspace)[0].set_index("image_id")
    assert images.loc[["a2", "a5", "a20", "a21"], "fold"].nunique() == 1
    assert (images.loc[["a2", "a5", "a20", "a21"], "group"] == "p2").all()
