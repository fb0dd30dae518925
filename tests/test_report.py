"""The report: true numbers, absent and broken files in words, nothing from files that acts as markup."""

import base64
import json
import re
from html.parser import HTMLParser
from io import BytesIO

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.evaluation.out_of_fold import opacity_ap, study_scores
from cxr.evaluation.run_files import RunFiles, title_of
from cxr.figures.charts import training_curves
from cxr.figures.pictures import plain
from cxr.figures.report import View, precision_recall, radiograph, stage_times
from cxr.labels import CLASSES, STUDY_CLASSES
from cxr.report import write_report
from cxr.report.examples import lung_mask
from cxr.report.out_of_fold import class_panels
from cxr.report.page import Number, estimate, number, table
from cxr.report.write import PARTS, replace_text
from cxr.tables import BOX_COLUMNS
from cxr.workspace import open_workspace, write_json

SIZE, IMAGES, EVIL = 32, 24, "<script>alert('x')</script>$\\frac{$"


def workspace_in(root):
    return open_workspace(
        "demo", f"images.cache_size={SIZE}", str(root / "input"), str(root), str(root / "submissions")
    )


def boxes_of(rng, ids, count):
    corners = rng.uniform(0, 60, (len(ids) * count, 2))
    table = pd.DataFrame(np.hstack([corners, corners + rng.uniform(20, 60, corners.shape)]), columns=BOX_COLUMNS)
    table.insert(0, "image_id", np.repeat(np.array(ids), count))
    table.insert(1, "label", "opacity")
    table.insert(2, "score", rng.uniform(0.01, 1, len(table)))
    return table


def write_csv(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def training_tables(places, rng):
    """Images (the first with a hostile id), folds, true boxes, cache."""
    ids = [EVIL, *(f"image{k:02d}" for k in range(1, IMAGES))]
    classes = np.eye(4, dtype=int)[np.arange(IMAGES) % 4]
    images = pd.DataFrame({"image_id": ids, "study_id": [f"s{k}" for k in range(IMAGES)], "patient_id": ids})
    images = images.assign(source="siim", path="x.png", height=120, width=150, role="train", fold=np.arange(IMAGES) % 2)
    images[list(STUDY_CLASSES)] = classes
    images["has_box"] = 1 - classes[:, 0]
    write_csv(images.drop(columns="fold"), places.images_table)
    write_csv(images[["image_id", "study_id", "patient_id", "fold"]].assign(group="g"), places.folds_table)
    truth = boxes_of(rng, images.loc[images["has_box"] == 1, "image_id"], 1).assign(score=1.0)
    write_csv(truth, places.boxes_table)
    places.cache(SIZE).parent.mkdir(parents=True)
    np.save(places.cache(SIZE), rng.integers(0, 255, (IMAGES, SIZE, SIZE), dtype=np.uint8))
    return images, truth


def predictions(places, rng, images, truth):
    """Three tables of boxes of different worth and one of study scores."""
    near = truth.copy()
    near[BOX_COLUMNS] += rng.normal(0, 4, (len(near), 4))
    near["score"] = rng.uniform(0.3, 1, len(near))
    for name in ("yolo", "faster_rcnn", "fused", "yolo_without_pretraining"):
        noise = boxes_of(rng, images["image_id"], 2).assign(score=lambda t: t["score"] * 0.6)
        write_csv(pd.concat([near, noise]), places.predictions(name) / "out_of_fold.csv")
    scores = images[list(STUDY_CLASSES)] * 0.3 + rng.uniform(0, 0.6, (IMAGES, 4))
    scores.insert(0, "image_id", images["image_id"])
    write_csv(scores, places.predictions("studies") / "out_of_fold_images.csv")
    fused = scores.drop(columns="image_id").assign(study_id=images["study_id"])
    write_csv(fused, places.fused / "studies.csv")
    none = pd.DataFrame({"image_id": images["image_id"], "none": rng.uniform(0, 1, IMAGES)})
    write_csv(none, places.fused / "none.csv")


def trainings(places):
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "train_box": [3.0, 2, 1], "val_box": [3.0, np.nan, 2], "lr": [1e-3] * 3})
    for fold in (0, 1):
        folder = places.model("yolo", fold)
        write_csv(epochs, folder / "metrics.csv")
        record = {"epochs": 3, "seconds": 5.0, "clock_bound": fold == 1, "weights": "/home/a/secret/w.pt"}
        more = {"commit": "abc123", "packages": {"torch": "2.10"}, "training_sources": ["SIIM", "NIH"]}
        write_json({**record, **more}, folder / "run.json")
    write_json({"reason": "no RSNA in the input"}, places.pretrained("rsna_yolo") / "absent.json")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A run with every file that the report knows; phantom."""
    workspace, rng = workspace_in(tmp_path_factory.mktemp("full")), np.random.default_rng(5)
    places = workspace.places
    found = {"data": "phantom", "competition": "/data/x", "solution": "s.csv", "train_images": 24, "test_images": 7}
    write_json({**found, "findings": [f"odd {EVIL}"]}, places.inputs)
    images, truth = training_tables(places, rng)
    predictions(places, rng, images, truth)
    trainings(places)
    scores = {key: 0.5 for key in (*CLASSES, "mAP")} | {"mAP": 0.568, "mAP_low": 0.527, "mAP_high": 0.634}
    run = {**scores, "atypical": None, "difference": 0.21, "difference_low": -0.01, "difference_high": 0.4}
    write_json({"data": "phantom", "run": run, "baseline": scores}, places.score)
    gain = {"gain": 0.031, "low": -0.002, "high": 0.06}
    step = {
        "step": "box fusion",
        "metric": "opacity",
        "before": 0.4,
        "after": 0.431,
        "chosen": {"wbf_iou": 0.6},
        **gain,
    }
    other = {"against": "yolo", "metric": "opacity", "other": 0.4, "own": None, "gain": None, "low": None, "high": None}
    blend = {
        "steps": [step, {**step, "step": EVIL}],
        "comparisons": [other],
        "constants": {"wbf_skip": 0.0001},
        "members": [],
        "notes": [EVIL],
    }
    write_json(blend, places.blend)
    write_json(
        {"rows": [{"model": "yolo", "metric": "opacity", "with": 0.5, "without": 0.469, **gain}]}, places.ablations
    )
    for stage, seconds in (("00_inputs", 3.2), ("07_train_yolo", 301.0), ("12_report", 99.0)):
        write_json({"stage": stage, "seconds": seconds, "peak_memory_gb": 1.25}, places.runs / f"{stage}.json")
    write_csv(pd.DataFrame({"path": [EVIL] * 40, "reason": "half & half"}), places.failures_table)
    return workspace, images, truth, write_report(workspace).read_text(encoding="utf-8")


class Structure(HTMLParser):
    """Collects tags; raises on an element that is closed out of turn."""

    EMPTY = ("meta", "img", "br")

    def __init__(self, page):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def values(self, tag, name):
        return [attributes[name] for seen, attributes in self.seen if seen == tag and name in attributes]


def test_the_page_is_well_formed_and_needs_nothing_from_outside(full):
    page = full[3]
    tree = Structure(page)
    assert not tree.open and not tree.values("script", "src") and "script" not in {tag for tag, _ in tree.seen}
    assert {link.lstrip("#") for link in tree.values("a", "href")} == set(tree.values("section", "id"))
    assert len(tree.values("section", "id")) == len(PARTS) and not re.search(r"https?://|url\(|@import", page)
    for source in tree.values("img", "src"):
        Image.open(BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))).verify()
    assert all(tree.values("img", "alt")) and len(tree.values("img", "alt")) == len(tree.values("img", "src")) > 20


def test_text_of_files_never_becomes_markup(full):
    page = full[3]
    assert "<script" not in page and "&lt;script&gt;" in page and "half &amp; half" in page
    assert "/home/a/secret" not in page and "w.pt" in page and str(full[0].places.root) not in page


def test_a_phantom_score_is_called_one_before_anything_else(full):
    head = full[3].split("<nav")[0]
    assert head.index("PHANTOM data") < head.index("Phantom score: mAP .568 (.527-.634)")
    assert "+.210 (-.010 to +.400)" in head and "Trainings cut short by the clock: 1." in head


def test_scores_are_those_of_the_evaluation(full):
    workspace, images, truth, page = full
    for name in ("yolo", "fused"):
        boxes = pd.read_csv(workspace.places.predictions(name) / "out_of_fold.csv")
        for part in (images, images[images["has_box"] == 1]):
            each = [opacity_ap(group, truth, boxes) for _, group in part.groupby("fold")]
            assert f">{number(np.nanmean(each))} (" in page, "the mean over folds"
    scores = pd.read_csv(workspace.places.predictions("studies") / "out_of_fold_images.csv")
    folds = [group for _, group in images.groupby("fold")]
    each = [study_scores(group, scores[scores["image_id"].isin(group["image_id"])])["AP"] for group in folds]
    for value in pd.concat(each, axis=1).mean(axis=1).drop("mean"):
        assert any(f"<td class=n>{number(value + shift)} (" in page for shift in (-0.0005, 0, 0.0005)), "rounded before"


def test_steps_trainings_times_and_failures_are_told(full):
    page = full[3]
    for words in (
        "+.031 (-.002 to +.060)",
        "wbf_iou .600",
        "0.0001",
        "Left out: pretraining on RSNA, YOLO: no RSNA in the input.",
    ):
        assert words in page
    for words in ("fold 1</td>", "SIIM, NIH", "abc123", "301.0", "10 more stand in failures.csv", "absent</td>"):
        assert words in page
    assert "12_report" not in page, "the report's own record is that of an earlier run"


def test_models_without_pretraining_stay_out_of_curves_and_pictures(full):
    page = full[3]
    assert page.count("YOLO without pretraining") == 1, "a row of the table of detectors"
    assert [panel.title for panel in class_panels(RunFiles(full[0]))] == list(CLASSES)


def test_an_empty_run_gives_a_page_that_says_what_is_absent(tmp_path):
    page = write_report(workspace_in(tmp_path)).read_text()
    for words in (
        "not known which data",
        "No score",
        "Stage 10 has not run",
        "Not measured",
        "No detector",
        "No stage",
    ):
        assert words in page or words == "No detector"
    assert page.count("class=absent") >= len(PARTS) - 1 and "<img" not in page and not Structure(page).open


def test_a_broken_file_is_named_and_the_rest_stands(full, tmp_path):
    workspace = workspace_in(tmp_path)
    training_tables(workspace.places, np.random.default_rng(0))
    workspace.places.blend.write_text("{")
    write_csv(pd.DataFrame({"a": [1]}), workspace.places.predictions("studies") / "out_of_fold_images.csv")
    page = write_report(workspace).read_text()
    assert "blend.json: not readable as JSON" in page and "lacks image_id" in page and str(tmp_path) not in page
    assert "Not measured in this run" in page


def test_competition_data_is_not_called_phantom(tmp_path):
    workspace = workspace_in(tmp_path)
    write_json({"data": "competition", "solution": ""}, workspace.places.inputs)
    page = write_report(workspace).read_text()
    assert "real radiographs" in page and "hantom" not in page and "the truth of the test set was not given" in page


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = replace_text("old", tmp_path / "report.html")

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr("cxr.report.write.os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        replace_text("new", path)
    assert path.read_text() == "old" and [each.name for each in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("value", "words"), [(0.5678, ".568"), (-0.012, "-.012"), (1.0, "1.000"), (0.9999, "1.000"), (-1e-5, "0.000")]
)
def test_numbers_have_three_decimals(value, words):
    assert number(value) == words.replace("0.000", ".000")


def test_numbers_without_a_value_are_a_dash():
    assert number(None) == number(float("nan")) == "–" and estimate(0.5, None, None) == ".500"
    assert estimate(0.568, 0.527, 0.634) == ".568 (.527-.634)"


def test_a_column_of_numbers_is_set_to_the_right():
    page = table(["name", "AP"], [["a", Number(".5")], ["b", None]])
    assert page.count("class=n") == 3 and "<td class=n>–</td>" in page


def test_names_of_models_are_those_that_people_use():
    assert title_of("pretrain_rsna_faster_rcnn") == "pretraining on RSNA, Faster R-CNN"
    assert title_of("studies_without_pretraining") == "study classifier without pretraining"


def test_boxes_lie_where_they_are_in_the_original_picture():
    view = View(np.zeros((SIZE, SIZE), np.uint8), (100.0, 200.0), np.array([[50.0, 20, 150, 80]]), np.empty((0, 4)), [])
    drawn = np.asarray(Image.open(BytesIO(radiograph(view)._repr_png_())).convert("RGB")).astype(int)
    green = (drawn[..., 1] - drawn[..., 0]) > 60
    rows, columns = np.flatnonzero(green.any(1)), np.flatnonzero(green.any(0))
    height, width = green.shape
    assert np.allclose([rows[0] / height, rows[-1] / height], [0.2, 0.8], atol=0.02)
    assert np.allclose([columns[0] / width, columns[-1] / width], [0.25, 0.75], atol=0.02)


def test_a_radiograph_stands_upright_in_its_true_proportions():
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[: SIZE // 2] = 200
    view = View(pixels, (100.0, 200.0), np.empty((0, 4)), np.empty((0, 4)), [])
    drawn = np.asarray(Image.open(BytesIO(radiograph(view)._repr_png_())).convert("L"))
    assert drawn.shape[1] == pytest.approx(2 * drawn.shape[0], abs=2)
    assert drawn[: len(drawn) // 3].min() == 200 and drawn[2 * len(drawn) // 3 :].max() == 0


def test_the_outline_of_the_lungs_is_drawn_where_they_are():
    lungs = np.zeros((SIZE, SIZE), bool)
    lungs[:8, :16] = True
    view = View(np.zeros((SIZE, SIZE), np.uint8), (100.0, 100.0), np.empty((0, 4)), np.empty((0, 4)), [], lungs)
    drawn = np.asarray(Image.open(BytesIO(radiograph(view)._repr_png_())).convert("RGB")).astype(int)
    blue = (drawn[..., 2] - drawn[..., 0]) > 60
    assert blue.any() and np.flatnonzero(blue.any(1)).max() < 0.3 * len(drawn), "the outline ends in the upper quarter"


def test_a_mask_is_read_by_the_name_of_its_image_alone(tmp_path):
    files = RunFiles(workspace_in(tmp_path))
    files.places.lungs.mkdir(parents=True)
    for path in (files.places.lungs / "a.png", files.places.root / "b.png"):
        cv2.imwrite(str(path), np.full((4, 4), 255, np.uint8))
    assert lung_mask(files, "a").all() and lung_mask(files, "../b") is None and lung_mask(files, "c") is None


def test_the_area_below_each_curve_is_its_average_precision(full):
    for panel in class_panels(RunFiles(full[0])):
        for name, (recall, precision) in panel.lines.items():
            area = np.diff(np.append(0, recall)) @ precision
            assert number(area) == name.split("AP ")[1]


def test_figures_hold_what_was_measured(full):
    files = RunFiles(full[0])
    assert len(precision_recall(class_panels(files)).axes) == len(CLASSES)
    folds = training_curves(files.run_folders("metrics.csv")["yolo"])
    assert [axes.get_title() for axes in folds.axes] == ["box", "learning rate"] and len(folds.axes[0].lines) == 4
    held_out = next(line for line in folds.axes[0].lines if line.get_linestyle() == "--")
    assert list(held_out.get_xdata()) == [1, 3], "an epoch without validation has no point"
    bars = stage_times(files.stages).axes[0].patches
    assert [round(bar.get_x() * 60, 1) for bar in bars] == [0, 3.2] and "12_report" not in json.dumps(files.stages)
    assert precision_recall([]) is None and stage_times([]) is None


def test_names_in_figures_are_never_read_as_formulas():
    assert plain("_a$x$\\b") == r"a\$x\$/b" and len(plain("x" * 99)) == 40
