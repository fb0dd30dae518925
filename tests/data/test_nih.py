import gzip

import numpy as np
import pytest

from cxr.data import nih
from cxr.data.nih import FINDINGS, labelled_images, read_nih
from cxr.data.pictures import cache_pictures
from cxr.faults import DataFault
from cxr.phantom.companions import plan_nih, write_nih_image, write_nih_tables
from cxr.tables import IMAGES, check_table

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = [
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,PA,2894,2729,0.143,0.143",
    "00000002_000.png,No Finding,0,2,414,F,AP,2500,2048,0.168,0.168",
    "00000003_000.png,Pleural_Thickening|Hernia,0,3,011M,F,PA,2582,2991,0.143,0.143",
]
STEMS = [row.split(".")[0] for row in ROWS]


def write(folder, rows=ROWS, header=HEADER, tail=",", test=STEMS[2:3], train=(STEMS[0], STEMS[1], STEMS[3]), name=""):
    """A folder with label files and empty pictures."""
    lines = [header + tail, *(row + tail for row in rows)]
    (folder / (name or "Data_Entry_2017.csv")).write_text("".join(line + "\n" for line in lines))
    for part, stems in {"train_val": train, "test": test}.items():
        (folder / f"{part}_list.txt").write_text("".join(f"{stem}.png\n" for stem in stems))
    for number, stem in enumerate(STEMS):
        path = folder / f"images_{1 + number // 2:03d}" / "images" / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_every_image_gets_its_row(tmp_path):
    table, findings = read_nih(write(tmp_path))
    assert list(table.columns) == list(nih.COLUMNS)
    assert table["image_id"].tolist() == STEMS
    assert table["patient_id"].tolist() == ["nih-1", "nih-1", "nih-2", "nih-3"]
    assert table["study_id"].tolist() == ["nih-1-0", "nih-1-1", "nih-2-0", "nih-3-0"]
    assert table["path"].tolist() == [
        *(f"images_001/images/{stem}.png" for stem in STEMS[:2]),
        *(f"images_002/images/{stem}.png" for stem in STEMS[2:]),
    ]
    assert table["part"].tolist() == ["train_val", "train_val", "test", "train_val"]
    assert (table["source"] == "nih").all() and table["sex"].tolist() == list("MMFF")
    assert table["view"].tolist() == ["PA", "PA", "AP", "PA"]
    found = [[name for name in FINDINGS if row[name] == 1] for _, row in table.iterrows()]
    assert found == [
        ["Cardiomegaly"],
        ["Cardiomegaly", "Emphysema"],
        ["No Finding"],
        ["Pleural_Thickening", "Hernia"],
    ]
    assert table[list(FINDINGS)].isin([0, 1]).all(axis=None) and len(FINDINGS) == 15 and FINDINGS[-1] == "No Finding"
    assert findings == ["Data_Entry_2017.csv: ages that cannot be are taken as unknown: 1 (414)"]


def test_ages_are_years_or_unknown(tmp_path):
    assert labelled_images(write(tmp_path))[0]["age"].fillna(-1).tolist() == [58, 58, -1, 0]
    ages = ["58", "003D", "", "old"]
    rows = [",".join([*row.split(",")[:4], age, *row.split(",")[5:]]) for row, age in zip(ROWS, ages, strict=True)]
    table, findings = labelled_images(write(tmp_path, rows))
    assert table["age"].fillna(-1).tolist() == [58, 0, -1, -1] and "unknown: 2 (" in findings[0]


@pytest.mark.filterwarnings("error::pandas.errors.ParserWarning")
@pytest.mark.parametrize("tail_of_header", ["", ","])
@pytest.mark.parametrize("tail", ["", ","])
def test_commas_at_the_end_of_rows_shift_nothing(tmp_path, tail_of_header, tail):
    write(tmp_path, [row + tail for row in ROWS], HEADER + tail_of_header, "")
    table, _ = read_nih(tmp_path)
    assert table["image_id"].tolist() == STEMS and table["sex"].tolist() == list("MMFF")


def test_a_quoted_header_shifts_nothing(tmp_path):
    header = HEADER.replace("OriginalImage[Width,Height]", '"OriginalImage[Width,Height]"')
    table, _ = read_nih(write(tmp_path, header=header))
    assert table["image_id"].tolist() == STEMS and table["view"].tolist() == ["PA", "PA", "AP", "PA"]


def test_both_releases_are_read_and_the_later_one_wins(tmp_path):
    write(tmp_path, name="Data_Entry_2017_v2020.csv", tail="")
    assert len(read_nih(tmp_path)[0]) == 4
    write(tmp_path, ROWS[:1], name="Data_Entry_2017.csv")
    assert len(read_nih(tmp_path)[0]) == 4


def test_the_spelling_of_the_box_list_is_known(tmp_path):
    rows = [ROWS[0].replace("Cardiomegaly", "Infiltrate| Mass")]
    table, _ = labelled_images(write(tmp_path, rows))
    assert table["Infiltration"].tolist() == [1] and table["Mass"].tolist() == [1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Cardiomegaly,", "Covid,", "00000001_000.png has the label 'Covid'; known are Atelectasis"),
        ("Cardiomegaly,", "cardiomegaly,", "has the label 'cardiomegaly'"),
        ("Cardiomegaly,", ",", "has the label ''"),
        ("Cardiomegaly,", "No Finding|Mass,", "00000001_000.png has No Finding beside Mass, No Finding; correct"),
        (",0,1,", ",0,one,", "Patient ID 'one' is no whole number"),
        (",0,1,", ",,1,", "Follow-up # 'nan' is no whole number"),
        (
            "00000001_000.png",
            "00000001_001.png",
            "each must name a .png of its own; these do not: 1 (00000001_001.png)",
        ),
        ("00000001_000.png", "00000001_000", "each must name a .png of its own"),
    ],
)
def test_labels_that_cannot_be_trusted_stop_the_run(tmp_path, old, new, message):
    with pytest.raises(DataFault) as fault:
        read_nih(write(tmp_path, [ROWS[0].replace(old, new), *ROWS[1:]]))
    assert message in str(fault.value) and "Data_Entry_2017.csv: " in str(fault.value) and "\n" not in str(fault.value)


def test_images_without_a_file_and_files_without_a_row_are_told(tmp_path):
    write(tmp_path, ROWS[:3])
    (tmp_path / "images_001" / "images" / f"{STEMS[0]}.png").unlink()
    (tmp_path / "images_001" / "images" / f"._{STEMS[0]}.png").touch()  # macOS archives leave these
    table, findings = read_nih(tmp_path)
    assert table["image_id"].tolist() == STEMS[1:3] and table.index.tolist() == [0, 1]
    assert f"{tmp_path}: labelled images without a file are left out: 1 ({STEMS[0]})" in findings
    assert f"{tmp_path}: pictures without a row in the labels are left out: 1 ({STEMS[3]})" in findings


def test_pictures_may_lie_in_one_folder_and_twice(tmp_path):
    write(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{STEMS[3]}.png").touch()
    table, findings = read_nih(tmp_path)
    assert table["path"].iloc[3] == f"images/{STEMS[3]}.png"
    assert any("lie there more than once" in finding and STEMS[3] in finding for finding in findings)


def test_a_folder_without_pictures_or_labels_is_refused(tmp_path):
    with pytest.raises(DataFault, match=r"no Data_Entry_2017_v2020\.csv or Data_Entry_2017\.csv there; get"):
        read_nih(tmp_path)
    write(tmp_path)
    for folder in ("images_001", "images_002"):
        (tmp_path / folder).rename(tmp_path / f"other_{folder}")
    with pytest.raises(DataFault, match="none of 4 labelled images lies in images"):
        read_nih(tmp_path)


def test_a_patient_in_both_lists_is_moved_to_test(tmp_path):
    table, findings = read_nih(write(tmp_path, test=[STEMS[1], STEMS[2]], train=[STEMS[0], STEMS[3]]))
    assert table["part"].tolist() == ["test", "test", "test", "train_val"]
    assert f"{tmp_path}: patients in both lists are moved to test: 1 (nih-1)" in findings


def test_an_unlisted_image_goes_with_its_patient(tmp_path):
    table, findings = read_nih(write(tmp_path, test=[STEMS[1]], train=[STEMS[2]]))
    assert table["part"].tolist() == ["test", "test", "train_val", "train_val"]
    assert any("in neither list" in finding and STEMS[0] in finding for finding in findings)


def test_a_part_without_pictures_is_told(tmp_path):
    assert f"{tmp_path}: no picture is in the part test" in read_nih(write(tmp_path, test=[]))[1]


def many(folder, patients=50):
    """Two images a patient."""
    rows = [f"{p:08d}_{v:03d}.png,No Finding,{v},{p},50,F,PA,1,1,1,1" for p in range(1, patients + 1) for v in (0, 1)]
    return write(folder, rows, train=[row.split(".")[0] for row in rows], test=[])


@pytest.mark.parametrize("lost", ["train_val_list.txt", "test_list.txt"])
def test_without_the_lists_a_fifth_of_the_patients_is_test(tmp_path, lost):
    (many(tmp_path) / lost).unlink()
    table, findings = labelled_images(tmp_path)
    parts = table.groupby("patient_id")["part"].agg(set)
    assert all(len(part) == 1 for part in parts)
    assert (table["part"] == "test").sum() == 2 * 50 // 5
    assert findings == [f"{tmp_path}: {lost} missing, so 20% of the patients, drawn by a hash, are test"]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Six pictures in the phantom's layout, one of them RGBA."""
    root = tmp_path_factory.mktemp("nih")
    plan = plan_nih(6, seed=3)
    plan.loc[1, "channels"] = 4
    found = [write_nih_image(row, root, seed=3) for row in plan.to_dict("records")]
    write_nih_tables(plan, found, root)
    return root, plan


def test_the_phantom_is_read_and_cached_like_the_real_set(phantom, tmp_path):
    root, plan = phantom
    table, findings = read_nih(root)
    assert table["image_id"].tolist() == [name.removesuffix(".png") for name in plan["name"]]
    assert table["part"].tolist() == plan["part"].tolist() and findings == []
    cache_file = tmp_path / "nih_64.npy"
    sizes, failures = cache_pictures([root / path for path in table["path"]], list(table["image_id"]), 64, cache_file)
    assert failures.empty and sizes["image_id"].tolist() == table["image_id"].tolist()
    assert (sizes[["height", "width"]] == 512).all(axis=None)
    pixels = np.load(cache_file)
    assert pixels.shape == (6, 64, 64) and (pixels.std(axis=(1, 2)) > 10).all()
    check_table(table.merge(sizes[["image_id", "height", "width"]], on="image_id"), IMAGES, "nih")


def test_the_real_label_files_keep_what_is_known_of_them(realdata, tmp_path):
    for name in ("Data_Entry_2017_v2020.csv", "train_val_list.txt", "test_list.txt"):
        (tmp_path / name).write_bytes(gzip.decompress((realdata / "labels" / "nih" / f"{name}.gz").read_bytes()))
    table, findings = labelled_images(tmp_path)
    assert len(table) == 112_120 and table["patient_id"].nunique() == 30_805 and findings == []
    assert table["part"].value_counts().to_dict() == {"train_val": 86_524, "test": 25_596}
    counts = table[list(FINDINGS)].sum().to_dict()
    assert (counts["No Finding"], counts["Infiltration"], counts["Hernia"]) == (60_361, 19_894, 227)
    assert sum(counts.values()) == 141_537  # labels written with | in the file, and no other
    assert (table["age"].min(), table["age"].max()) == (0, 95) and table["study_id"].is_unique
    assert table["patient_id"][table["part"] == "test"].nunique() == 2797
    assert nih.PARTS == ("train_val", "test")
