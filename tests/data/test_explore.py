import ast
import json

import cv2
import numpy as np
import pandas as pd
import pytest
from small_competition import BOX, CLASSES, IMAGES, write_levels

from cxr.data import counts, explore, quirks
from cxr.data.paper_facts import paper_facts
from cxr.data.siim import labelled_images
from cxr.faults import DataFault
from cxr.paths import find_places
from cxr.profiles import load_profile
from cxr.tables import FAILURES, write_table
from cxr.tables import IMAGES as IMAGES_TABLE
from cxr.workspace import Workspace, write_json

NOTHING_FAILED = pd.DataFrame({"path": [], "reason": []})
SYNTAX = "1.2.840.10008.1.2"


def converted(labels):
    """Images a1, a2, a3 and a5 of the small competition (a4 was not converted); a1 and a2 are of one patient."""
    table = pd.DataFrame(
        {
            "image_id": ["a1", "a2", "a3", "a5"],
            "patient_id": ["p1", "p1", "p1", "unknown-s4"],
            "source": "siim",
            "path": ["a1.png", "a2.png", "a3.png", "a5.png"],
            "height": [100, 50, 100, 100],
            "width": [100, 100, 110, 100],
            "photometric": ["MONOCHROME1", "MONOCHROME2", "MONOCHROME2", "MONOCHROME2"],
            "bits_stored": [12, 8, 12, 10],
            "transfer_syntax": [f"{SYNTAX}.1", f"{SYNTAX}.4.70", SYNTAX, "1.2.3"],
            "modality": ["CR", "DX", "DX", "DX"],
            "sex": ["F", "M", np.nan, "M"],
            "age": np.nan,
            "body_part": ["T\u00d2RAX", "port chest", np.nan, "SKULL"],
            "has_window": [1, 0, 0, 0],
            "has_voi_lut": [0, 1, 0, 0],
            "note": [np.nan, np.nan, "HighBit is missing", np.nan],
            "pixel_hash": ["x", "y", "x", "z"],
        }
    )
    known = labels[["image_id", "study_id", "negative", "typical", "indeterminate", "atypical", "has_box", "role"]]
    return table.merge(known, on="image_id").astype({"has_box": int})


@pytest.fixture
def labels(competition):
    return labelled_images(competition)[0]


def test_counts_are_those_of_all_labelled_images(labels):
    assert counts.siim_counts(labels) == {
        "images": 5,
        "studies": 4,
        "study_classes": {"negative": 1, "typical": 1, "indeterminate": 1, "atypical": 1},
        "boxes": 2,
        "boxed_images": 2,
        "boxes_per_image": {0: 3, 1: 2},
        "images_per_study": {1: 3, 2: 1},
        "studies_boxed_in_part": 1,
        "boxless_copies": 1,
    }


def test_a_box_has_area_and_aspect_by_its_label_and_a_share_by_its_image(labels):
    images = converted(labels)
    boxes = counts.box_statistics(labels, images[images["image_id"] != "a5"]).set_index("image_id")
    assert boxes["class"].to_dict() == {"a2": "typical", "a5": "indeterminate"}
    assert boxes.loc["a2", ["x_min", "y_min", "x_max", "y_max"]].tolist() == [10.5, 20.0, 40.5, 60.0]
    assert (boxes["area"] == 30 * 40).all() and (boxes["aspect"] == 30 / 40).all()
    assert boxes.loc["a2", "share"] == 30 * 40 / (50 * 100)
    assert np.isnan(boxes.loc["a5", "share"]) and np.isnan(boxes.loc["a5", "image_height"])


def test_labels_without_a_box_give_an_empty_box_table_and_quirks_of_nothing(labels):
    bare = labels[~labels["has_box"]].reset_index(drop=True)
    images = converted(bare)
    assert len(counts.box_statistics(bare, images)) == 0
    rows = quirks.quirks(images, NOTHING_FAILED, bare).set_index("quirk")
    assert rows.loc["box has no area", ["count", "of"]].tolist() == [0, 0]
    assert np.isnan(rows.loc["box has no area", "share"])


def test_each_quirk_is_counted_on_its_own_base(labels):
    failures = pd.DataFrame({"path": ["b.dcm"], "reason": ["the file is empty"]})
    rows = quirks.quirks(converted(labels), failures, labels).set_index("quirk")
    counted = {quirk: (row["count"], row["of"]) for quirk, row in rows.iterrows()}
    assert counted == {
        "study has several images": (1, 4),
        "study has boxed and boxless images": (1, 4),
        "boxless copy of a boxed study": (1, 5),
        "otherwise boxless, not negative": (1, 5),  # a4, atypical
        "boxed, yet negative": (0, 5),
        "box begins outside its image": (0, 2),
        "box ends outside its image": (1, 2),  # a2 ends at 60 of 50 rows
        "box has no area": (0, 2),
        "patient has several studies": (1, 2),
        "patient has studies of different classes": (1, 2),
        "one side is 1.2 times the other or more": (1, 4),
        "same picture under several ids": (2, 4),
        "MONOCHROME1": (1, 4),
        "not 12 bits stored": (2, 4),
        "compressed pixels": (2, 4),  # an unknown syntax counts as compressed
        "window in the header": (1, 4),
        "VOI look-up table": (1, 4),
        "body part is no chest": (1, 4),
        "body part empty": (1, 4),
        "modality CR": (1, 4),
        "sex unknown": (1, 4),
        "age unknown": (4, 4),
        "no patient id": (1, 4),
        "header put right": (1, 4),
        "file that failed": (1, 5),
    }
    assert rows["share"].tolist() == [count / of for count, of in counted.values()]
    assert rows.loc["compressed pixels", "found"] == "JPEGLosslessSV1 (1), 1.2.3 (1)"
    assert rows.loc["body part is no chest", "found"] == "SKULL (1)"
    assert rows.loc["file that failed", "found"] == "the file is empty (1)"
    assert (rows["meaning"].str.len() > 10).all()


def test_a_box_that_begins_outside_its_image_is_counted_without_knowing_the_image(competition):
    negative = BOX.replace("'x': 10.5", "'x': -3.56")
    write_levels(competition, [*IMAGES[:4], ("a5", "s4", negative, "opacity 1 -3.56 20.0 26.44 60.0")], CLASSES)
    labels = labelled_images(competition)[0]
    images = converted(labels)
    rows = quirks.quirks(images[images["image_id"] != "a5"], NOTHING_FAILED, labels).set_index("quirk")
    assert rows.loc["box begins outside its image", ["count", "of", "unit"]].tolist() == [1, 2, "labelled boxes"]
    assert rows.loc["box ends outside its image", "of"] == 1


def test_a_column_that_is_missing_makes_no_row_and_an_unknown_number_is_not_counted(labels):
    images = converted(labels).drop(columns=["photometric", "pixel_hash"]).assign(bits_stored=[12, np.nan, 8, np.nan])
    rows = quirks.quirks(images.assign(has_window=np.nan), NOTHING_FAILED, labels).set_index("quirk")
    assert not {"MONOCHROME1", "same picture under several ids"} & set(rows.index)
    assert rows.loc["not 12 bits stored", ["count", "of", "found"]].tolist() == [1, 2, "8 (1)"]
    assert rows.loc["window in the header", "of"] == 0


def test_patients_of_images_with_unknown_classes_have_no_class(labels):
    images = converted(labels)
    assert counts.patients(images).loc["p1"].to_dict() == {"images": 3, "studies": 2, "classes": 2}
    images[["negative", "typical", "indeterminate", "atypical"]] = np.nan
    assert counts.patients(images)["classes"].tolist() == [0, 0]


@pytest.fixture
def workspace(competition, tmp_path, labels):
    """A run after stage 01, with two NIH images (one finding, two findings) and two RSNA images beside it."""
    nih, rsna = competition.parent / "data", competition.parent / "rsna-pneumonia-detection-challenge"
    nih.mkdir()
    (nih / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID\n"
        "00000001_000.png,Mass,0,1\n00000002_000.png,Mass|Effusion,0,2\n"
    )
    rsna.mkdir()
    (rsna / "stage_2_train_labels.csv").write_text("patientId,x,y,width,height,Target\nu,,,,,0\nv,1,2,3,4,1\n")
    (rsna / "stage_2_detailed_class_info.csv").write_text("patientId,class\nu,Normal\nv,Lung Opacity\n")
    run = Workspace(
        load_profile("demo", "images.cache_size=8 images.workers=1"),
        find_places("demo", "", str(tmp_path / "work")),
        None,
    )
    companions = {"data": str(nih), "rsna-pneumonia-detection-challenge": str(rsna)}
    write_json({"competition": str(competition), "companions": companions, "data": "competition"}, run.places.inputs)
    write_table(converted(labels), run.places.images_table, IMAGES_TABLE)
    write_table(NOTHING_FAILED, run.places.failures_table, FAILURES)
    return run


def test_explore_reads_what_stage_01_left_and_writes_plain_counts(workspace):
    tables = explore.explore(workspace)
    assert (len(tables["labelled"]), len(tables["converted"]), len(tables["boxes"])) == (5, 4, 2)
    written = json.loads((workspace.places.tables / "explore.json").read_text())
    assert written["labelled"]["boxes_per_image"] == {"0": 3, "1": 2}
    assert written["converted"]["studies_per_patient"] == {"1": 1, "2": 1}
    assert written["converted"]["height"] == [50, 100] and written["converted"]["failures"] == 0
    assert written["converted"]["bits_stored"] == {"12": 2, "8": 1, "10": 1}
    assert {name: written["classes"]["NIH"][name] for name in ("Mass", "Effusion", "Hernia")} == {
        "Mass": 2,
        "Effusion": 1,
        "Hernia": 0,
    }
    assert written["classes"]["RSNA"] == {"Normal": 1, "Lung Opacity": 1}
    facts = {(row["dataset"], row["fact"]): row["here"] for row in written["paper"]}
    assert facts["NIH", "diagnoses"] == 3 and facts["NIH", "diagnoses an image"] == 3 / 2
    assert facts["RSNA", "rows (boxes and boxless images)"] == 2 and facts["SIIM", "8 bits stored"] == 1
    assert facts["SIIM", "ways to write chest"] == 2  # T\u00d2RAX and port chest; SKULL is none, one is empty
    assert [row["count"] for row in written["quirks"] if row["quirk"] == "MONOCHROME1"] == [1]


def test_a_companion_that_is_not_in_the_input_has_no_rows(workspace):
    write_json({**workspace.inputs, "companions": {"data": ""}}, workspace.places.inputs)
    classes = explore.explore(workspace)["classes"]
    assert classes["dataset"].unique().tolist() == ["SIIM"] and classes["count"].tolist() == [1, 1, 1, 1]
    assert classes["of"].unique().tolist() == [4]


def test_rsna_without_its_detailed_classes_is_divided_by_boxes(workspace):
    (workspace.companion("rsna-pneumonia-detection-challenge") / "stage_2_detailed_class_info.csv").unlink()
    classes = explore.explore(workspace)["classes"].query("dataset == 'RSNA'")
    assert dict(zip(classes["class"], classes["count"], strict=True)) == {"Lung Opacity": 1, "(no Lung Opacity)": 1}


def test_explore_before_stage_01_names_the_notebook_to_run(workspace):
    workspace.places.images_table.unlink()
    with pytest.raises(
        DataFault, match=r"images.csv: not there yet; run notebook 01_dicom_to_png first, or `make all`"
    ):
        explore.explore(workspace)


def real_images(real_labels, labels):
    """An images table from the published sizes and patients of the real train set; its pictures are not needed."""
    shapes = pd.read_csv(real_labels / "df_train_512.csv").rename(columns={"photometric_interpreation": "photometric"})
    shapes[["height", "width"]] = [ast.literal_eval(shape) for shape in shapes["shape"]]
    names = {"patientid": "patient_id", "imageid": "image_id"}
    patients = pd.read_csv(real_labels / "train_meta.csv").rename(columns=names)[["image_id", "patient_id"]]
    known = shapes[["image_id", "height", "width", "photometric"]].merge(patients, on="image_id")
    return labels.drop(columns="boxes_xywh").merge(known, on="image_id", validate="one_to_one")


def test_the_real_set_has_its_known_counts_and_quirks(real_labels):
    labels, _ = labelled_images(real_labels)
    found = counts.siim_counts(labels)
    assert (found["images"], found["studies"], found["boxes"], found["boxed_images"]) == (6334, 6054, 7853, 4294)
    assert list(found["study_classes"].values()) == [1676, 2855, 1049, 474]
    assert found["boxes_per_image"] == {0: 2040, 1: 973, 2: 3113, 3: 183, 4: 23, 5: 1, 8: 1}
    assert found["images_per_study"] == {1: 5822, 2: 207, 3: 15, 4: 4, 5: 3, 6: 1, 7: 1, 9: 1}
    assert (found["studies_boxed_in_part"], found["boxless_copies"]) == (177, 217)
    images = real_images(real_labels, labels)
    rows = quirks.quirks(images, NOTHING_FAILED, labels).set_index("quirk")
    expected = {
        "study has several images": (232, 6054),
        "otherwise boxless, not negative": (87, 6334),
        "boxed, yet negative": (0, 6334),
        "box begins outside its image": (1, 7853),
        "box ends outside its image": (0, 7853),
        "box has no area": (0, 7853),
        "patient has several studies": (1200, 3261),
        "patient has studies of different classes": (770, 3261),
        "MONOCHROME1": (1701, 6334),
    }
    assert {quirk: tuple(rows.loc[quirk, ["count", "of"]]) for quirk in expected} == expected
    assert rows.loc["otherwise boxless, not negative", "found"] == "atypical (86), typical (1)"
    facts = paper_facts(labels, images, {}, labels[:0]).set_index("fact")
    told = facts.loc[facts["paper"].notna(), ["here", "paper"]]
    assert told[told["here"] != told["paper"]].to_dict("index") == {"fewest columns": {"here": 1140, "paper": 1228}}
    assert {"typical studies", "atypical studies", "images without a box", "MONOCHROME1", "most rows"} <= set(
        told.index
    )


def test_without_the_dicoms_nothing_is_known_of_missing_tags(workspace):
    missing = explore.explore(workspace)["missing"]  # the images table of this test names no source files
    assert (missing["of"] == 0).all() and missing["share"].isna().all()


def test_pixels_are_looked_at_with_samples_of_the_other_sets(workspace, capsys):
    nih = workspace.companion("data") / "images_001" / "images"
    nih.mkdir(parents=True)
    cv2.imwrite(str(nih / "00000002_000.png"), np.full((40, 60), 77, np.uint8))
    (nih / "00000001_000.png").write_bytes(b"no picture")
    cache = workspace.places.cache(8)
    cache.parent.mkdir(parents=True)
    np.save(cache, np.zeros((4, 8, 8), np.uint8))
    pixels = explore.look_at_pixels(workspace, explore.explore(workspace))
    assert list(pixels.samples) == ["NIH"]  # RSNA has labels here, but no pictures
    sample = pixels.samples["NIH"]
    assert sample.images.to_dict("records") == [{"image_id": "00000002_000", "height": 40, "width": 60}]
    assert (sample.pixels == 77).all() and pixels.markers.empty
    assert "NIH: 1 sampled pictures left out, the first is" in capsys.readouterr().out
    assert list(pixels.maps) == ["siim", "negative", "typical", "indeterminate", "atypical", "NIH"]
    assert (workspace.places.tables / "markers.csv").read_text().startswith("source,seen_in,x,y,images,of,share")
    np.save(cache, np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(DataFault, match=r"train_8.npy: 3 pictures, but the images table has 4 rows; run 01"):
        explore.look_at_pixels(workspace, explore.explore(workspace))
    cache.unlink()
    with pytest.raises(DataFault, match=r"train_8.npy: not there; run notebook 01_dicom_to_png again"):
        explore.look_at_pixels(workspace, explore.explore(workspace))
