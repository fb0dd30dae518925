"""Adapters on small layouts and on real pictures, the papers' rules with their counts, the split, the command."""

import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.__main__ import main
from cxr.data.collections import rules
from cxr.data.collections.chexpert import read_chexpert
from cxr.data.collections.class_folders import read_class_folders
from cxr.data.collections.contract import COLUMNS, plain_sex
from cxr.data.collections.covidx import read_covidx
from cxr.data.collections.ieee8023 import read_ieee8023
from cxr.data.collections.known import read_nih_collection, read_rsna_collection
from cxr.data.collections.split import split
from cxr.faults import DataFault


def picture(path, seed=0):
    """Blobs of their own for each seed: no two are copies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(size=(80, 80)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    pixels = (255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())).astype(np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def told(findings):
    return " | ".join(findings)


def test_ieee8023(tmp_path):
    rows = [
        ("2", "F", "65", "Pneumonia/Viral/COVID-19", "PA", "X-ray", "images", "a.jpg", "CC BY"),
        ("2", "F", "65", "Pneumonia/Viral/COVID-19", "L", "X-ray", "images", "b.jpg", ""),
        ("", "", "", "No Finding", "AP Supine", "X-ray", "images", "c.png", "CC0"),
        ("3", "M", "12", "Unknown", "Axial", "CT", "volumes", "d.nii.gz", ""),
        ("4", "M", "44", "Pneumonia", "Sideways", "X-ray", "images", "gone.jpg", ""),
        ("5", "x", "x", "", "PA", "X-ray", "images", "e.png", ""),
    ]
    columns = ["patientid", "sex", "age", "finding", "view", "modality", "folder", "filename", "license"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "metadata.csv", index=False)
    for seed, name in enumerate(("a.jpg", "b.jpg", "c.png", "e.png")):
        picture(tmp_path / "images" / name, seed)
    table, findings = read_ieee8023(tmp_path)
    assert list(table.columns) == COLUMNS
    assert table["label"].tolist() == ["COVID-19", "COVID-19", "No Finding", "unknown"]
    assert table["view"].tolist() == ["PA", "lateral", "AP supine", "PA"]
    assert table["patient_id"].tolist() == ["ieee8023-2", "ieee8023-2", "ieee8023-picture-c", "ieee8023-5"]
    assert table["sex"].tolist() == ["F", "F", "unknown", "unknown"] and table["licence"].tolist()[:2] == [
        "CC BY",
        "unknown",
    ]
    assert table["age"].tolist()[0] == 65 and np.isnan(table["age"].tolist()[3])
    for words in (
        "pictures that are no radiographs are left out: 1 (d.nii.gz)",
        "of 1 pictures it says nothing of patients: each picture counts as a patient of its own",
        "views that are not known here count as unknown: 1 (Sideways)",
        "listed and not there: 1 (ieee8023-gone)",
    ):
        assert words in told(findings), words


def test_a_table_without_a_patient_column_says_what_is_assumed(tmp_path):
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "metadata.csv").write_text("finding,filename\nCOVID-19,a.png\n")
    table, findings = read_ieee8023(tmp_path)
    assert table["patient_id"].tolist() == ["ieee8023-picture-a"] and "each picture counts as a patient" in told(
        findings
    )
    assert table[["sex", "view", "licence"]].to_numpy().tolist() == [["unknown"] * 3]
    (tmp_path / "metadata.csv").write_text("filename\na.png\n")
    with pytest.raises(DataFault, match="metadata.csv.*finding"):
        read_ieee8023(tmp_path)
    (tmp_path / "metadata.csv").write_text("finding,filename\nCOVID-19,b.png\n")
    with pytest.raises(DataFault, match="not one of its pictures is there; put them into images/"):
        read_ieee8023(tmp_path)


def test_covidx_with_and_without_sources(tmp_path):
    (tmp_path / "train_COVIDx9A.txt").write_text("p1 a.png positive bimcv\np2 b.png negative rsna\n\nbroken\n")
    (tmp_path / "test_COVIDx9A.txt").write_text("p3 c.png COVID-19\np4 gone.png normal sirm\n")
    picture(tmp_path / "train" / "a.png"), picture(tmp_path / "train" / "b.png", 1), picture(tmp_path / "c.png", 2)
    table, findings = read_covidx(tmp_path)
    assert table["source"].tolist() == ["COVIDx, bimcv", "COVIDx, rsna", "COVIDx"], (
        "what stage 10 refuses keeps its name"
    )
    assert table["label"].tolist() == ["positive", "negative", "COVID-19"]
    assert table["patient_id"].tolist() == ["COVIDx-p1", "COVIDx-p2", "COVIDx-p3"]
    assert "lines that are not `patient file class source` are left out: 1 (line 4)" in told(findings)
    assert "listed and not there: 1 (COVIDx-gone.png)" in told(findings)
    with pytest.raises(DataFault, match="no train\\*.txt or test\\*.txt"):
        read_covidx(tmp_path / "train")


def test_chexpert(tmp_path):
    lines = [
        "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pneumonia",
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,,1.0,1.0",
        "CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg,Female,68,Lateral,,,1.0,-1.0",
        "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Unknown,0,Frontal,LL,1.0,0.0,",
        "CheXpert-v1.0-small/train/patient00003/study1/view1_frontal.jpg,Male,50,Frontal,PA,,-1.0,",
    ]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    for seed, line in enumerate(lines[1:4]):
        picture(tmp_path / line.split(",")[0].partition("/")[2], seed)
    table, findings = read_chexpert(tmp_path)
    assert table["label"].tolist() == ["Edema|Pneumonia", "Edema", "No Finding"]
    assert table["view"].tolist() == ["AP", "lateral", "unknown"] and table["sex"].tolist() == ["F", "F", "unknown"]
    assert (
        table["patient_id"].nunique() == 2 and table["image_id"].iloc[0] == "CheXpert-patient00001-study1-view1_frontal"
    )
    assert "not there: 1 (CheXpert-patient00003-study1-view1_frontal)" in told(findings)
    with pytest.raises(DataFault, match=r"no train.csv or valid.csv"):
        read_chexpert(tmp_path / "train")


def test_class_folders(tmp_path):
    root = tmp_path / "mine"
    for seed, name in enumerate(("covid/a.png", "covid/a.jpg", "normal/deep/b.webp")):
        picture(root / name, seed)
    (root / "empty").mkdir()
    (root / "normal" / "notes.txt").write_text("hello")
    table, findings = read_class_folders(root)
    assert sorted(table["image_id"]) == ["mine-covid-a-jpg", "mine-covid-a-png", "mine-normal-deep-b"]
    assert sorted(table["label"]) == ["covid", "covid", "normal"] and set(table["source"]) == {"mine"}
    assert f"{root / 'empty'}: a class without pictures; it is left out" in findings
    assert "files that are no pictures are left out: 1 (notes.txt)" in told(findings)
    assert "each picture counts as a patient of its own" in findings[-1]
    with pytest.raises(DataFault, match="no class folder in it"):
        read_class_folders(root / "covid")
    (tmp_path / "bare" / "x").mkdir(parents=True)
    with pytest.raises(DataFault, match="1 class folder\\(s\\) and not one picture"):
        read_class_folders(tmp_path / "bare")


def made(**columns):
    count = len(next(iter(columns.values())))
    base = {"image_id": [f"i{n}" for n in range(count)], "patient_id": [f"p{n}" for n in range(count)]}
    rest = dict.fromkeys(("path", "label", "source", "licence", "sex", "view"), ["x"] * count)
    return pd.DataFrame({**base, **rest, "age": np.nan, **columns})[COLUMNS]


def test_rules_of_the_papers():
    table = made(view=["PA", "lateral", "unknown"], age=[17, 18, np.nan])
    kept, words = rules.frontal(table)
    assert kept.tolist() == [True, False, True] and words == "lateral views; 1 of unknown view are kept"
    assert rules.adult(table)[0].tolist() == [False, True, True]
    kept, words = rules.adult(table, unknown="drop")
    assert kept.tolist() == [False, True, False] and words == "younger than 18; 1 of unknown age are dropped too"
    table = made(source=["NIH", "chest_xray", "Kermany 2018"], path=["a", "/data/chest-xray-pneumonia/b.png", "c"])
    kept, words = rules.no_paediatric_source(table)
    assert kept.tolist() == [True, False, False] and "refused by name (kermany" in words


def test_rules_are_counted_one_after_another_and_never_leave_nothing():
    table = made(view=["PA", "lateral", "PA"], age=[10, 10, 30])
    left, counts = rules.apply(table, {"frontal": rules.frontal, "adults": rules.adult})
    assert left["image_id"].tolist() == ["i2"]
    assert counts[["rule", "before", "dropped"]].to_numpy().tolist() == [["frontal", 3, 1], ["adults", 2, 1]]
    with pytest.raises(DataFault, match="the rule adults leaves no picture"):
        rules.apply(made(age=[3.0]), {"adults": rules.adult})


def test_copies_across_sources_are_dropped_and_unreadable_pictures_named(tmp_path):
    first = picture(tmp_path / "a.png", 1)
    copy = tmp_path / "b.jpg"
    pixels = cv2.imread(str(first), cv2.IMREAD_GRAYSCALE)
    assert cv2.imwrite(str(copy), cv2.resize(pixels, (160, 160)), [cv2.IMWRITE_JPEG_QUALITY, 80])
    other, torn = picture(tmp_path / "c.png", 2), tmp_path / "d.png"
    torn.write_bytes(first.read_bytes()[:200])
    table = made(path=[str(path) for path in (first, torn, copy, other)])
    kept, words = rules.no_copies(table)
    assert kept.tolist() == [True, False, False, True]
    assert words == "copies of a picture before them, 1 (i1) of them cannot be read"


def test_a_split_keeps_patients_together_and_labels_in_proportion():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 300, 500)
    label_of = rng.choice(["a", "b", "c"], 300, p=[0.6, 0.3, 0.1])
    table = made(patient_id=[f"p{n}" for n in patients], label=list(label_of[patients]))
    parts = split(table, (0.7, 0.1, 0.2), seed=1)
    assert table.assign(part=parts).groupby("patient_id")["part"].nunique().max() == 1
    for label in "abc":
        own = table[table["label"] == label].assign(part=parts).drop_duplicates("patient_id")
        shares = own["part"].value_counts(normalize=True)
        assert abs(shares["train"] - 0.7) < 0.06 and abs(shares["test"] - 0.2) < 0.06
    assert parts.equals(split(table, (0.7, 0.1, 0.2), seed=1)) and not parts.equals(split(table, seed=2))
    more = pd.concat([table, made(label=["c"], patient_id=["q"])], ignore_index=True)
    assert (split(more, seed=1)[:500] == parts).mean() > 0.98, "one more patient moves hardly anybody"
    with pytest.raises(DataFault, match="three shares with the sum 1 are needed"):
        split(table, (0.7, 0.3, 0.2))


def test_sex_as_sources_write_it():
    values = pd.Series(["F", "female", "Male", "m", "", None, "other"])
    assert plain_sex(values).tolist() == ["F", "F", "M", "M", "unknown", "unknown", "unknown"]


def test_the_command_prints_counts_and_writes_the_table(tmp_path, capsys):
    for seed in range(8):
        picture(tmp_path / "mine" / ("covid" if seed % 2 else "normal") / f"{seed}.png", seed)
    picture(tmp_path / "chest-xray-pneumonia" / "normal" / "child.png", 99)
    sources = [f"classes={tmp_path / 'mine'}", f"classes={tmp_path / 'chest-xray-pneumonia'}"]
    out = tmp_path / "out" / "c.csv"
    assert main(["collect", *sources, str(out), "--frontal", "--adults", "--split", ".5", ".25", ".25"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "paediatric source: 1 of 9 dropped",
        "frontal: 0 of 8 dropped",
        "8 of unknown age are kept",
        "copies: 0 of 8",
    ):
        assert words in printed, words
    table = pd.read_csv(out)
    assert list(table.columns) == [*COLUMNS, "part"] and len(table) == 8
    assert table["part"].value_counts().to_dict() == {"train": 4, "validation": 2, "test": 2}
    assert main(["collect", sources[0], str(out), "--copies", "--labels", "covid=COVID-19"]) == 0
    assert set(pd.read_csv(out)["label"]) == {"COVID-19"}
    assert "other labels: normal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing: not of the form ADAPTER=FOLDER with one of ieee8023, covidx"),
        (["classes=/no/such/folder"], "classes=/no/such/folder: no such folder"),
    ],
)
def test_wrong_sources_are_one_line_and_exit_code_1(tmp_path, capsys, words, message):
    assert main(["collect", *words, str(tmp_path / "o.csv")]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "o.csv").exists()


def test_real_pictures_through_the_same_adapters(realdata, tmp_path):
    images = pd.read_csv(realdata / "images.csv", dtype={"patient_id": str, "age": str})
    ieee = images[images["subset"] == "covid_ieee"]
    names = ieee["path"].str.rsplit("/", n=1).str[-1]
    columns = {"patient_id": "patientid", "label_raw": "finding", "licence": "license"}
    pd.DataFrame(ieee.rename(columns=columns)).assign(filename=names, modality="X-ray").to_csv(
        tmp_path / "metadata.csv", index=False
    )
    (tmp_path / "images").symlink_to(realdata / "images" / "covid_ieee")
    table, _ = read_ieee8023(tmp_path)
    assert len(table) == len(ieee) == 75
    known = ieee["patient_id"].notna()
    assert table["patient_id"].nunique() == ieee["patient_id"][known].nunique() + (~known).sum()
    assert (table["view"] != "unknown").sum() >= ieee["view"].isin(("PA", "AP")).sum()
    classes = tmp_path / "classes"
    for row in images[images["subset"] != "nih_png_original"].itertuples():
        target = classes / str(row.label_group) / row.path.replace("/", "_")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(realdata / row.path)
    table, _ = read_class_folders(classes)
    expected = images[images["subset"] != "nih_png_original"]["label_group"].value_counts().to_dict()
    assert table["label"].value_counts().to_dict() == expected


@pytest.mark.slow
def test_real_nih_and_rsna_sets_join_without_copies(realdata, tmp_path):
    build = [sys.executable, realdata / "build_inputs.py", "--out", tmp_path / "in", "--solution", tmp_path / "s.csv"]
    subprocess.run([*map(str, build), "--limit", "24"], check=True, capture_output=True)
    nih, _ = read_nih_collection(tmp_path / "in" / "data")
    rsna, _ = read_rsna_collection(tmp_path / "in" / "rsna-pneumonia-detection-challenge")
    assert set(nih["source"]) == {"NIH"} and set(rsna["source"]) == {"RSNA"} and nih["age"].notna().any()
    left, counts = rules.apply(pd.concat([nih, rsna], ignore_index=True), {"copies": rules.no_copies})
    assert counts["dropped"].tolist() == [len(nih) + len(rsna) - len(left)]
