import json

import pandas as pd
import pytest

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.prediction.members import read_members, uncovered

IMAGES = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "study_id": ["s", "s", "t", "u"],
        "height": [100, 200, 100, 100],
        "width": [100, 100, 100, 100],
    }
)
TEST = pd.DataFrame({"image_id": ["x", "y"], "study_id": ["v", "w"], "height": [50, 50], "width": [50, 50]})
BOXES = "image_id,label,score,x_min,y_min,x_max,y_max\na,opacity,0.9,10,10,50,60\nb,opacity,0.2,5,6,70,80\n"
CLASSES = ",".join(STUDY_CLASSES)
ROW = "0.1,0.6,0.2,0.1"


@pytest.fixture
def put(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path

    return write


def study_table(*ids, key="study_id"):
    return "\n".join([f"{key},{CLASSES}", *(f"{each},{ROW}" for each in ids)])


def test_a_box_table_is_a_detector_with_rows_about_training_and_test(put):
    (member,) = read_members(put("retina.csv", BOXES + "x,opacity,0.5,-3,10,60,40\n"), IMAGES)
    assert member.name == "retina" and member.is_detector and member.named == 0.5
    assert member.on(IMAGES)["image_id"].tolist() == ["a", "b"]
    test = member.on(TEST)
    assert test[["x_min", "x_max"]].to_numpy().tolist() == [[0, 50]], "clipped to the test image"


def test_class_tables_are_told_by_their_key(put):
    put("images.csv", study_table("a", "b", "c", "d", "x", key="image_id"))
    images, studies = read_members(put("nets.csv", study_table("s", "t", "u", "v")), IMAGES)
    assert (images.key, studies.key) == ("image_id", "study_id")
    assert studies.on(TEST)["study_id"].tolist() == ["v"]


def test_no_folder_is_no_member_and_other_files_are_left_alone(put, tmp_path):
    assert read_members(tmp_path / "nothing", IMAGES) == []
    assert read_members(put("README.md", "what lies here"), IMAGES) == []


def test_sources_that_repeat_the_test_set_are_refused(put):
    put("retina.csv", BOXES)
    put("retina.json", json.dumps({"training_sources": ["NIH", "weights/CovidX_resnet50.pth"]}))
    with pytest.raises(DataFault, match="CovidX_resnet50.pth', and COVIDX repeats pictures of the test set; take"):
        read_members(put("notes.txt", ""), IMAGES)


def test_undeclared_sources_join_and_are_told(put):
    folder = put("retina.csv", BOXES)
    assert read_members(folder, IMAGES)[0].sources is None
    assert "training sources not declared" in read_members(folder, IMAGES)[0].notes[0]
    put("retina.json", json.dumps({"training_sources": []}))
    assert read_members(folder, IMAGES)[0].sources == () and read_members(folder, IMAGES)[0].notes == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"training_sources": "NIH"}', '{"sources": []}'])
def test_a_sources_file_of_another_form_is_refused(put, text):
    put("retina.csv", BOXES)
    with pytest.raises(DataFault, match="not of the form"):
        read_members(put("retina.json", text), IMAGES)


def test_a_sources_file_without_its_member_is_refused(put):
    with pytest.raises(DataFault, match="retina.csv is not beside it"):
        read_members(put("retina.json", '{"training_sources": []}'), IMAGES)


def test_a_name_of_our_own_is_refused(put):
    with pytest.raises(DataFault, match="yolo is the name of one of our own models"):
        read_members(put("yolo.csv", BOXES), IMAGES, taken=["yolo", "studies"])


def test_rows_about_the_test_set_alone_cannot_be_tuned(put):
    with pytest.raises(DataFault, match="no row about any of 4 training image_ids, so it cannot be tuned out of fold"):
        read_members(put("retina.csv", BOXES.replace("\na", "\nx").replace("\nb", "\ny")), IMAGES)
    with pytest.raises(DataFault, match="ids carry no _image or _study here"):
        read_members(put("retina.csv", BOXES.replace("\na", "\na_image").replace("\nb", "\nb_image")), IMAGES)


def test_a_class_table_must_know_every_training_study(put):
    with pytest.raises(DataFault, match="no row for 1 of 3 training study_ids, the first is t"):
        read_members(put("nets.csv", study_table("s", "u")), IMAGES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOXES.replace("a,opacity", "a,pneumonia"), "label 'pneumonia'; only opacity has boxes"),
        (BOXES.replace(",label", ",kind"), "lacks label"),
        (BOXES.replace("10,10,50,60", "50,60,10,10"), "box of row 1 ends before it begins"),
        (
            "image_id,label,score,x_min,y_min,x_max,y_max\na,opacity,0.9,0.1,0.1,0.5,0.6\n",
            "all coordinates lie in 0..1; give pixels of the original image",
        ),
        (BOXES.replace("0.9", "90"), "score of row 1 is"),
        (BOXES.replace("0.9", ""), "score of row 1 is"),
        ("id,PredictionString\na_image,none 1 0 0 1 1\n", "columns id, PredictionString are no member's"),
        (study_table("s", "t", "t", "u"), "study_id 't' stands there more than once"),
        ("", "not a readable CSV"),
        ("image_id,label,score,x_min,y_min,x_max,y_max\n", "no row about any of 4 training image_ids"),
    ],
)
def test_a_broken_file_stops_the_stage_in_words(put, text, message):
    with pytest.raises(DataFault) as fault:
        read_members(put("retina.csv", text), IMAGES)
    assert message in str(fault.value) and "retina.csv" in str(fault.value) and "\n" not in str(fault.value)


def test_boxes_over_the_border_are_clipped_and_told(put):
    text = BOXES + "c,opacity,0.3,-20,0,50,50\nc,opacity,0.3,200,0,250,50\nx,opacity,0.3,-9,-9,999,999\n"
    (member,) = read_members(put("retina.csv", text), IMAGES)
    assert "of 4 boxes on training images 1 reached over the border and were clipped, 1 lay outside" in member.notes[1]
    assert member.on(IMAGES)["x_min"].tolist() == [10, 5, 0]


def test_a_member_covers_a_test_set_or_says_what_it_lacks(put):
    put("nets.csv", study_table("s", "t", "u", "v"))
    put("retina.csv", BOXES + "x,opacity,0.5,0,10,40,40\n")
    nets, retina = read_members(put("README", ""), IMAGES)
    # retina names half of the training images, and one of two test images: as often
    assert uncovered([retina], TEST) == []
    assert uncovered([nets, retina], TEST) == ["member nets has no row for 1 of 2 study_ids, the first is w"]
    other = TEST.assign(image_id=["n", "m"])
    assert uncovered([retina], other) == ["member retina has no row for 2 of 2 image_ids, the first is n"]
