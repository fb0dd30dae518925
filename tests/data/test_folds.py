import argparse
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from cxr.data import folds as module
from cxr.data.folds import balance_table, check_leaks, deviation_notes, deviations, make_folds, read_labelled
from cxr.data.siim import labelled_images
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.tables import FOLDS, read_csv, read_table


def made(patients=60, seed=0):
    """Patients with one to three studies of one or two images; classes and boxes in uneven shares."""
    rng, rows = np.random.default_rng(seed), []
    for patient in range(patients):
        for study in range(rng.integers(1, 4)):
            one = rng.choice(4, p=[0.3, 0.4, 0.2, 0.1])
            for image in range(rng.choice([1, 2], p=[0.9, 0.1])):
                name = f"{patient}.{study}.{image}"
                rows.append(
                    (
                        name,
                        f"s{patient}.{study}",
                        f"p{patient}",
                        *(int(one == n) for n in range(4)),
                        bool(one in (1, 2) and image == 0),
                        f"hash of {name}",
                    )
                )
    return pd.DataFrame(rows, columns=["image_id", "study_id", "patient_id", *STUDY_CLASSES, "has_box", "pixel_hash"])


def run(*words):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.main(parser.parse_args([str(word) for word in words]))


def test_every_image_has_one_fold_and_no_patient_crosses():
    table = made()
    folds = make_folds(table, 5)
    assert folds.columns.tolist() == FOLDS.columns
    assert sorted(folds["image_id"]) == sorted(table["image_id"]) and set(folds["fold"]) == set(range(5))
    assert folds.groupby("patient_id")["fold"].nunique().max() == 1
    check_leaks(folds, table)


def test_copies_and_near_copies_stay_together():
    table = made()
    table.loc[[0, 50], "pixel_hash"] = "the same"
    pair = tuple(table["image_id"].iloc[[20, 70]])
    assert table["patient_id"].iloc[[0, 20, 50, 70]].nunique() == 4
    for seed in range(5):
        fold = make_folds(table, 5, seed, [pair]).set_index("image_id")["fold"]
        assert fold[table["image_id"][0]] == fold[table["image_id"][50]] and fold[pair[0]] == fold[pair[1]]


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    table = made()
    folds = make_folds(table, 5, seed=3)
    pd.testing.assert_frame_equal(folds, make_folds(table.sample(frac=1, random_state=1), 5, seed=3))
    assert (folds["fold"] != make_folds(table, 5, seed=4)["fold"]).any()


def test_classes_and_boxes_are_spread_evenly():
    table = made(patients=300)
    balance = balance_table(make_folds(table, 5), table)
    assert np.ptp(balance["images"]) <= 4
    assert np.ptp(balance[[*STUDY_CLASSES, "boxed"]].to_numpy(), axis=0).max() < 2  # percentage points


def test_few_boxed_patients_reach_every_fold():
    table = made(patients=80)
    keep = table.loc[table["has_box"], "patient_id"].unique()[:5]
    table["has_box"] &= table["patient_id"].isin(keep)
    assert balance_table(make_folds(table, 5), table)["boxed"].min() > 0


def test_fewer_groups_than_folds():
    with pytest.raises(DataFault, match=r"5 folds need at least 5 groups of patients, found 3; ask for fewer folds"):
        make_folds(made(patients=3), 5)


def test_a_fold_without_a_box():
    table = made()
    table["has_box"] &= table["patient_id"] == table.loc[table["has_box"], "patient_id"].iloc[0]
    number = table["has_box"].sum()
    with pytest.raises(DataFault, match=rf"of 2 would have no image with a box, among {number} boxed images in"):
        make_folds(table, 2)


def test_a_class_that_a_fold_lacks_is_noted():
    balance = pd.DataFrame({"negative": [50.0, 49], "typical": [40.0, 40], "indeterminate": 10.0, "atypical": [0, 1.0]})
    notes = module.balance_notes(balance)
    assert notes == ["fold 0 has no study of class atypical: its average precision there is undefined"]


def test_wrong_labels():
    table = made()
    with pytest.raises(DataFault, match=r"image 0.0.0, row 1, and 0 more have not exactly one 1 and three 0 among"):
        make_folds(
            table.assign(
                typical=table["typical"].where(table.index > 0, 1), negative=table["negative"].where(table.index > 0, 1)
            )
        )
    twin = table.loc[[0]].assign(image_id="twin", **dict.fromkeys(STUDY_CLASSES, 0))
    twin[STUDY_CLASSES[(table.loc[0, list(STUDY_CLASSES)].to_numpy(int).argmax() + 1) % 4]] = 1
    with pytest.raises(DataFault, match=r"study s0.0 has images with different labels"):
        make_folds(pd.concat([table, twin]))


def test_leaks_are_named():
    table = made()
    folds = make_folds(table, 5)
    row = folds.index[folds["patient_id"] == folds["patient_id"].value_counts().index[0]][0]
    patient, old = folds.loc[row, "patient_id"], folds.loc[row, "fold"]
    folds.loc[row, "fold"] = new = (old + 1) % 5
    low, high = sorted((old, new))
    with pytest.raises(DataFault, match=rf"leak: 1 patient\(s\) .* \({patient} in folds {low} and {high}\); make"):
        check_leaks(folds, table)
    with pytest.raises(DataFault, match=rf"{patient} in folds"):  # the truth is in the images table
        check_leaks(folds.assign(patient_id=folds["image_id"], group=folds["image_id"]), table)


def test_leaking_pictures_are_named():
    table = made()
    folds = make_folds(table, 5)
    fold = folds.set_index("image_id")["fold"]
    one = table["image_id"][0]
    other = next(name for name in table["image_id"] if fold[name] != fold[one])
    with pytest.raises(DataFault, match=rf"1 picture\(s\) stand in several folds \({min(one, other)} in folds"):
        check_leaks(folds, table, [(one, other)])
    table.loc[table["image_id"].isin([one, other]), "pixel_hash"] = "the same"
    with pytest.raises(DataFault, match=r"1 picture\(s\) stand in several folds"):
        check_leaks(folds, table)


def test_leaks_cannot_be_ruled_out_for_unknown_images():
    table = made()
    with pytest.raises(DataFault, match=r"1 image\(s\) of the folds are not in the images table \(0.0.0\)"):
        check_leaks(make_folds(table), table.iloc[1:])


@pytest.mark.parametrize("source", ["has_box", "boxes", "label"])
def test_command_writes_folds_and_a_balance(tmp_path, capsys, source):
    table = made().drop(columns="pixel_hash")
    boxed = table.pop("has_box")
    table[source] = {
        "has_box": boxed,
        "label": boxed.map({True: "opacity 1 2 3 4 5", False: "none 1 0 0 1 1"}),
        "boxes": boxed.map({True: "[{'x': 1, 'y': 2, 'width': 3, 'height': 4}]", False: ""}),
    }[source]
    table.loc[len(table)] = ["test1", "s999", "p999", None, None, None, None, None]
    table.to_csv(tmp_path / "images.csv", index=False)
    assert run(tmp_path / "images.csv", tmp_path / "out" / "folds.csv", "--folds", 3) == 0
    folds = read_table(tmp_path / "out" / "folds.csv", FOLDS)
    assert len(folds) == len(table) - 1 and set(folds["fold"]) == {0, 1, 2}
    printed = capsys.readouterr().out
    assert "1 row(s) without a label are left out" in printed and "indeterminate" in printed
    pd.testing.assert_frame_equal(folds, make_folds(made().drop(columns="pixel_hash"), 3), check_dtype=False)


def test_ids_of_digits_stay_text(tmp_path):
    table = made().rename(columns={"image_id": "ImageID", "patient_id": "PatientID", "study_id": "StudyInstanceUID"})
    table["PatientID"] = table["PatientID"].str[1:].str.zfill(6)
    table.to_csv(tmp_path / "images.csv", index=False)
    read, _ = read_labelled(tmp_path / "images.csv")
    assert read["patient_id"].iloc[0] == "000000"


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (["patient_id"], "column patient_id is missing"),
        (["typical", "atypical"], "column typical, atypical is missing"),
        (["has_box"], "column has_box or boxes or label is missing"),
    ],
)
def test_missing_columns_are_named(tmp_path, lost, named):
    made().drop(columns=lost).to_csv(tmp_path / "images.csv", index=False)
    with pytest.raises(DataFault, match=named):
        read_labelled(tmp_path / "images.csv")


def test_tables_that_cannot_be_folded(tmp_path):
    table, path = made(), tmp_path / "images.csv"
    table.assign(**dict.fromkeys(STUDY_CLASSES, None)).to_csv(path, index=False)
    with pytest.raises(DataFault, match="no row has a label in negative, typical, indeterminate, atypical; folds are"):
        read_labelled(path)
    table.assign(has_box="perhaps").to_csv(path, index=False)
    with pytest.raises(DataFault, match=r"image 0.0.0, row 1: has_box is 'perhaps', expected one of 1, 1.0, true"):
        read_labelled(path)
    table.assign(patient_id=table["patient_id"].where(table.index != 1)).to_csv(path, index=False)
    with pytest.raises(DataFault, match=r"1 row\(s\) without patient_id, the first is row 2; fill it in"):
        read_labelled(path)
    with pytest.raises(DataFault, match="no such file"):
        read_labelled(tmp_path / "nothing.csv")


@pytest.mark.parametrize("number", ["1", "0", "-3", "two", "2.5"])
def test_a_wrong_number_of_folds_is_wrong_usage(tmp_path, number):
    with pytest.raises(SystemExit) as stop:
        run(tmp_path / "a.csv", tmp_path / "b.csv", f"--folds={number}")
    assert stop.value.code == 2


def test_deviations_by_hand():
    # fold 0: two studies, both negative, one boxed; fold 1: a typical study with two boxed images
    rows = [("a", "s0", 0, 0, 0), ("b", "s1", 0, 1, 0), ("c", "s2", 1, 1, 1), ("d", "s2", 1, 1, 1)]
    table = pd.DataFrame(rows, columns=["image_id", "study_id", "one", "has_box", "fold"])
    table = table.assign(**{name: (table["one"] == number).astype(int) for number, name in enumerate(STUDY_CLASSES)})
    found = deviations(table[["image_id", "fold"]], table)
    third = 100 / 3
    assert found["negative"].tolist() == pytest.approx([third, -2 * third])  # 100 and 0 of 66.7 % of the studies
    assert found["boxed"].tolist() == [-25, 25]  # 50 and 100 of 75 % of the images
    assert found["negative, boxed"].tolist() == [25, -25]  # 50 and 0 of 25 %
    assert found["negative, no box"].tolist() == [25, -25]
    assert found["typical, boxed"].tolist() == [-50, 50]
    assert (found.filter(like="atypical") == 0).all(axis=None)
    note = deviation_notes(found)[0]
    assert note.startswith(
        "largest deviation of a fold from the whole: -66.67 percentage points (negative, fold 1); more"
    )
    assert "more than" not in deviation_notes(found / 100)[0]


def test_no_fold_joins_four_patients_by_pictures():
    table = made()
    first = table.drop_duplicates("patient_id")["image_id"].tolist()
    chain = list(pairwise(first[:4]))
    make_folds(table, 5, 0, chain[:2])
    with pytest.raises(DataFault, match=r"pictures join 4 patients to one group \(p0, p1, p2, p3\), more than 3"):
        make_folds(table, 5, 0, chain)
    groups = make_folds(table, 5, 0, chain, most_patients=4).set_index("image_id")["group"]
    assert set(groups[first[:4]]) == {"p0"}


BAD_ROWS = {
    "two classes": (
        {"negative": 1, "typical": 1},
        r"image 0.0.1, row 2, and 0 more have not exactly one 1 .*negative 1, t",
    ),
    "no class": (dict.fromkeys(STUDY_CLASSES, 0), r"image 0.0.1, row 2, and 0 more .*\(negative 0, typical 0, indet"),
    "half a class": ({"negative": 0.5}, r"row 2, and 0 more have not exactly one 1"),
    "an unknown class": ({"negative": "maybe"}, r"row 2, and 0 more have not exactly one 1 .*\(negative nan"),
    "a missing class": ({"atypical": None}, r"row 2, and 0 more have not exactly one 1 .*atypical nan\); correct"),
    "an id twice": (
        {"image_id": "0.0.0"},
        r"image_id '0.0.0' of row 2 must be in one row alone; keep one row for each",
    ),
    "no patient": ({"patient_id": None}, r"1 row\(s\) without patient_id, the first is row 2; fill it in or remove"),
    "an empty study": ({"study_id": " "}, r"1 row\(s\) without study_id, the first is row 2; fill it in or remove"),
    "no box flag": ({"has_box": None}, r"image 0.0.1, row 2: has_box is nan, expected one of 1, .*correct that row"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_with_its_rule_and_remedy(tmp_path, name):
    table = made().astype(object)
    table = table.drop(index=table.index[1:]).loc[[0, 0]].reset_index(drop=True)
    table.loc[1, ["image_id", "study_id", "patient_id"]] = ["0.0.1", "other", "other"]
    values, words = BAD_ROWS[name]
    for column, value in values.items():
        table.loc[1, column] = value
    table.to_csv(tmp_path / "images.csv", index=False)
    with pytest.raises(DataFault, match=words) as fault:
        read_labelled(tmp_path / "images.csv")
    assert str(fault.value).startswith(f"{tmp_path / 'images.csv'}: ") and "\n" not in str(fault.value)


def test_rows_are_counted_as_in_the_file(tmp_path):
    table = made().astype(object)
    table.loc[[0, 1], list(STUDY_CLASSES)] = None  # two rows without a label are left out
    table.loc[4, ["negative", "typical"]] = 1
    table.to_csv(tmp_path / "images.csv", index=False)
    with pytest.raises(DataFault, match=rf"image {table['image_id'][4]}, row 5, and"):
        read_labelled(tmp_path / "images.csv")


@pytest.mark.parametrize("text", ["[{'x': 1}]", "nothing", "[{'x': 1, 'y': 2, 'width': 3, 'height': float('nan')}]"])
def test_boxes_that_cannot_be_read_are_named(tmp_path, text):
    table = made().drop(columns="has_box").assign(boxes="")
    table.loc[7, "boxes"] = text
    table.to_csv(tmp_path / "images.csv", index=False)
    with pytest.raises(DataFault, match=rf"images.csv: image {table['image_id'][7]}, row 8: boxes .*"):
        read_labelled(tmp_path / "images.csv")


def test_a_study_with_two_labels_names_its_file(tmp_path):
    table = made()
    twin = table.loc[[0]].assign(image_id="twin", **dict.fromkeys(STUDY_CLASSES, 0))
    twin[STUDY_CLASSES[(table.loc[0, list(STUDY_CLASSES)].to_numpy(int).argmax() + 1) % 4]] = 1
    pd.concat([table, twin]).to_csv(tmp_path / "images.csv", index=False)
    with pytest.raises(DataFault, match=r"images.csv: study s0.0 has images with different labels; give all of them"):
        read_labelled(tmp_path / "images.csv")


def test_folds_of_elsewhere_are_checked(tmp_path, capsys):
    table = made()
    table.to_csv(tmp_path / "images.csv", index=False)
    folds = make_folds(table, 3)
    folds.rename(columns={"image_id": "ImageID", "fold": "Fold"})[["ImageID", "Fold"]].to_csv(
        tmp_path / "good.csv", index=False
    )
    assert run(tmp_path / "images.csv", "--check", tmp_path / "good.csv") == 0
    assert "no patient, study or exact copy of a picture in several of 3 folds" in capsys.readouterr().out
    patient = folds.groupby("patient_id")["study_id"].nunique().idxmax()
    chosen = folds.index[folds["study_id"] == folds["study_id"][folds["patient_id"] == patient].iloc[0]]
    old = folds.loc[chosen[0], "fold"]
    folds.loc[chosen, "fold"] = new = (old + 1) % 3
    folds.iloc[:-1].to_csv(tmp_path / "leaking.csv", index=False)
    assert run(tmp_path / "images.csv", "--check", tmp_path / "leaking.csv") == 1
    told = capsys.readouterr().out.splitlines()
    low, high = sorted((old, new))
    assert told[0] == f"patient {patient} in folds {low} and {high}"
    assert told[-1] == f"{tmp_path / 'leaking.csv'}: 1 patient(s) in several of 3 folds"
    assert told[-2].endswith("1 image(s) of the images table have no fold")
    share = (folds["patient_id"][(folds["fold"] == new) & (folds.index < len(folds) - 1)] == patient).mean()
    assert f"fold {new}: {share:.1%} of its images share a patient or a study with another fold" in told


def test_folds_that_cannot_be_checked(tmp_path):
    table, path = made(), tmp_path / "folds.csv"
    table.to_csv(tmp_path / "images.csv", index=False)
    folds = make_folds(table, 3)
    for spoiled, words in (
        (folds.drop(columns="fold"), "folds.csv: column fold is missing; found image_id, study_id, patient_id, group"),
        (
            folds.assign(fold=folds["fold"].astype(object).where(folds.index != 3, "x")),
            "fold 'x' of row 4 must be a whole",
        ),
        (folds.assign(fold=folds["fold"].where(folds.index != 3)), "fold nan of row 4 must be a whole number"),
        (folds.assign(fold=folds["fold"] + 0.5), "fold '.*5' of row 1 must be a whole number; correct that row"),
        (folds.assign(image_id="a"), "image_id 'a' of row 2 must be in one row alone"),
        (
            folds.assign(image_id=folds["image_id"] + "_"),
            r"folds.csv: \d+ image\(s\) of the folds are not in the images",
        ),
    ):
        spoiled.to_csv(path, index=False)
        with pytest.raises(DataFault, match=words):
            run(tmp_path / "images.csv", "--check", path)


def test_folds_need_somewhere_to_go(tmp_path):
    for words in ([], [tmp_path / "b.csv", "--check", tmp_path / "c.csv"]):
        with pytest.raises(SystemExit) as stop:
            run(tmp_path / "a.csv", *words)
        assert stop.value.code == 2


@pytest.fixture
def real_table(real_labels):
    """The table that the pipeline would have: labels of both files, patients of the headers."""
    table, _ = labelled_images(real_labels)
    meta = read_csv(real_labels / "train_meta.csv", ["patientid", "imageid"])
    patients = dict(zip(meta["imageid"].astype(str), meta["patientid"].astype(str), strict=True))
    return table.assign(patient_id=table["image_id"].map(patients))


def test_real_folds_are_even_within_a_point(real_table):
    assert (len(real_table), real_table["study_id"].nunique(), real_table["patient_id"].nunique()) == (6334, 6054, 3261)
    for seed in (0, 2021):
        folds = make_folds(real_table, 5, seed)
        check_leaks(folds, real_table)
        assert folds.groupby("patient_id")["fold"].nunique().max() == 1  # 0 patients cross
        found = deviations(folds, real_table)
        assert found.shape == (5, 13)  # four classes, boxed, eight cells
        assert found.abs().max(axis=None) < 0.25  # a point is asked for


def test_real_boxless_duplicates_leave_training_but_keep_their_fold(real_table):
    assert (real_table["role"] == "duplicate").sum() == 217 and (real_table["role"] == "train").sum() == 6117
    folds = make_folds(real_table, 5)
    assert len(folds) == 6334  # all stay in prediction
    trained = real_table[real_table["role"] == "train"]
    assert deviations(folds, trained).abs().max(axis=None) < 1


def test_real_folds_by_study_leak(real_table, tmp_path, capsys):
    real_table.drop(columns="boxes_xywh").to_csv(tmp_path / "images.csv", index=False)
    numbers = real_table["study_id"].map({study: n % 5 for n, study in enumerate(sorted(set(real_table["study_id"])))})
    real_table.assign(fold=numbers)[["image_id", "fold"]].to_csv(tmp_path / "by_study.csv", index=False)
    assert run(tmp_path / "images.csv", "--check", tmp_path / "by_study.csv") == 1
    told = capsys.readouterr().out.splitlines()
    assert 900 < sum(line.startswith("patient ") for line in told) <= 1200  # of 1200 with several studies
    shares = [float(line.split(": ")[1].split("%")[0]) for line in told if line.startswith("fold ")]
    assert len(shares) == 5 and min(shares) > 50  # more than half of every fold


def test_real_published_folds_keep_patients_apart(real_labels, capsys):
    published = real_labels / "train_kfold.csv"
    assert run(published, "--check", published) == 0
    assert "no patient and no study in several of 5 folds" in capsys.readouterr().out


def test_real_label_files(real_labels, tmp_path):
    assert run(real_labels / "train_kfold.csv", tmp_path / "folds.csv") == 0
    table, _ = read_labelled(real_labels / "train_kfold.csv")
    folds = read_table(tmp_path / "folds.csv", FOLDS)
    assert (len(folds), folds["study_id"].nunique(), folds["patient_id"].nunique()) == (6334, 6054, 3261)
    assert folds.groupby("patient_id")["fold"].nunique().max() == 1
    check_leaks(folds, table)
    balance = balance_table(folds, table)
    assert np.ptp(balance[[*STUDY_CLASSES, "boxed"]].to_numpy(), axis=0).max() < 0.5  # percentage points
    assert np.ptp(balance["images"]) < 10


def test_real_patients_with_several_studies(real_labels):
    table, _ = read_labelled(real_labels / "train_kfold.csv")
    studies = table.drop_duplicates("study_id")
    several = studies.groupby("patient_id").filter(lambda rows: len(rows) > 1).groupby("patient_id")
    assert several.ngroups == 1200
    assert (several[list(STUDY_CLASSES)].nunique().max(axis=1) > 1).sum() == 770
