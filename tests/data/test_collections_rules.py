"""The papers' rules, label maps and the split, with the arithmetic in sight."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.data.collections.contract import COLUMNS, check_collection, read_collection, write_collection
from cxr.data.collections.label_maps import LABEL_MAPS, load_label_map, mapped_labels
from cxr.data.collections.repeats import mark_repeats, repeat_notes
from cxr.data.collections.rules import adults, frontal, paediatric_names, radiographs, refuse_paediatric_folder
from cxr.data.collections.split import split_notes, split_patients
from cxr.data.external import REPEATING
from cxr.faults import DataFault
from cxr.prediction.members import refuse_sources


def rows(count: int = 4, **columns) -> pd.DataFrame:
    """Rows that keep the contract, with these columns instead."""
    names = [f"x{number:03d}" for number in range(count)]
    table = pd.DataFrame({"image_id": names, "path": [f"/set/{name}.png" for name in names], "label": "normal"})
    table = table.assign(patient_id=names, age=40.0, sex="F", view="PA", source="set", licence="", part="")
    return table.assign(**columns)[list(COLUMNS)]


def test_radiographs_and_frontal_views():
    table = rows(8, view=["PA", "AP", "AP Supine", "Frontal", "L", "L", "", "CT"])
    assert radiographs(table).drop.tolist() == [False] * 7 + [True]
    verdict = frontal(table)
    assert verdict.drop.tolist() == [False] * 4 + [True, True, False, True]
    assert verdict.line == "frontal views only: drops 3; 1 of unknown view stay (--known-views drops them)"
    verdict = frontal(table, known=True)
    assert verdict.drop.tolist() == [False] * 4 + [True] * 4
    assert verdict.line == "frontal views only: drops 3; 1 of unknown view go too"


def test_adults():
    table = rows(4, age=[17.0, 18.0, np.nan, 90.0])
    assert adults(table).drop.tolist() == [True, False, False, False]
    assert adults(table).line == "age 18 and more: drops 1; 1 of unknown age stay (--known-ages drops them)"
    assert adults(table, known=True).drop.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        ("IM-0427-0001.jpeg", True),
        ("NORMAL2-IM-1116-0001-0002.jpeg", True),
        ("person1946_bacteria_4875.jpeg", True),
        ("person1_virus_6.jpg", True),
        ("VIRUS-9815549-0001.jpeg", True),
        ("IM-0001-0001.dcm", False),  # what a viewer calls any exported series
        ("CXR1_1_IM-0001-3001.png", False),  # Indiana University: adults
        ("person.png", False),
    ],
)
def test_paediatric_pictures_are_known_by_their_names(name, dropped):
    verdict = paediatric_names(rows(1, path=[f"/set/normal/{name}"]))
    assert verdict.drop.tolist() == [dropped] and verdict.line.endswith(f"drops {int(dropped)}")


def test_only_the_folder_and_the_two_above_it_name_a_source():
    refuse_paediatric_folder(Path("/kermany/a/b/c"))
    with pytest.raises(DataFault, match="'paultimothymooney-chest' names the children's"):
        refuse_paediatric_folder(Path("/data/paultimothymooney-chest/chest_xray/train"))


def test_repeating_sources_keep_a_name_that_stage_10_refuses():
    paths = ["/r/MIDRC-RICORD-1C-1-2-0.png", "/r/sub-S03047_ses-E07985_run-1_bp-chest_vp-ap_cr.png", "/r/a.png"]
    table = mark_repeats(rows(4, path=[*paths, paths[0]], source=["radiography"] * 3 + ["COVIDx (ricord)"]))
    assert table["source"].tolist() == ["radiography (RICORD)", "radiography (BIMCV)", "radiography", "COVIDx (ricord)"]
    names = "COVIDx (ricord), radiography (BIMCV), radiography (RICORD)"
    assert repeat_notes(table)[0].startswith(f"3 picture(s) repeat the competition by their source ({names}): ")
    for source in table["source"].drop(2):
        with pytest.raises(DataFault, match="repeats pictures of the test set"):
            refuse_sources("a run", [source], "take it out")
    refuse_sources("a run", ["radiography"], "take it out")
    assert repeat_notes(table.iloc[[2]]) == [] and set(REPEATING) == {"bimcv", "ricord", "covidx"}


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("two", "Pneumonia/Viral/COVID-19", "covid"),
        ("two", "positive", "covid"),
        ("two", "negative", None),  # of COVIDx: normal or another pneumonia
        ("two", "Pneumonia", None),
        ("three", "COVID-19, ARDS", "covid"),
        ("three", "Pneumonia/Viral/SARS", "pneumonia"),
        ("three", "Edema|Pneumonia", "pneumonia"),
        ("three", "Edema|Pneumonia?", None),  # uncertain is not there
        ("three", "Lung Opacity", "pneumonia"),
        ("three", "No Lung Opacity / Not Normal", None),
        ("three", "NORMAL", "normal"),
        ("three", "No Finding", "normal"),
        ("three", "No Finding|Support Devices", None),
        ("four", "Pneumonia/Viral/COVID-19", "viral"),
        ("four", "Pneumonia/Bacterial/Klebsiella", "bacterial"),
        ("four", "Pneumonia/Fungal/Pneumocystis", None),
        ("four", "Tuberculosis", "tuberculosis"),
    ],
)
def test_label_maps(name, label, expected):
    found = mapped_labels(pd.Series([label]), LABEL_MAPS[name])
    assert found.fillna("none").tolist() == [expected or "none"]


def test_a_label_map_of_ones_own(tmp_path):
    (tmp_path / "map.csv").write_text("pattern,class\n*COVID*,c\n*,rest\n")
    found = mapped_labels(pd.Series(["covid", "a|COVID-19", "b"]), load_label_map(str(tmp_path / "map.csv")))
    assert found.tolist() == ["c", "c", "rest"]
    (tmp_path / "map.csv").write_text("pattern,class\n*COVID*,\n")
    with pytest.raises(DataFault, match="map.csv: 1 rows, each must have a pattern and a class"):
        load_label_map(str(tmp_path / "map.csv"))
    with pytest.raises(DataFault, match="five: no label map .two, three, four. and no file; write a CSV"):
        load_label_map("five")


def labelled(counts: dict[str, int], of_each: int = 1) -> pd.DataFrame:
    """So many pictures of each label, `of_each` of one patient."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    groups = [f"p{number // of_each:04d}" for number in range(len(labels))]
    return rows(len(labels), label=labels).assign(group=groups)


def test_the_split_shares_out_every_label():
    table = labelled({"normal": 100, "covid": 20, "tb": 10})
    split = split_patients(table, (0.7, 0.1, 0.2), seed=0)
    counts = pd.crosstab(table["label"], split)
    assert counts.loc["normal", ["train", "validation", "test"]].tolist() == [70, 10, 20]
    assert counts.loc["covid", ["train", "validation", "test"]].tolist() == [14, 2, 4]
    assert counts.loc["tb", ["train", "validation", "test"]].tolist() == [7, 1, 2]


def test_the_split_keeps_patients_together_and_follows_from_the_seed_alone():
    table = labelled({"normal": 90, "covid": 30}, of_each=3)
    split = split_patients(table, (0.7, 0.1, 0.2), seed=0)
    assert (split.groupby(table["group"]).nunique() == 1).all()
    assert split.value_counts()["train"] == 84  # .7 of 120, in threes
    mixed = table.sample(frac=1, random_state=1)
    assert split_patients(mixed, (0.7, 0.1, 0.2), seed=0).sort_index().equals(split)
    assert not split_patients(table, (0.7, 0.1, 0.2), seed=1).equals(split)


def test_many_rare_labels_do_not_swell_the_largest_part():
    table = labelled({f"label {number}": 1 for number in range(50)})
    counts = split_patients(table, (0.7, 0.1, 0.2), seed=0).value_counts()
    assert counts[["train", "validation", "test"]].tolist() == [35, 5, 10]


def test_a_part_without_a_share_stays_empty_and_one_without_a_label_is_told():
    table = labelled({"normal": 40, "tb": 1})
    table["split"] = split_patients(table, (0.8, 0.0, 0.2), seed=0)
    assert set(table["split"]) == {"train", "test"}
    table["split"] = ["train"] * 20 + ["test"] * 20 + ["train"]
    assert split_notes(table, (0.8, 0.0, 0.2)) == ["test has no picture of tb"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": ["a", "", "a", "a"]}, "1 row(s) without label, the first is row 2"),
        ({"image_id": ["a", "a", "b", "c"]}, "image_id 'a' stands there more than once"),
        (
            {"view": ["PA", "pa", "L", ""]},
            "view 'pa' of 1 row(s) is none of PA, AP, AP Supine, Frontal, L, CT,",
        ),
        ({"sex": ["M", "F", "", "x"]}, "sex 'x' of 1 row(s) is none of M, F, nothing"),
        ({"part": ["train", "val", "", ""]}, "part 'val' of 1 row(s) is none of train, validation, test, nothing"),
        ({"age": [1, np.nan, 2, 150]}, "age 150 of 1 row(s) is not between 0 and 120"),
    ],
)
def test_the_contract(columns, message):
    with pytest.raises(DataFault) as fault:
        check_collection(rows(**columns), "made.csv")
    assert str(fault.value).startswith("made.csv: ") and message in str(fault.value)


def test_a_collection_is_read_as_it_was_written(tmp_path):
    # texts that a reader of numbers would change
    table = rows(patient_id=["007", "12e4", "NA", "None"], licence=["", "NA", "CC BY", ""], age=[np.nan, 1.0, 2.0, 3.0])
    pd.testing.assert_frame_equal(read_collection(write_collection(table, tmp_path / "out.csv")), table)
    text = (tmp_path / "out.csv").read_text()
    (tmp_path / "out.csv").write_text(text.replace(",1.0,", ",old,"))
    with pytest.raises(DataFault, match="age 'old' of 1 row"):
        read_collection(tmp_path / "out.csv")
    with pytest.raises(DataFault, match="the collection lacks licence, part; found image_id"):
        check_collection(table.drop(columns=["licence", "part"]), "made.csv")
