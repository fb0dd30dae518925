"""Every fault a submission can have is found and named; what is written is valid."""

import argparse

import pandas as pd
import pytest

from cxr.faults import DataFault
from cxr.labels import Prediction
from cxr.submission_format import (
    add_arguments,
    main,
    read_groups,
    read_submission,
    validate,
    write_submission,
)

STUDY = "negative 0.7 0 0 1 1 typical 0.2 0 0 1 1 indeterminate 0.1 0 0 1 1 atypical 0 0 0 1 1"
IMAGE = "none 0.3 0 0 1 1 opacity 0.6 10 20 110.5 220"
ROWS = {"s1_study": STUDY, "s2_study": STUDY, "i1_image": IMAGE, "i2_image": "none 1 0 0 1 1", "i3_image": IMAGE}


def table(rows):
    return pd.DataFrame({"id": list(rows), "PredictionString": list(rows.values())})


SAMPLE = table({key: "negative 1 0 0 1 1" if key.endswith("_study") else "none 1 0 0 1 1" for key in ROWS})


def faults_of(image_text, study_text=STUDY):
    return validate(table(ROWS | {"i1_image": image_text, "s1_study": study_text}), SAMPLE)


def run(tmp_path, text):
    (tmp_path / "sample.csv").write_text(SAMPLE.to_csv(index=False))
    (tmp_path / "submission.csv").write_text(text)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args([str(tmp_path / "submission.csv"), str(tmp_path / "sample.csv")]))


def test_a_valid_submission_in_any_order_of_rows(tmp_path, capsys):
    assert run(tmp_path, table(dict(reversed(ROWS.items()))).to_csv(index=False)) == 0
    assert capsys.readouterr().out == "valid: 2 study rows, 3 image rows\n"


def test_the_command_prints_each_fault_on_its_own_line(tmp_path, capsys):
    rows = ROWS | {"i1_image": "none 2 0 0 1 1", "x_image": IMAGE}
    del rows["s1_study"]
    assert run(tmp_path, table(rows).to_csv(index=False)) == 1
    name = tmp_path / "submission.csv"
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: x_image: unknown id, not in the sample; correct or remove it",
        f"{name}: s1_study: missing id, the sample has it; add its row",
        f"{name}: i1_image (row 2): 'none 2 0 0 1 1': the confidence must be between 0 and 1; rescale all alike",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none 0.3 0 0 1", "5 tokens; a PredictionString is groups of six"),
        ("none 0.3 0 0 1 1 opacity 0.5", "8 tokens"),
        ("opacity 0.5 10 20 30 x", "is no number"),
        ("opacity 0,5 10 20 30 40", "is no number"),
        ("opacity 0.5 10 20 1_000 2_000", "is no number"),
        ("opacity;0.5;10;20;30;40", "1 tokens"),
        (
            "consolidation 0.5 10 20 30 40",
            "the class must be one of negative typical indeterminate atypical none opacity",
        ),
        ("'opacity' 0.5 10 20 30 40", "the class must be one of"),
        ('"opacity 0.5 10 20 30 40', "the class must be one of"),
        ("Opacity 0.5 10 20 30 40", "the class must be one of"),
        ("negative 0.5 0 0 1 1", "an image row takes none opacity only"),
        ("opacity nan 10 20 30 40", "the confidence must be a finite number"),
        ("opacity inf 10 20 30 40", "the confidence must be a finite number"),
        ("opacity 1.01 10 20 30 40", "the confidence must be between 0 and 1"),
        ("none -0.1 0 0 1 1", "the confidence must be between 0 and 1"),
        ("opacity 0.5 10 20 inf 40", "the box must hold finite numbers"),
        ("opacity 0.5 10 nan 30 40", "the box must hold finite numbers"),
        ("opacity 0.5 30 20 10 40", "the box has no area"),
        ("opacity 0.5 10 40 30 20", "the box has no area"),
        ("opacity 0.5 30 40 10 20", "the box has no area"),
        ("opacity 0.5 10 20 10 40", "the box has no area"),
        ("none 0.5 10 20 30 40", "the box must be 0 0 1 1"),
        ("", "the PredictionString is empty"),
        ("  ", "the PredictionString is empty"),
    ],
)
def test_each_fault_of_an_image_row_is_one_line(text, message):
    faults = faults_of(text)
    assert len(faults) == 1
    assert faults[0].startswith("i1_image (row 3): ")
    assert message in faults[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("opacity 0.5 10 20 30 40", "a study row takes negative typical indeterminate atypical only"),
        ("none 0.5 0 0 1 1", "a study row takes"),
        ("typical 0.5 0 0 512 512", "the box must be 0 0 1 1"),
    ],
)
def test_each_fault_of_a_study_row_is_one_line(text, message):
    faults = faults_of(IMAGE, text)
    assert len(faults) == 1
    assert faults[0].startswith("s1_study (row 1): ")
    assert message in faults[0]


def test_each_fault_names_a_remedy():
    remedies = {
        "none 0.3 0 0 1": "write a class and five numbers, or remove it",
        "opacity 0.5 10 20 30 x": "write a class and five numbers, or remove it",
        "lung 0.5 10 20 30 40": "rename or remove it",
        "negative 0.5 0 0 1 1": "move the group",
        "opacity nan 10 20 30 40": "correct or remove the group",
        "opacity 7 10 20 30 40": "rescale all alike",
        "opacity 0.5 10 20 inf 40": "correct or remove the group",
        "none 0.5 10 20 30 40": "write that",
        "": "name its classes",
    }
    for text, remedy in remedies.items():
        (fault,) = faults_of(text)
        assert fault.endswith(remedy), fault


def test_width_and_height_instead_of_corners_are_named_where_they_show():
    # x 300, y 200, width 100, height 150, read as corners: x_max 100 lies left of x_min 300
    (fault,) = faults_of("opacity 0.5 300 200 100 150")
    assert "'opacity 0.5 300 200 100 150': the box has no area" in fault
    assert "corners and not width and height: convert or remove it" in fault


def test_fractions_of_the_image_instead_of_pixels_are_named():
    rows = ROWS | dict.fromkeys(["i1_image", "i3_image"], "none 0.3 0 0 1 1 opacity 0.6 0.1 0.2 0.5 0.75")
    (fault,) = validate(table(rows), SAMPLE)
    assert fault.startswith("all 2 opacity box(es) lie within 0..1; boxes must be pixels of the original image")
    # one box of several pixels: then these are small boxes, if odd ones
    assert validate(table(rows | {"i3_image": IMAGE}), SAMPLE) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,PredictionString\nä_study,x\n".encode("latin-1"), "can't decode byte"),
        ("id,PredictionString\ns1_study,x\n".encode("utf-16"), "can't decode byte"),
        (b'id,PredictionString\ns1_study,"negative 1\n', "EOF inside string"),
        (b"\x89PNG\r\n\x1a\n\x00", "can't decode byte"),
    ],
)
def test_a_file_that_is_no_text_is_one_line(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    (fault,) = validate(tmp_path / "a.csv", SAMPLE)
    assert fault.startswith(f"{tmp_path / 'a.csv'}: no readable CSV (")
    assert message in fault and "\n" not in fault
    assert ("save it as UTF-8 text" in fault) == ("decode" in message)


def test_an_archive_that_is_none_and_a_folder_are_one_line(tmp_path):
    for name in ("a.zip", "a.gz"):
        (tmp_path / name).write_bytes(b"id,PredictionString\n")
        (fault,) = validate(tmp_path / name, SAMPLE)
        assert "no readable CSV" in fault and "\n" not in fault
    assert validate(tmp_path, SAMPLE) == [f"{tmp_path}: no such file; give the path of a CSV"]


def test_what_is_allowed():
    assert faults_of("opacity 1 -3.56 20 30 40") == []  # the real labels hold a negative coordinate too
    assert faults_of("none 0 0.0 0.0 1.0 1.0 opacity 1e-05 0 0 1 1") == []


def test_several_faults_in_one_row_each_get_a_line():
    faults = faults_of("opacity a 10 20 30 40 lung 7 10 20 30 40 opacity 0.5 b 20 30 40 none 0.5 0 0 1 1")
    # two groups that are no numbers; the third with an unknown class and a confidence above 1
    assert len(faults) == 4
    assert sum("is no number" in fault for fault in faults) == 2


def test_duplicate_missing_unknown_and_empty_ids():
    rows = pd.concat([table(ROWS), table({"s1_study": STUDY, "s1": STUDY, "": STUDY})])
    rows = rows[rows["id"] != "i2_image"]
    assert validate(rows, SAMPLE) == [
        "s1_study: duplicate id, 2 rows have it (rows 1, 5); keep one",
        "s1: unknown id, not in the sample (ids end in _study or _image); correct or remove it",
        "(empty id): unknown id, not in the sample (ids end in _study or _image); correct or remove it",
        "i2_image: missing id, the sample has it; add its row",
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Id,PredictionString", "header 'Id,PredictionString': it must be id,PredictionString as in the sample"),
        ("id,predictionstring", "header 'id,predictionstring': it must be id,PredictionString"),
        ("id;PredictionString", "columns are parted by commas"),
        ("id,id", "it must be id,PredictionString"),
    ],
)
def test_a_wrong_header_is_a_fault(tmp_path, capsys, header, message):
    body = table(ROWS).to_csv(index=False, header=False)
    assert run(tmp_path, header + "\n" + (body.replace(",", ";") if ";" in header else body)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_further_columns_and_rows_of_the_wrong_length_are_faults(tmp_path, capsys):
    assert run(tmp_path, table(ROWS).assign(note="x").to_csv(index=False)) == 1
    assert "header 'id,PredictionString,note'" in capsys.readouterr().out
    # a comma more in every row must not make the ids row names
    body = "".join(f"{key},{text},\n" for key, text in ROWS.items())
    assert run(tmp_path, "id,PredictionString\n" + body) == 1
    assert "no readable CSV" in capsys.readouterr().out
    assert run(tmp_path, table(ROWS).to_csv(index=False).replace(f"i1_image,{IMAGE}", "i1_image")) == 1
    fault = "i1_image (row 3): the PredictionString is empty; name its classes\n"
    assert capsys.readouterr().out == f"{tmp_path / 'submission.csv'}: {fault}"


def test_an_empty_file_is_a_fault_and_a_missing_one_too(tmp_path, capsys):
    assert run(tmp_path, "") == 1
    assert "no readable CSV" in capsys.readouterr().out
    assert validate(tmp_path / "nothing.csv", SAMPLE) == [
        f"{tmp_path / 'nothing.csv'}: no such file; give the path of a CSV"
    ]


def test_a_header_alone_lacks_every_row(tmp_path, capsys):
    assert run(tmp_path, "id,PredictionString\n") == 1
    name = tmp_path / "submission.csv"
    lines = [f"{name}: {key}: missing id, the sample has it; add its row" for key in ROWS]
    assert capsys.readouterr().out.splitlines() == lines


def test_quoted_cells_byte_order_mark_and_crlf_are_plain_csv(tmp_path):
    body = "".join(f'"{key}","{text}"\r\n' for key, text in ROWS.items())
    assert run(tmp_path, "\ufeffid,PredictionString\r\n" + body) == 0


def test_a_sample_that_is_none_is_refused():
    with pytest.raises(DataFault, match="id 's1' in the sample"):
        validate(table(ROWS), table({"s1": STUDY}))
    with pytest.raises(DataFault, match="0 rows"):
        validate(table(ROWS), SAMPLE[:0])


def test_reading_keeps_text_and_order(tmp_path):
    (tmp_path / "a.csv").write_text("Id,PredictionString,Usage\nNA,\n007,none 1 0 0 1 1,Private\n")
    assert read_submission(tmp_path / "a.csv").to_dict("list") == {
        "id": ["NA", "007"],
        "PredictionString": ["", "none 1 0 0 1 1"],
    }


def test_groups_keep_row_and_position():
    groups, faults = read_groups(
        table({"a_image": "opacity 0.1 1 2 3 4 none 0.2 0 0 1 1", "b_image": "", "c_image": "opacity 0.3 5 6 7 8"})
    )
    assert faults == []
    assert groups["row"].tolist() == [0, 0, 2]
    assert groups.drop(columns="row").to_numpy().tolist() == [
        ["opacity", 0.1, 1, 2, 3, 4],
        ["none", 0.2, 0, 0, 1, 1],
        ["opacity", 0.3, 5, 6, 7, 8],
    ]


def predictions(rows=ROWS):
    groups, _ = read_groups(table(rows))
    keys = list(rows)
    return {
        key: [Prediction(*group[1:]) for group in groups.itertuples(index=False) if keys[group[0]] == key]
        for key in rows
    }


def test_writing_follows_the_sample_and_survives_reading(tmp_path):
    path = write_submission(dict(reversed(predictions().items())), SAMPLE, tmp_path / "deep" / "submission.csv")
    assert path.read_text().splitlines()[0] == "id,PredictionString"
    assert read_submission(path)["id"].tolist() == list(ROWS)
    assert path.read_text().splitlines()[3] == (
        "i1_image,none 0.300000 0 0 1 1 opacity 0.600000 10.00 20.00 110.50 220.00"
    )
    assert validate(path, SAMPLE) == []
    assert [file.name for file in path.parent.iterdir()] == ["submission.csv"]


def test_the_header_of_the_sample_is_kept(tmp_path):
    path = write_submission(predictions(), SAMPLE.rename(columns={"id": "Id"}), tmp_path / "submission.csv")
    assert path.read_text().startswith("Id,PredictionString\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"i1_image": [Prediction("opacity", 0.5, 10, 20, 10.001, 40)]},
            "the box has no area",
        ),  # two decimals are written
        ({"i1_image": [Prediction("opacity", float("nan"), 10, 20, 30, 40)]}, "must be a finite number"),
        ({"i1_image": []}, r"i1_image \(row 3\): the PredictionString is empty"),
        ({"x_image": [Prediction("none", 1, 0, 0, 1, 1)]}, "x_image: unknown id"),
    ],
)
def test_a_faulty_submission_never_replaces_a_valid_one(tmp_path, change, message):
    path = write_submission(predictions(), SAMPLE, tmp_path / "submission.csv")
    before = path.read_text()
    with pytest.raises(DataFault, match=message) as caught:
        write_submission(predictions() | change, SAMPLE, path)
    assert "\n" not in str(caught.value)
    assert path.read_text() == before


def test_a_missing_row_is_named(tmp_path):
    rows = predictions()
    del rows["s2_study"]
    with pytest.raises(DataFault, match=r"1 fault\(s\), the first: s2_study: missing id"):
        write_submission(rows, SAMPLE, tmp_path / "submission.csv")
    assert not (tmp_path / "submission.csv").exists()
