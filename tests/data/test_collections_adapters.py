"""Every adapter on a small made-up layout, and on what is wrong with real ones."""

import os
from pathlib import Path

import pytest
from made_collections import (
    CHEXPERT_HEADER,
    CHEXPERT_LISTS,
    IEEE_FILES,
    IEEE_HEADER,
    IEEE_ROWS,
    TRAIN,
    chexpert,
    chexpert_row,
    classes,
    covidx,
    ieee8023,
    picture,
)
from pydicom import dcmread

from cxr.data.collections import nih, rsna
from cxr.data.collections.adapters import Place, read_places
from cxr.data.collections.chexpert import read_chexpert
from cxr.data.collections.class_folders import read_class_folders
from cxr.data.collections.contract import COLUMNS
from cxr.data.collections.covidx import read_covidx
from cxr.data.collections.ieee8023 import read_ieee8023
from cxr.data.nih import FINDINGS, read_nih
from cxr.faults import DataFault
from cxr.phantom.companions import (
    plan_nih,
    plan_rsna,
    write_nih_image,
    write_nih_tables,
    write_rsna_image,
    write_rsna_tables,
)
from cxr.training.start import NIH, RSNA


def column(table, name):
    return table[name].fillna(-1).tolist() if name == "age" else table[name].tolist()


def test_ieee8023(tmp_path):
    table, findings = read_ieee8023(ieee8023(tmp_path))
    assert list(table.columns) == list(COLUMNS)
    assert column(table, "image_id") == [f"ieee8023-{name}" for name in "abcdef"]
    assert column(table, "path") == [str(tmp_path / name) for name in IEEE_FILES]
    assert column(table, "label") == [row.split(",")[4] for row in IEEE_ROWS]
    assert column(table, "patient_id") == [f"ieee8023-{number}" for number in (2, 2, 3, 4, 4, 5)]
    assert column(table, "age") == [65, 65, 12, -1, -1, 40] and column(table, "sex") == ["M", "M", "F", "", "", "F"]
    assert column(table, "view") == ["PA", "L", "AP", "AP Supine", "CT", "AP"]
    assert column(table, "licence") == ["CC BY", "CC BY", "", "", "", ""] and set(table["part"]) == {""}
    assert findings == []


def test_the_first_release_of_ieee8023_writes_ct_as_a_view_and_other_capitals(tmp_path):
    rows = ["17,9,M,54,COVID-19,CT,a.jpg,10.3346/x, CC BY", "17,9,M,54,COVID-19,PA,b.jpg,,"]
    table, _ = read_ieee8023(ieee8023(tmp_path, rows, "Patientid,offset,sex,age,finding,view,filename,doi, license"))
    assert column(table, "view") == ["CT", "PA"] and column(table, "licence") == ["CC BY", ""]
    assert column(table, "patient_id") == ["ieee8023-17"] * 2


def test_ieee8023_without_patients_takes_each_picture_as_one(tmp_path):
    rows = ["COVID-19,PA,a.jpg", "COVID-19,PA,b.jpg"]
    table, findings = read_ieee8023(ieee8023(tmp_path, rows, "finding,view,filename"))
    assert column(table, "patient_id") == ["picture-ieee8023-a", "picture-ieee8023-b"]
    assert findings == [
        f"{tmp_path / 'metadata.csv'}: has no column patientid, age, sex, license, so these are unknown",
        f"{tmp_path}: no picture says whose it is: each of these counts as a patient of its own",
    ]


def test_some_pictures_without_a_patient(tmp_path):
    table, findings = read_ieee8023(ieee8023(tmp_path, [IEEE_ROWS[0], ",0,M,65,COVID-19,PA,X-ray,images,b.jpg,,,"]))
    assert column(table, "patient_id") == ["ieee8023-2", "picture-ieee8023-b"]
    assert findings == [
        f"{tmp_path}: 1 of 2 pictures do not say whose they are: each of these counts as a patient of its own"
    ]


def test_values_that_mean_nothing_are_unknown_and_told(tmp_path):
    rows = ["1,0,X,old,A,oblique,X-ray,images,a.jpg,,,", "2,0,Male,414,A,pa,X-ray,images,b.jpg,,,"]
    rows += ["3,0,unknown,70.0,A,,X-ray,images,c.png,,,"]
    table, findings = read_ieee8023(ieee8023(tmp_path, rows))
    assert column(table, "sex") == ["", "M", ""] and column(table, "age") == [-1, -1, 70]
    assert column(table, "view") == ["", "PA", ""]
    assert findings == [
        f"{tmp_path}: ages that mean nothing to us are unknown on 2 picture(s): 2 ('414', 'old')",
        f"{tmp_path}: sexes that mean nothing to us are unknown on 1 picture(s): 1 ('X')",
        f"{tmp_path}: views that mean nothing to us are unknown on 1 picture(s): 1 ('oblique')",
    ]


def test_missing_twice_listed_and_unlabelled_pictures_are_left_out_and_told(tmp_path):
    ieee8023(tmp_path, [*IEEE_ROWS, IEEE_ROWS[0], "9,0,F,40,,PA,X-ray,images,g.png,,,"])
    (tmp_path / "images" / "f.png").unlink()
    picture(tmp_path / "images" / "g.png", 9)
    table, findings = read_ieee8023(tmp_path)
    assert column(table, "image_id") == [f"ieee8023-{name}" for name in "abcde"]
    assert findings == [
        f"{tmp_path}: pictures listed more than once count once: 1 (images/a.jpg)",
        f"{tmp_path}: pictures that are listed but not there are left out: 1 (images/f.png)",
        f"{tmp_path}: pictures without a label are left out: 1 (images/g.png)",
    ]


@pytest.mark.parametrize(
    ("rows", "header", "files", "message"),
    [
        (
            IEEE_ROWS,
            IEEE_HEADER.replace("finding", "diagnosis"),
            [],
            "rows and the columns filename, finding; get",
        ),
        ([], IEEE_HEADER, [], "metadata.csv: 0 rows, columns patientid"),
        (IEEE_ROWS, IEEE_HEADER, [], "of 6 listed pictures none is there with a label; name the folder"),
    ],
)
def test_ieee8023_that_cannot_be_used_is_one_line(tmp_path, rows, header, files, message):
    with pytest.raises(DataFault) as fault:
        read_ieee8023(ieee8023(tmp_path, rows, header, files))
    assert message in str(fault.value) and str(tmp_path) in str(fault.value) and "\n" not in str(fault.value)


def test_a_list_that_is_no_utf_8_is_one_line(tmp_path):
    ieee8023(tmp_path)
    text = (tmp_path / "metadata.csv").read_bytes().replace(b"note", b"H\xf4pital")
    (tmp_path / "metadata.csv").write_bytes(text)
    with pytest.raises(DataFault, match="metadata.csv: not a readable CSV .*utf-8"):
        read_ieee8023(tmp_path)
    covidx(tmp_path / "covidx")
    (tmp_path / "covidx" / "test.txt").write_bytes(b"1 H\xf4pital.png normal\n")
    with pytest.raises(DataFault, match=r"test\.txt: no UTF-8 text .* at byte 3\); get the list again"):
        read_covidx(tmp_path / "covidx")


def test_covidx(tmp_path):
    table, findings = read_covidx(covidx(tmp_path))
    assert column(table, "source") == [
        "COVIDx (rsna)",
        "COVIDx (ricord)",
        "COVIDx (cohen)",
        "COVIDx (actmed)",
        "COVIDx (sirm)",
    ]
    # 8 of one origin is not 8 of another
    assert column(table, "patient_id")[2:4] == ["covidx-cohen-8", "covidx-actmed-8"]
    assert column(table, "label") == ["negative", "positive", "negative", "positive", "positive"]
    assert column(table, "part") == ["test", "train", "train", "train", "train"]
    assert table["path"].iloc[4] == str(tmp_path / "train" / "COVID-19 (3).png")  # a name with a space
    assert set(table["view"]) == {""} and table["age"].isna().all() and findings == []


def test_older_covidx_has_three_words_a_line_and_one_folder(tmp_path):
    lists = {"train_COVIDx5.txt": ["3 SARS-a.jpeg pneumonia", "n1 n1.png normal"], "test.txt": ["2 b.jpeg COVID-19"]}
    covidx(tmp_path, lists)
    (tmp_path / "test" / "b.jpeg").rename(tmp_path / "b.jpeg")
    table, findings = read_covidx(tmp_path)
    assert column(table, "source") == ["COVIDx"] * 3 and column(table, "label") == ["COVID-19", "pneumonia", "normal"]
    assert column(table, "patient_id") == ["covidx-2", "covidx-3", "covidx-n1"]
    assert table["path"].iloc[0] == str(tmp_path / "b.jpeg") and findings == []


def test_odd_lines_and_crossing_patients_of_covidx_are_told(tmp_path):
    covidx(tmp_path, {"train.txt": ["1 a.png normal", "2 b.png normal"], "test.txt": ["1 c.png normal"]})
    with open(tmp_path / "train.txt", "a") as file:
        file.write("just words\n\n")
    table, findings = read_covidx(tmp_path)
    assert len(table) == 3 and findings == [
        f"{tmp_path / 'train.txt'}: lines that are not `patientid filename class source` are left out: 1 (just words)",
        f"{tmp_path}: patients in several of the parts train, validation, test as listed: 1 (1)",
    ]
    with pytest.raises(DataFault, match="no list such as train_COVIDx5.txt"):
        read_covidx(tmp_path / "train")


def test_chexpert(tmp_path):
    table, findings = read_chexpert(chexpert(tmp_path))
    assert column(table, "label") == ["No Finding", "No Finding", "Edema|Pneumonia?", "Pneumonia", "Edema"]
    numbers = ("00001", "00001", "00002", "00003", "64541")
    assert column(table, "patient_id") == [f"chexpert-patient{number}" for number in numbers]
    assert column(table, "view") == ["AP", "L", "AP", "Frontal", "PA"]
    assert column(table, "sex") == ["F", "F", "M", "", "M"] and column(table, "age") == [68, 68, 60, 0, 60]
    assert column(table, "part") == ["train"] * 4 + ["validation"]
    assert findings == [
        f"{tmp_path}: pictures without a label are left out: 1 (train/patient00003/study2/view1_frontal.jpg)"
    ]


@pytest.mark.parametrize(
    ("lists", "header", "message"),
    [
        ({}, CHEXPERT_HEADER, "no train.csv or valid.csv there; name the folder"),
        (CHEXPERT_LISTS, CHEXPERT_HEADER.replace("Sex", "Gender"), "column 'Sex' is missing; found Path, Gender"),
        ({"train.csv": [chexpert_row(TRAIN + "patient1/study1/x.jpg", Edema="2")]}, CHEXPERT_HEADER, "is '2'; it must"),
    ],
)
def test_chexpert_that_cannot_be_used_is_one_line(tmp_path, lists, header, message):
    with pytest.raises(DataFault) as fault:
        read_chexpert(chexpert(tmp_path, lists, header))
    assert message in str(fault.value) and "\n" not in str(fault.value)


def test_a_path_of_chexpert_without_a_patient_is_left_out_and_told(tmp_path):
    rows = [*CHEXPERT_LISTS["train.csv"][:1], chexpert_row("elsewhere/a.jpg", Edema="1.0")]
    table, findings = read_chexpert(chexpert(tmp_path, {"train.csv": rows}))
    assert len(table) == 1
    assert findings == [f"{tmp_path / 'train.csv'}: paths without train/patientN/ are left out: 1 (elsewhere/a.jpg)"]


def test_class_folders(tmp_path):
    root = classes(tmp_path / "gr", covid=["1.png", "2.JPG"], normal=["1.png"])
    picture(root / "tb" / "images" / "7.webp", 7)
    picture(root / "tb" / "masks" / "7.png", 8)
    (root / "empty").mkdir()
    (root / "covid" / "Thumbs.db").touch()
    (root / "covid" / "._1.png").touch()
    table, findings = read_class_folders(root)
    assert column(table, "image_id") == ["gr-covid-1", "gr-covid-2", "gr-normal-1", "gr-tb-images-7"]
    assert column(table, "label") == ["covid", "covid", "normal", "tb"] and set(table["source"]) == {"gr"}
    assert table["patient_id"].is_unique
    assert findings == [
        f"{root / 'covid'}: files not named as pictures are left out: 1 (Thumbs.db)",
        f"{root}: folders without a picture: 1 (empty)",
        f"{root}: no picture says whose it is: each of these counts as a patient of its own",
    ]


def test_one_stem_with_two_suffixes_gives_two_ids(tmp_path):
    table, _ = read_class_folders(classes(tmp_path / "gr", covid=["1.png", "1.jpg"]))
    assert column(table, "image_id") == ["gr-covid-1", "gr-covid-1_2"]


def test_class_folders_without_any_picture_are_refused(tmp_path):
    with pytest.raises(DataFault, match="nowhere: no such folder"):
        read_class_folders(tmp_path / "nowhere")
    (tmp_path / "covid").mkdir()
    (tmp_path / "covid" / "notes.txt").touch()
    with pytest.raises(DataFault, match=r"none of 1 folders in it holds a picture \(.png, .jpg"):
        read_class_folders(tmp_path)


def test_a_name_that_is_no_utf_8_is_left_out_and_told(tmp_path):
    root = classes(tmp_path / "gr", covid=["1.png"])
    os.link(root / "covid" / "1.png", os.fsencode(root / "covid") + b"/H\xf4pital.png")
    table, findings = read_class_folders(root)
    assert len(table) == 1
    assert findings[0] == (
        f"{root / 'covid'}: pictures whose names are no UTF-8 are left out, rename them: 1 " + r"(H\xf4pital.png)"
    )


def test_nih(tmp_path):
    plan = plan_nih(3, seed=1)
    write_nih_tables(plan, [write_nih_image(row, tmp_path, seed=1) for row in plan.to_dict("records")], tmp_path)
    table, _ = nih.read_nih_collection(tmp_path)
    read, _ = read_nih(tmp_path)
    assert column(table, "image_id") == [f"nih-{name}" for name in read["image_id"]]
    assert column(table, "patient_id") == read["patient_id"].tolist()
    assert column(table, "age") == read["age"].tolist() and column(table, "view") == read["view"].tolist()
    words = [[name for name in FINDINGS if row[name]] for _, row in read.iterrows()]
    assert column(table, "label") == ["|".join(found) for found in words]
    assert set(table["part"]) <= {"train", "test"} and all(Path(path).is_file() for path in table["path"])


def test_rsna_takes_age_sex_and_view_from_the_headers(tmp_path):
    plan = plan_rsna(4, seed=1)
    write_rsna_tables(plan, [write_rsna_image(row, tmp_path, seed=1) for row in plan.to_dict("records")], tmp_path)
    name = plan["patient_id"].min()  # the adapter sorts by it
    header = dcmread(tmp_path / "stage_2_train_images" / f"{name}.dcm", stop_before_pixels=True)
    table, findings = rsna.read_rsna_collection(tmp_path)
    row = table.iloc[0]
    assert (row["image_id"], row["patient_id"], row["source"]) == (f"rsna-{name}", f"rsna-{name}", "RSNA pneumonia")
    assert row["age"] == int(header.PatientAge) and row["sex"] == header.PatientSex
    assert row["view"] == header.ViewPosition and findings == []
    assert column(table, "label") == plan.sort_values("patient_id")["rsna_class"].tolist()

    (tmp_path / "stage_2_detailed_class_info.csv").unlink()
    (tmp_path / "stage_2_train_images" / f"{name}.dcm").write_bytes(b"no DICOM at all")
    table, findings = rsna.read_rsna_collection(tmp_path)
    assert len(table) < len(plan) and set(table["label"]) == {"Lung Opacity"}  # the others have no label
    assert f"{tmp_path}: headers that cannot be read, so age, sex and view are unknown: 1 ({name}.dcm)" in findings


def test_sources_have_the_names_that_runs_record():
    assert nih.SOURCE == NIH and rsna.SOURCE == RSNA


def test_places_come_one_after_another_and_never_share_an_id(tmp_path):
    one, other = ieee8023(tmp_path / "ieee"), classes(tmp_path / "gr", covid=["1.png"])
    table, findings = read_places([Place("classes", other), Place("ieee8023", one)])
    assert column(table, "image_id") == ["gr-covid-1", *(f"ieee8023-{name}" for name in "abcdef")]
    assert findings == [f"{other}: no picture says whose it is: each of these counts as a patient of its own"]
    with pytest.raises(DataFault, match="6 picture.s. of two sources have one id, the first is ieee8023-a; give"):
        read_places([Place("ieee8023", one)] * 2)


@pytest.mark.parametrize("name", ["chest-xray-pneumonia", "Chest X-Ray Images (Pneumonia)", "Kermany_2018"])
def test_the_children_of_guangzhou_are_refused_by_name(tmp_path, name):
    root = classes(tmp_path / name / "chest_xray" / "train", NORMAL=["1.png"])
    with pytest.raises(DataFault, match="names the children's radiographs of Kermany et al.; .* leave this folder out"):
        read_places([Place("classes", root)])
