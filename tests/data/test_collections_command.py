"""`python -m cxr collect` on made-up and on real pictures: counts, what is written, exit codes."""

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from made_collections import classes, covidx, ieee8023, picture
from real_collections import build_inputs, link_classes, link_ieee8023, real_images

from cxr.__main__ import main
from cxr.data.collections.adapters import Place
from cxr.data.collections.collect import Wanted, collect
from cxr.data.collections.contract import read_collection

FILES = ("out.csv", "out.dropped.csv", "out.thumbnails.json", "out.thumbnails.npy")


@pytest.fixture
def places(tmp_path):
    """The six of ieee8023 and a folder of classes that repeats two of them: the file itself, and one made brighter."""
    root = ieee8023(tmp_path / "ieee")
    other = classes(tmp_path / "gr", normal=["n1.png", "n2.png"])
    (other / "covid").mkdir()
    shutil.copy(root / "images" / "a.jpg", other / "covid" / "copied.jpg")
    bright = cv2.imread(str(root / "images" / "d.png"), cv2.IMREAD_GRAYSCALE).astype(float) * 0.7 + 70
    cv2.imwrite(str(other / "normal" / "brighter.png"), bright.astype(np.uint8))
    return [f"ieee8023={root}", f"classes={other}"]


def run(places, out, *options) -> int:
    return main(["collect", *places, str(out), "--workers", "1", *options])


def test_every_rule_drops_what_it_should_and_says_so(places, tmp_path, capsys):
    out = tmp_path / "new" / "out.csv"
    options = ["--frontal", "--adults", "--label-map", "three", "--split", ".5", "0", ".5"]
    assert run(places, out, *options) == 0
    table, shown = read_collection(out), capsys.readouterr().out
    # of 6 + 4: e is CT, b lateral, c a child; two of the classes are copies
    assert table["image_id"].tolist() == ["ieee8023-a", "ieee8023-d", "ieee8023-f", "gr-normal-n1", "gr-normal-n2"]
    assert table["label"].tolist() == ["covid", "normal", "pneumonia", "normal", "normal"]
    assert set(table["split"]) == {"train", "test"}
    dropped = pd.read_csv(out.with_suffix(".dropped.csv"), keep_default_na=False)
    assert dropped[["image_id", "rule", "copy_of"]].to_numpy().tolist() == [
        ["ieee8023-e", "no radiograph", ""],
        ["ieee8023-b", "not frontal", ""],
        ["ieee8023-c", "under 18", ""],
        ["gr-covid-copied", "copy", "ieee8023-a"],
        ["gr-normal-brighter", "copy", "ieee8023-d"],
    ]
    for line in (
        "radiographs only: drops 1 of CT",
        "frontal views only: drops 1; 4 of unknown view stay (--known-views drops them)",
        "age 18 and more: drops 1; 5 of unknown age stay (--known-ages drops them)",
        "labels of the map: drops 0 of other labels",
        "files that can be read: drops 0",
        "one picture once: drops 2 copies of 2 picture(s), of which 2 stand in several sources; the first in the",
        "no picture says whose it is: each of these counts as a patient of its own",
        f"{out}: 5 of 10 pictures, 5 patients",
    ):
        assert line in shown
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(FILES)


def test_the_order_of_the_places_says_which_copy_stays(places, tmp_path):
    assert run(places[::-1], tmp_path / "out.csv") == 0
    table = read_collection(tmp_path / "out.csv")
    assert {"gr-covid-copied", "gr-normal-brighter"} < set(table["image_id"])
    assert not {"ieee8023-a", "ieee8023-d"} & set(table["image_id"])


def test_patients_that_share_a_picture_stay_in_one_part(tmp_path):
    """b of source one and y of source two are of one patient, for x is a copy of a."""
    one = ieee8023(tmp_path / "ieee", [f"7,0,M,65,A,PA,X-ray,images,{name}.png,,," for name in "ab"], files=[])
    picture(one / "images" / "a.png", 0), picture(one / "images" / "b.png", 1)
    two = covidx(tmp_path / "covidx", {"train.txt": ["9 x.png A", "9 y.png A"]})
    shutil.copy(one / "images" / "a.png", two / "train" / "x.png")
    wanted = Wanted(split=(0.5, 0.0, 0.5))
    found = collect([Place("ieee8023", one), Place("covidx", two)], wanted, tmp_path / "thumbnails.npy")
    assert found.table["image_id"].tolist() == ["ieee8023-a", "ieee8023-b", "covidx-train-y"]
    assert found.table["group"].nunique() == 1 and found.table["split"].nunique() == 1
    assert found.table["patient_id"].tolist() == ["ieee8023-7", "ieee8023-7", "covidx-9"]
    assert any("1 picture(s) repeat the competition by their source (COVIDx)" in note for note in found.notes)


def test_copies_with_another_label_are_told(tmp_path):
    root = classes(tmp_path / "gr", covid=["1.png"], normal=["2.png"])
    shutil.copy(root / "covid" / "1.png", root / "normal" / "1.png")
    found = collect([Place("classes", root)], Wanted(), tmp_path / "thumbnails.npy")
    assert found.table["label"].tolist() == ["covid", "normal"]
    assert "1 picture(s) have copies with another label; the label of the first one stands" in found.notes


def test_files_that_are_no_pictures_are_dropped_with_their_reason(tmp_path, capsys):
    root = classes(tmp_path / "gr", covid=["1.png", "2.png"])
    (root / "covid" / "3.png").write_bytes(b"no picture")
    (root / "covid" / "4.dcm").write_bytes(b"no DICOM")
    (root / "covid" / "5.jpg").touch()
    blank = np.full((64, 64), 90, np.uint8)
    cv2.imwrite(str(root / "covid" / "6.png"), blank)
    assert run([f"classes={root}"], tmp_path / "out.csv") == 0
    shown = capsys.readouterr().out
    assert read_collection(tmp_path / "out.csv")["image_id"].tolist() == ["gr-covid-1", "gr-covid-2", "gr-covid-6"]
    assert "files that can be read: drops 3 (the first: " in shown
    assert "note: 1 picture(s) are one gray and compared with none: gr-covid-6" in shown


def test_keep_copies_opens_no_picture(places, tmp_path):
    (tmp_path / "gr" / "normal" / "n1.png").write_bytes(b"no picture")
    assert run(places, tmp_path / "out.csv", "--keep-copies") == 0
    assert len(read_collection(tmp_path / "out.csv")) == 9  # all but the CT
    assert not (tmp_path / "out.thumbnails.npy").exists()


def test_the_same_call_writes_the_same_bytes(places, tmp_path):
    options = ["--split", ".7", ".1", ".2", "--seed", "3"]
    written = []
    for _ in range(2):
        assert run(places, tmp_path / "out.csv", *options) == 0
        written.append((tmp_path / "out.csv").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("places", "options", "message"),
    [
        (["nowhere=x"], [], "'nowhere=x' is not ADAPTER=FOLDER; adapters: ieee8023, covidx, nih, rsna, chexpert"),
        (["classes="], [], "is not ADAPTER=FOLDER"),
        ([], [], "is not ADAPTER=FOLDER"),
        (["classes=x"], ["--split", ".7", ".1", ".1"], "--split 0.7 0.1 0.1: the shares must sum to 1"),
        (["classes=x"], ["--split", ".7", "-.1", ".4"], "-.1"),
        (["classes=x"], ["--split", "most", ".1", ".4"], "'most' is no share between 0 and 1"),
        (["classes=x"], ["--known-ages"], "--known-views goes with --frontal, --known-ages with --adults"),
    ],
)
def test_wrong_usage_is_exit_code_2(places, options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run(places, tmp_path / "out.csv", *options)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_out_must_be_a_csv(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["collect", "classes=x", "classes=y"])
    assert "'classes=y' is no name of a .csv to write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("adapter", "options", "message"),
    [
        ("ieee8023", ["--label-map", "none"], "none: no label map"),
        ("covidx", [], "no list such as train_COVIDx5.txt"),
        ("chexpert", [], "no train.csv or valid.csv there"),
        ("nih", [], "no Data_Entry_2017_v2020.csv or Data_Entry_2017.csv there"),
        ("rsna", [], "stage_2_train_labels.csv: no such file"),
        ("classes", ["--label-map", "four"], "none of 2 pictures remains: radiographs only: drops 0 of CT; names of"),
    ],
)
def test_data_at_fault_is_one_line_and_exit_code_1(adapter, options, message, tmp_path, capsys):
    root = classes(tmp_path / "set", strange=["1.png"], other=["2.png"])
    assert run([f"{adapter}={root}"], tmp_path / "out.csv", *options) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_real_ieee8023_and_classes_give_the_counts_of_their_table(realdata, tmp_path):
    """75 pictures of 45 patients; others of the pack are the same pictures under another name."""
    ieee = link_ieee8023(realdata, tmp_path / "ieee")
    other = link_classes(realdata, tmp_path / "others", "covid_hannover", "covid_cxnet", "shenzhen")
    places = [Place("ieee8023", tmp_path / "ieee"), Place("classes", tmp_path / "others")]
    found = collect(places, Wanted(frontal=True, adults=True), tmp_path / "thumbnails.npy")
    first, rest = (found.found[found.found["source"].str.startswith(name)] for name in ("ieee8023", "others"))
    assert (len(first), len(rest)) == (len(ieee), len(other)) == (75, 37)
    assert first["patient_id"].nunique() == ieee["patient_id"].nunique()
    assert first["label"].value_counts().to_dict() == ieee["label_raw"].value_counts().to_dict()
    assert first["view"].value_counts().to_dict() == ieee["view"].value_counts().to_dict()
    assert first["age"].isna().sum() == (ieee["age"] == "").sum() == 18
    assert rest["label"].value_counts().to_dict() == other["label_group"].value_counts().to_dict()
    assert "age 18 and more: drops 0; 55 of unknown age stay (--known-ages drops them)" in found.lines  # 18 + 37
    copies = found.dropped[found.dropped["rule"] == "copy"]
    # looked at by eye: eleven pairs, and all of them show one picture
    assert copies["source"].value_counts().to_dict() == {"others": 7, "ieee8023 covid-chestxray-dataset": 4}
    assert copies["path"].str.contains("covid_cxnet|rapidly-progressive").all()
    assert len(found.table) == 75 + 37 - 11


@pytest.mark.slow
def test_real_nih_and_rsna_give_the_counts_of_their_table(realdata, tmp_path):
    folder = build_inputs(realdata, tmp_path)
    places = [Place("nih", folder / "data"), Place("rsna", folder / "rsna-pneumonia-detection-challenge")]
    found = collect(places, Wanted(frontal=True, adults=True, split=(0.7, 0.1, 0.2)), tmp_path / "thumbnails.npy")
    truth = real_images(realdata, "nih_other", "nih_bbox", "rsna_matched")
    truth["image_id"] = ["nih-" + path.split("/")[-1].removesuffix(".jpg") for path in truth["path"]]
    for name, key in (("NIH ChestX-ray14", "image_id"), ("RSNA pneumonia", "rsna_patientId")):
        read = found.found[found.found["source"] == name]
        ids = read["image_id"] if key == "image_id" else read["image_id"].str.removeprefix("rsna-")
        known = truth.set_index(key).loc[ids]
        assert len(read) > 20 and read["view"].tolist() == known["view"].tolist()
        assert read["sex"].tolist() == known["sex"].tolist()
        assert read["age"].tolist() == known["age"].astype(float).tolist()
        young = (known["age"].astype(float) < 18).sum()
        dropped = found.dropped[(found.dropped["source"] == name) & (found.dropped["rule"] == "under 18")]
        assert len(dropped) == young > 0
    assert (found.table.groupby("group")["split"].nunique() == 1).all()
