"""The report: true numbers, absent and broken files in words, nothing from files that acts as markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from io import BytesIO

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.evaluation.calibration import calibration_summary
from cxr.evaluation.out_of_fold import opacity_ap, study_scores
from cxr.evaluation.run_files import RunFiles, title_of
from cxr.evaluation.thresholds import read_thresholds
from cxr.figures.charts import training_curves
from cxr.figures.pictures import plain
from cxr.figures.report import View, precision_recall, radiograph
from cxr.labels import CLASSES
from cxr.report import write_report
from cxr.report.classes import fused_table, keep_thresholds
from cxr.report.curves import class_panels, roc_panels
from cxr.report.examples import lung_mask
from cxr.report.manifest import LISTED, folder_rows, input_digest
from cxr.report.out_of_fold import confusion
from cxr.report.page import Number, estimate, number, table
from cxr.report.write import PARTS, replace_text
from cxr.workspace import write_json
from made_run import SIZE, TAG, make_run, plant, training_tables, workspace_in, write_csv


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Workspace, images, true boxes, and the page."""
    made = make_run(tmp_path_factory.mktemp("full"))
    plant(made[0].places)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxr.report.cases.EACH", 1)  # of each kind of case one: drawing takes most of the time
        return *made, write_report(made[0]).read_text(encoding="utf-8")


TAGS = (
    "html head meta title style body header main footer nav section h1 h2 h3 p ul ol li a b i span div details summary "
    "table thead tbody tr th td figure figcaption img"
)


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
        Image.open(BytesIO(base64.b64decode(source.split(";base64,")[1]))).verify()
    assert all(tree.values("img", "alt")) and len(tree.values("img", "alt")) == len(tree.values("img", "src")) > 20


def test_text_of_files_never_becomes_markup(full):
    page = full[3]
    assert "<script" not in page and "&lt;script&gt;" in page and "half &amp; half" in page
    assert TAG not in page and {tag for tag, _ in Structure(page).seen} <= {*TAGS.split(" ")}
    assert not any(name.startswith("on") for _, attributes in Structure(page).seen for name in attributes)
    # folders of predictions and models, overrides, a member's name, a step's name, a commit, a package, a file
    assert page.count("&lt;img src=x onerror=") > 20
    assert "/home/a/secret" not in page and "w.pt" in page and str(full[0].places.root) not in page


def test_a_phantom_score_is_called_one_before_anything_else(full):
    head = full[3].split("<nav")[0]
    assert head.index("PHANTOM data") < head.index("Phantom score: mAP .568 (.527-.634)")
    assert "+.210 (-.010 to +.400)" in head and "Trainings cut short by the clock: 2." in head


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
    assert "12_report" not in page.split("The run&#x27;s manifest</h2>")[0].split("<main>")[1], "of an earlier run"


def test_fallbacks_and_calibration_of_the_blend_are_told(full):
    part = section(full[3], "blend")
    assert "<td>published</td><td>9 patients with it, 20 are needed</td>" in part
    assert "<td class=n>9</td><td class=n>.200</td><td class=n>.100</td><td>yes</td>" in part


def section(page, anchor):
    """One section, without the bytes of its pictures."""
    found = re.search(f"<section id={anchor}>.*?</section>", page, re.DOTALL).group()
    return re.sub(r"base64,[^\"]*", "", found)


def test_each_class_has_its_threshold_and_boxed_images_their_own_figure(full):
    files = RunFiles(full[0])
    found, part = fused_table(files), section(full[3], "classes")
    row = found.loc["opacity"]
    for words in (
        estimate(row["AP_boxed"], row["boxed_low"], row["boxed_high"]),
        number(row["F1"]),
        number(row["threshold"]),
    ):
        assert f">{words}<" in part
    assert row["AP_boxed"] >= row["AP"] and part.count("<tr>") == len(CLASSES) + 2, "a head, six classes, mAP"


def test_thresholds_are_kept_for_those_who_score(full):
    kept = read_thresholds(keep_thresholds(full[0]))
    assert list(kept.index) == list(CLASSES) and kept["opacity"] == pytest.approx(
        fused_table(RunFiles(full[0])).loc["opacity", "threshold"]
    )


def test_the_area_below_each_roc_curve_is_its_auc(full):
    panels = roc_panels(RunFiles(full[0]))
    assert [panel.title for panel in panels] == [name for name in CLASSES if name != "opacity"]
    for panel in panels:
        for name, (alarms, sensitivity) in panel.lines.items():
            assert (alarms[0], sensitivity[0], alarms[-1], sensitivity[-1]) == (0, 0, 1, 1)
            steps = np.diff(alarms) @ (sensitivity[1:] + sensitivity[:-1]) / 2
            assert number(steps) == name.split("AUC ")[1]


def test_a_class_that_nobody_has_gets_no_roc_curve(full):
    files = RunFiles(full[0])
    files.ground.empty[:] = False
    assert "none" not in [panel.title for panel in roc_panels(files)]


def test_calibration_is_that_of_the_evaluation(full):
    files, part = RunFiles(full[0]), section(full[3], "calibration")
    summary = calibration_summary(files.fused_matches())
    for label in CLASSES:
        row = summary.loc[label]
        cells = (f"<td class=n>{number(row[name])}</td>" for name in ("ECE", "Brier", "Brier_constant"))
        assert f"<th scope=row>{label}</th><td class=n>{int(row['scores'])}</td>" in part and "".join(cells) in part


def test_the_fused_system_has_a_confusion_matrix_whose_rows_are_the_true_classes(full):
    files = RunFiles(full[0])
    counts = confusion(files.ground, files.study_scores["fused"])
    assert list(counts.sum(axis=1)) == [6, 6, 6, 6], "24 studies, the classes in turn"
    assert section(full[3], "studies").count("Confusion matrix") == 2


def test_shortcuts_and_groups_are_told_in_words_and_rows(full):
    part = section(full[3], "shortcuts")
    assert "1 of 1 tests found a shortcut" in part and "by the border &lt;script" in part
    assert ".910 (.800-.970)" in part and "all images come from one source" in part and part.count("<img") == 1
    part = section(full[3], "subgroups")
    assert "1 of 2 comparisons differ" in part and "body_part: &lt;script" in part
    assert "-.123 (-.200 to -.050)" in part and "not scored: under 10 patients" in part and part.count("<img") == 1


def test_the_manifest_names_what_identifies_the_run(full):
    part, places = section(full[3], "manifest"), full[0].places
    for path in (places.folds_table, places.blend):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in part
    assert "submission.csv</th><td class=n>absent" in part and input_digest(RunFiles(full[0])) in part
    assert "models/yolo/fold_0/metrics.csv" in part


def test_the_input_is_the_same_in_whatever_order_and_place(full, tmp_path):
    files, other = RunFiles(full[0]), make_run(tmp_path)[0].places
    digest = input_digest(files)
    for path in (other.images_table, other.boxes_table):
        write_csv(pd.read_csv(path)[::-1], path)
    assert input_digest(RunFiles(workspace_in(tmp_path))) == digest
    write_csv(pd.read_csv(other.images_table).assign(atypical=0), other.images_table)
    assert input_digest(RunFiles(workspace_in(tmp_path))) != digest, "another label is another input"


def test_a_folder_of_many_files_is_one_line(tmp_path):
    for name in ("a.txt", *(f"many/{k}.png" for k in range(LISTED + 1)), "few/1.png", "few/2.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(10_000))
    rows = [[name, int(count), float(size)] for name, count, size in folder_rows(tmp_path)]
    assert rows == [["a.txt", 1, 10], ["few/1.png", 1, 10], ["few/2.png", 1, 10], ["many", LISTED + 1, 170]]


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
    assert "12_report" not in json.dumps(files.stages), "of an earlier run"
    assert precision_recall([]) is None


def test_names_in_figures_are_never_read_as_formulas():
    assert plain("_a$x$\\b") == r"a\$x\$/b" and len(plain("x" * 99)) == 40
