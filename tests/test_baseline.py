import argparse

import numpy as np
import pandas as pd
import pytest

from cxr import baseline
from cxr.baseline import Baseline, Features, bright_blobs, extract_all, hits, typical_boxes
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES, STUDY_COLUMNS, parse_prediction_string
from cxr.phantom.dicoms import write_dicom

QUIRKS = {
    "photometric": "MONOCHROME2",
    "bits_stored": 12,
    "transfer_syntax": "Explicit VR Little Endian",
    "voi": "none",
    "window_function": "",
    "rescale": "absent",
    "range_low": 0.0,
    "range_high": 1.0,
    "modality": "CR",
}


def draw(root, part, name, study_class, box):
    """A 60 x 80 image; the place of a bright band tells the class, a bright rectangle is the box."""
    pixels = np.random.default_rng(int(name[1:])).uniform(0, 0.1, (60, 80))
    top = 12 * STUDY_CLASSES.index(study_class)
    pixels[top : top + 12, 38:42] = 1
    if box:
        x, y, width, height = box
        pixels[y : y + height, x : x + width] += 0.5
    uids = {"SOPInstanceUID": name, "StudyInstanceUID": f"s{name}", "SeriesInstanceUID": "e", "PatientID": name}
    write_dicom(root / part / f"s{name}" / "e" / f"{name}.dcm", pixels, QUIRKS, uids)


@pytest.fixture
def competition(tmp_path):
    """20 training and 8 test studies of one image; negative ones have no box, the others one in the left half."""
    root = tmp_path / "input" / "siim-covid19-detection"
    rows, level = [], []
    for number in range(28):
        name, study_class = f"i{number:02d}", STUDY_CLASSES[number % 4]
        box = (10 + number % 3, 15, 20, 25) if number % 4 else None
        draw(root, "train" if number < 20 else "test", name, study_class, box)
        text = str([dict(zip(("x", "y", "width", "height"), map(float, box), strict=True))]) if box else ""
        label = f"opacity 1 {box[0]} {box[1]} {box[0] + box[2]} {box[1] + box[3]}" if box else "none 1 0 0 1 1"
        rows.append({"id": f"{name}_image", "boxes": text, "label": label, "StudyInstanceUID": f"s{name}"})
        level.append({"id": f"s{name}_study", **{c: int(k == study_class) for c, k in STUDY_COLUMNS.items()}})
    pd.DataFrame(rows[:20]).to_csv(root / "train_image_level.csv", index=False)
    pd.DataFrame(level[:20]).to_csv(root / "train_study_level.csv", index=False)
    ids = [row["id"] for row in level[20:]][::-1] + [row["id"] for row in rows[20:]]  # an order of its own
    pd.DataFrame({"id": ids, "PredictionString": ""}).to_csv(root / "sample_submission.csv", index=False)
    return root


def run(source, out):
    parser = argparse.ArgumentParser()
    baseline.add_arguments(parser)
    assert baseline.main(parser.parse_args([str(source), str(out), "--workers", "1"])) == 0
    return pd.read_csv(out)


def test_submission_is_complete_and_in_the_order_of_the_sample(competition, tmp_path, capsys):
    table = run(tmp_path / "input", tmp_path / "out" / "submission.csv")
    sample = pd.read_csv(competition / "sample_submission.csv")
    assert list(table.columns) == ["id", "PredictionString"] and list(table["id"]) == list(sample["id"])
    for name, text in zip(table["id"], table["PredictionString"], strict=True):
        groups = parse_prediction_string(text)
        labels = [group.label for group in groups]
        assert all(0 < group.score < 1 for group in groups)
        if name.endswith("_study"):
            assert labels == list(STUDY_CLASSES)
        else:
            assert labels[0] == "none" and set(labels[1:]) == {"opacity"}
            assert all(0 <= group.x_min < group.x_max <= 80 for group in groups[1:])
            assert all(0 <= group.y_min < group.y_max <= 60 for group in groups[1:])
    assert capsys.readouterr().out.strip().endswith("submission.csv: 16 rows")


def test_it_learns_what_a_thumbnail_shows(competition, tmp_path):
    table = run(competition, tmp_path / "submission.csv").set_index("id")["PredictionString"]
    for number in range(20, 28):
        groups = parse_prediction_string(table[f"si{number}_study"])
        assert max(groups, key=lambda group: group.score).label == STUDY_CLASSES[number % 4]
    none = {number: parse_prediction_string(table[f"i{number}_image"])[0].score for number in range(20, 28)}
    assert min(none[n] for n in (20, 24)) > max(score for n, score in none.items() if n % 4)
    best = max(parse_prediction_string(table["i21_image"])[1:], key=lambda group: group.score)
    assert (best.x_min, best.y_min, best.x_max, best.y_max) == pytest.approx((10, 15, 30, 40), abs=2.5)


def test_unreadable_files_count_with_mean_scores_and_are_told(competition, tmp_path, capsys):
    (competition / "test" / "si20" / "e" / "i20.dcm").write_bytes(b"no picture")
    (competition / "train" / "si00" / "e" / "i00.dcm").write_bytes(b"no picture")
    table = run(competition, tmp_path / "submission.csv").set_index("id")["PredictionString"]
    # 19 training studies are left: 4 negative, 5 of each other class; 4 without a box
    study, image = (parse_prediction_string(table[name]) for name in ("si20_study", "i20_image"))
    assert [round(group.score, 3) for group in study] == [0.211, 0.263, 0.263, 0.263]
    assert [(group.label, round(group.score, 3)) for group in image] == [("none", 0.211)]
    assert "2 files cannot be read and count with mean scores, the first: " in capsys.readouterr().out


def test_nothing_readable_is_a_fault(competition, tmp_path):
    for path in competition.glob("train/*/*/*.dcm"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataFault, match="none of 20 images can be read; the first: "):
        run(competition, tmp_path / "submission.csv")


def test_extract_sees_size_and_photometric(competition):
    (found,) = extract_all([competition / "train" / "si01" / "e" / "i01.dcm"], 0)
    assert found.thumbnail.shape == (256,) and 0 <= found.thumbnail.min() <= found.thumbnail.max() <= 1
    assert (found.header["height"], found.header["width"], found.header["photometric"]) == (60, 80, "MONOCHROME2")


def test_bright_blobs_are_found_in_their_zone():
    pixels = np.full((96, 96), 60, np.uint8)
    pixels[30:54, 15:33] = 200
    boxes = bright_blobs(pixels)
    assert boxes.shape == (4, 4) and ((boxes >= 0) & (boxes <= 1)).all()
    assert boxes[1] * 96 == pytest.approx([15, 30, 33, 54], abs=5)  # zone of the left half, upper threshold
    assert (boxes[2:, 0] > 0.5).all()
    assert bright_blobs(np.zeros((96, 96), np.uint8)).shape == (4, 4)  # a black picture has boxes, too


def test_typical_boxes_are_means_and_clusters():
    left, right = [0.1, 0.2, 0.4, 0.6], [0.6, 0.2, 0.9, 0.8]
    boxes = typical_boxes([np.array([left, right]), np.array([left]), np.empty((0, 4))])
    assert boxes[0] == pytest.approx(left) and boxes[1] == pytest.approx(right)
    assert sorted(boxes[2:].round(6).tolist()) == [left, right]  # two distinct boxes make two clusters
    assert len(typical_boxes([np.empty((0, 4))])) == 2


def test_hits_need_more_than_half_overlap():
    true = np.array([[0, 0, 1, 1.0]])
    found = np.array([[0, 0, 1, 0.5], [0, 0, 1, 0.51], [2, 2, 3, 3]])  # IoU .5, .51, 0
    assert hits(found, true).tolist() == [False, True, False]
    assert hits(found, np.empty((0, 4))).tolist() == [False] * 3


def test_box_scores_are_frequency_times_presence():
    header = {"height": 100, "width": 200, **dict.fromkeys(baseline.NAMES, "x"), "bits_stored": 12}
    box = np.array([[0.1, 0.2, 0.4, 0.6]])
    features = [Features(np.full(256, n / 10), header, np.array([[0.7, 0.7, 0.8, 0.8]])) for n in range(10)]
    targets = np.eye(5)[np.arange(10) % 5]
    fitted = Baseline(features, targets, [box if n < 8 else np.empty((0, 4)) for n in range(10)])
    groups = fitted.boxes(features[0], none=0.25)
    # mean box and its one cluster were right on 8 of 8 boxed images, the blob never: it is left out
    assert [(group.score, group.x_min, group.y_min, group.x_max, group.y_max) for group in groups] == [
        pytest.approx((1 * 0.75, 20, 20, 80, 60))
    ] * 2
    assert fitted.prior.tolist() == [0.2] * 5
