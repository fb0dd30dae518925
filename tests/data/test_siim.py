import numpy as np
import pandas as pd
import pytest
from small_competition import BOX, CLASSES, IMAGES, touch, write_levels

from cxr.data import siim
from cxr.faults import DataFault


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("mount", ["", "siim-covid19-detection", "competitions/siim-covid19-detection"])
@pytest.mark.parametrize("sentinel", ["train_image_level.csv", "sample_submission.csv"])
def test_find_competition_knows_every_mount(tmp_path, mount, sentinel):
    touch(tmp_path / mount / sentinel)
    assert siim.find_competition(tmp_path) == tmp_path / mount


def test_find_competition_knows_a_renamed_folder_by_its_training_labels_only(tmp_path):
    touch(tmp_path / "other contest" / "sample_submission.csv")
    with pytest.raises(DataFault):
        siim.find_competition(tmp_path)
    touch(tmp_path / "renamed" / "train_image_level.csv")
    assert siim.find_competition(tmp_path) == tmp_path / "renamed"


def test_find_competition_prefers_the_first_mount(tmp_path):
    touch(tmp_path / "competitions/siim-covid19-detection/sample_submission.csv")
    touch(tmp_path / "siim-covid19-detection/sample_submission.csv")
    assert siim.find_competition(tmp_path) == tmp_path / "siim-covid19-detection"


def test_find_competition_without_a_folder_looks_at_kaggle_and_only_then(tmp_path, monkeypatch):
    monkeypatch.setattr(siim, "KAGGLE_INPUT", tmp_path / "kaggle" / "input")
    mounted = touch(tmp_path / "kaggle/input/competitions/siim-covid19-detection/sample_submission.csv").parent
    assert siim.find_competition(None) == mounted
    assert siim.find_competition(tmp_path / "kaggle" / "elsewhere") == mounted
    with pytest.raises(DataFault):
        siim.find_competition(tmp_path / "mine")


def test_find_competition_lists_what_was_tried(tmp_path):
    with pytest.raises(DataFault) as fault:
        siim.find_competition(tmp_path)
    message = str(fault.value)
    assert message.startswith("no sample_submission.csv or train_image_level.csv found in ") and "\n" not in message
    assert f"{tmp_path}, {tmp_path}/siim-covid19-detection, {tmp_path}/competitions/siim-covid19-detection; " in message
    assert message.endswith("unpack siim-covid19-detection.zip into one of them")


def test_find_competition_sees_a_half_unpacked_folder(tmp_path):
    folder = tmp_path / "siim-covid19-detection"
    (folder / "train").mkdir(parents=True)
    with pytest.raises(DataFault, match=rf"{folder} is half unpacked, unpack the whole archive"):
        siim.find_competition(tmp_path)


def test_find_competition_does_not_guess_between_two(tmp_path):
    for name in ("one", "two"):
        touch(tmp_path / name / "train_image_level.csv")
    with pytest.raises(DataFault, match=r"several folders hold a train_image_level.csv \(one, two\); name the one"):
        siim.find_competition(tmp_path)


def test_find_dataset_wants_the_sentinel(tmp_path):
    (tmp_path / "data").mkdir()
    assert siim.find_dataset(tmp_path, "data", "Data_Entry_*.csv") is None
    touch(tmp_path / "datasets" / "nih-chest-xrays" / "data" / "Data_Entry_2017.csv")
    assert siim.find_dataset(tmp_path, "data", "Data_Entry_*.csv") == tmp_path / "datasets/nih-chest-xrays/data"
    touch(tmp_path / "data" / "Data_Entry_2017.csv")
    assert siim.find_dataset(tmp_path, "data", "Data_Entry_2017.csv") == tmp_path / "data"


def test_find_weights_takes_the_nearest_name_of_the_first_place(tmp_path):
    assert siim.find_weights(tmp_path, "yolo11n") is None
    mounted = touch(tmp_path / "datasets" / "me" / "nets" / "yolo11n.pt")
    assert siim.find_weights(tmp_path, "yolo11n") == mounted
    longer = touch(tmp_path / "weights" / "yolo11n-seg.pt")
    assert siim.find_weights(tmp_path, "yolo11n") == longer
    exact = touch(tmp_path / "weights" / "yolo11n.pt")
    touch(tmp_path / "weights" / "mobilenet_v2-b0353104.pth")
    assert siim.find_weights(tmp_path, "yolo11n") == exact
    assert siim.find_weights(tmp_path, "mobilenet_v2").name == "mobilenet_v2-b0353104.pth"
    assert siim.find_weights(tmp_path, "") is None


def test_find_dicoms_is_sorted_and_skips_what_is_no_image(tmp_path):
    paths = [touch(tmp_path / name) for name in ("s2/r/b.dcm", "s1/r/c.dcm", "s1/q/d.dcm")]
    for name in ("s1/r/._c.dcm", "s1/r/note.txt", "s1/loose.dcm"):
        touch(tmp_path / name)
    assert siim.find_dicoms(tmp_path) == sorted(paths)


def test_training_table(competition):
    table, findings = siim.training_table(competition)
    assert findings == []
    assert table["image_id"].tolist() == ["a1", "a2", "a3", "a4", "a5"]
    assert table["path"].tolist()[1] == "train/s2/series/a2.dcm"
    assert table["role"].tolist() == ["train", "train", "duplicate", "train", "train"]
    assert table["has_box"].tolist() == [False, True, False, False, True]
    classes = table[["negative", "typical", "indeterminate", "atypical"]].to_numpy()
    assert classes.argmax(axis=1).tolist() == [0, 1, 1, 3, 2] and classes.sum(axis=1).tolist() == [1] * 5
    np.testing.assert_array_equal(table["boxes_xywh"][1], [[10.5, 20, 30, 40]])
    assert table["boxes_xywh"][0].shape == (0, 4)


def test_ids_of_digits_stay_text(tmp_path):
    write_levels(tmp_path, [("001", "0002", "", "none 1 0 0 1 1")], {"0002": 0})
    table, _ = siim.labelled_images(tmp_path)
    assert table[["image_id", "study_id"]].to_numpy().tolist() == [["001", "0002"]]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "train_image_level.csv",
            "id,boxes",
            "id,bokses",
            r"train_image_level.csv: column 'boxes' is missing; found id, bokses, label, StudyInstanceUID",
        ),
        (
            "train_study_level.csv",
            "Typical Appearance,Indet",
            "Typical,Indet",
            r"train_study_level.csv: column 'Typical Appearance' is missing",
        ),
        (
            "train_study_level.csv",
            "s1_study,1,0",
            "s1_study,1,1",
            r"1 row\(s\) without exactly one 1 and three 0, the first is study s1 \(1, 1, 0, 0\); correct the row",
        ),
        ("train_study_level.csv", "s1_study,1,0", "s1_study,0,0", r"the first is study s1 \(0, 0, 0, 0\)"),
        ("train_study_level.csv", "s1_study,1,0", "s1_study,2,-1", r"the first is study s1 \(2, -1, 0, 0\)"),
        ("train_study_level.csv", "s1_study,1,0", "s1_study,,1", r"the first is study s1 \(nan, 1.0, 0.0, 0.0\)"),
        ("train_study_level.csv", "s2_study", "s1_study", r"id 's1_study' stands there more than once; keep one row"),
        (
            "train_study_level.csv",
            "s2_study",
            "s2",
            r"1 id\(s\) do not end in _study, the first is 's2'; take the file",
        ),
        (
            "train_study_level.csv",
            "s2_study",
            "s9_study",
            r"train_image_level.csv: studies without a row in train_study_level.csv: 1 \(s2\); take both files",
        ),
        ("train_image_level.csv", "a2_image", "a1_image", r"id 'a1_image' stands there more than once"),
        ("train_image_level.csv", "a2_image", "a2_study", r"do not end in _image, the first is 'a2_study'"),
        ("train_image_level.csv", "a2_image", "_image", r"do not end in _image, the first is '_image'"),
        (
            "train_image_level.csv",
            "'width': 30.0",
            "'width'",
            r"train_image_level.csv: image a2: boxes .* cannot be read",
        ),
        ("train_image_level.csv", "'x': 10.5", "'x': 1e999", r"image a2: boxes .* not finite"),
        ("train_image_level.csv", "0 0 1 1,s1", "0 0 1 1,", r"image a1 has no StudyInstanceUID; take the file"),
    ],
)
def test_faults_of_the_label_files(competition, name, old, new, message):
    edit(competition / name, old, new)
    with pytest.raises(DataFault, match=message) as fault:
        siim.training_table(competition)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("name", ["train_image_level.csv", "train_study_level.csv"])
def test_a_missing_or_empty_label_file(competition, name):
    header = (competition / name).read_text().splitlines()[0]
    (competition / name).write_text(header + "\n")
    with pytest.raises(DataFault, match=rf"{name}: no rows below the header; unpack the whole archive"):
        siim.training_table(competition)
    (competition / name).unlink()
    with pytest.raises(DataFault, match=rf"{name}: no such file, the input is half unpacked; unpack the whole archive"):
        siim.training_table(competition)


def test_pictures_that_are_not_unpacked(competition):
    for path in siim.find_dicoms(competition / "train"):
        path.unlink()
    with pytest.raises(DataFault, match=r"train: the folder holds no <study>/<series>/<image>.dcm, the input is half"):
        siim.training_table(competition)
    (competition / "train").rename(competition / "trian")
    with pytest.raises(DataFault, match=r"train: the folder is missing, the input is half unpacked; unpack the whole"):
        siim.training_table(competition)


def test_some_pictures_missing_are_reported_and_many_are_a_fault(competition):
    (competition / "train/s1/series/a1.dcm").unlink()
    (competition / "train/s3/series/a4.dcm").unlink()
    table, findings = siim.training_table(competition)
    assert table["image_id"].tolist() == ["a2", "a3", "a5"]
    assert findings == [
        f"{competition}/train: of 5 images in train_image_level.csv these have no DICOM: 2 (a1, a4); "
        "they are left out of training"
    ]
    (competition / "train/s4/series/a5.dcm").unlink()
    with pytest.raises(DataFault, match=r"these have no DICOM: 3 \(a1, a4, a5\); the input is half unpacked"):
        siim.training_table(competition)


def test_a_boxless_copy_stays_a_duplicate_when_the_boxed_picture_is_missing(competition):
    (competition / "train/s2/series/a2.dcm").unlink()
    table, _ = siim.training_table(competition)
    assert table.set_index("image_id")["role"]["a3"] == "duplicate"


def test_what_can_be_lived_with_is_reported(competition):
    write_levels(competition, [*IMAGES[:4], ("a5", "s4", BOX, "none 1 0 0 1 1")], {**CLASSES, "s9": 0})
    touch(competition / "train/s1/series/x7.dcm")
    touch(competition / "train/s3/other/a1.dcm")
    (competition / "train/s4/series/a5.dcm").rename(competition / "train/s3/series/a5.dcm")
    table, findings = siim.training_table(competition)
    assert findings == [
        "train_study_level.csv: studies without an image in train_image_level.csv, ignored: 1 (s9)",
        "train_image_level.csv: columns boxes and label count differently, boxes is used: 1 (a5)",
        "train: images that lie there more than once, the first path is used: 1 (a1)",
        f"{competition}/train: DICOMs without a row in train_image_level.csv, ignored: 1 (x7)",
        f"{competition}/train: images in the folder of another study, the CSV is believed: 1 (a5)",
    ]
    assert len(table) == 5 and table["study_id"].iloc[4] == "s4" and table["path"].iloc[4] == "train/s3/series/a5.dcm"


def test_prediction_table_follows_the_folder_and_the_sample(competition):
    table, findings = siim.prediction_table(competition)
    assert findings == []
    assert table.to_numpy().tolist()[2] == ["b3", "t2", "test/t2/series/b3.dcm"]
    touch(competition / "test/t9/series/b9.dcm")
    (competition / "test/t1/series/b1.dcm").unlink()
    table, findings = siim.prediction_table(competition)
    assert table["image_id"].tolist() == ["b2", "b3"]
    unknown = "unknown to sample_submission.csv, which decides the rows of a submission"
    absent = "without a DICOM in test/, they get the fallback prediction"
    assert findings == [
        f"{competition}/test: study ids {unknown}: 1 (t9)",
        f"{competition}/sample_submission.csv: study ids {absent}: 1 (t1)",
        f"{competition}/test: image ids {unknown}: 1 (b9)",
        f"{competition}/sample_submission.csv: image ids {absent}: 1 (b1)",
    ]


def test_read_sample_keeps_the_order(competition):
    sample = siim.read_sample(competition / "sample_submission.csv")
    assert sample["id"].tolist() == ["t1_study", "t2_study", "b1_image", "b2_image", "b3_image"]
    assert sample["item_id"].tolist() == ["t1", "t2", "b1", "b2", "b3"]
    assert sample["kind"].tolist() == ["study"] * 2 + ["image"] * 3


def test_an_empty_test_set(competition):
    for path in siim.find_dicoms(competition / "test"):
        path.unlink()
    with pytest.raises(DataFault, match=r"test: the folder holds no .*dcm, the input is half unpacked"):
        siim.prediction_table(competition)
    (competition / "sample_submission.csv").write_text("id,PredictionString\n")
    with pytest.raises(DataFault, match=r"sample_submission.csv: no rows, so the test set is empty"):
        siim.prediction_table(competition)
    (competition / "sample_submission.csv").write_text("id,PredictionString\nt1,x\n")
    with pytest.raises(DataFault, match=r"do not end in _study or _image, the first is 't1'"):
        siim.prediction_table(competition)


def test_real_label_files_have_the_known_counts(real_labels):
    table, findings = siim.labelled_images(real_labels)
    assert findings == []
    studies = table.drop_duplicates("study_id")
    assert (len(table), len(studies)) == (6334, 6054)
    assert studies[["negative", "typical", "indeterminate", "atypical"]].sum().tolist() == [1676, 2855, 1049, 474]
    numbers = table["boxes_xywh"].map(len)
    assert (numbers.sum(), table["has_box"].sum(), (~table["has_box"]).sum()) == (7853, 4294, 2040)
    assert numbers.value_counts().to_dict() == {2: 3113, 0: 2040, 1: 973, 3: 183, 4: 23, 5: 1, 8: 1}
    per_study = table["study_id"].value_counts().value_counts().to_dict()
    assert per_study == {1: 5822, 2: 207, 3: 15, 4: 4, 5: 3, 6: 1, 7: 1, 9: 1}
    assert table["role"].value_counts().to_dict() == {"train": 6117, "duplicate": 217}
    boxless = table[(table["role"] == "train") & ~table["has_box"]]
    assert boxless[["negative", "typical", "atypical"]].sum().tolist() == [1736, 1, 86]
    mixed = table.groupby("study_id")["has_box"].agg(lambda boxed: boxed.any() and not boxed.all())
    assert mixed.sum() == 177
    corners = np.concatenate(table["boxes_xywh"].tolist())
    assert (corners < 0).any(axis=1).sum() == 1 and (corners[:, 2:] > 0).all()


def test_real_sample_has_studies_before_images(real_labels):
    sample = siim.read_sample(real_labels / "sample_submission.csv")
    assert sample["kind"].tolist() == ["study"] * 1214 + ["image"] * 1263
    assert not pd.Series(sample["item_id"]).str.contains("_").any()
