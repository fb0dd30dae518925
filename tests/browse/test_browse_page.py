"""The page as a person uses it: buttons are pressed and sliders moved in code, and the HTML is read."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from small_run import EVIL, SIZE

from cxr.browse.page import ALL, Page, browse
from cxr.browse.studies import Studies
from cxr.evaluation.run_files import RunFiles
from cxr.figures.browse import COLORS, Layer, class_bars, fact_table, radiograph_svg
from cxr.figures.pictures import TRUE

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "explore" / "browse.ipynb"


@pytest.fixture
def page(full):
    return Page(Studies(RunFiles(full)))


def strokes(page, color):
    """Boxes of a colour that are drawn now."""
    return page.pictures.value.count(f'stroke="{color}"')


def test_pages_turn_and_stop_at_the_ends(page):
    assert page.study == "s0" and page.previous.disabled and not page.next.disabled
    seen = [page.study]
    for _ in range(7):
        page.next.click()
        seen.append(page.study)
    assert seen == ["s0", "s1", "s2", "s3", "s4", "s5", "s5", "s5"] and page.next.disabled
    page.previous.click()
    assert page.study == "s4" and "<b>atypical</b>, fold 1, study s4" in page.title.value
    page.place.value = 2
    assert page.study == "s1" and page.pictures.value.count("<svg") == 2, "both images side by side"
    assert "i1b, boxless copy: not judged" in page.pictures.value


def test_filters_change_the_studies_and_keep_the_one_that_is_shown(page):
    page.place.value = 3
    page.label.value = "typical"
    assert page.study == "s2" and page.count.value == "of 2 studies"
    page.fold.value = 1
    assert page.study is None and page.count.value == "no study fits these filters"
    assert "<svg" not in page.pictures.value and page.title.value == page.facts.value == ""
    assert page.previous.disabled and page.next.disabled
    page.fold.value, page.label.value, page.text.value = 0, ALL, "i1b"
    assert page.found == ["s1"]


def test_errors_follow_the_judged_model_and_its_threshold(page):
    page.model.value, page.thresholds["yolo"].value = "yolo", 0.5
    page.error.value = "missed opacity"
    assert page.found == ["s2"]
    page.thresholds["yolo"].value = 0.9
    assert page.found == ["s2", "s3"]
    page.model.value = "studies"
    assert page.error.value == ALL and len(page.found) == 6, "a classifier cannot miss an opacity"
    page.error.value = "wrong class"
    assert page.found == ["s2"]


def test_layers_are_switched_and_cut_at_their_scores(page):
    page.place.value = 4  # s3: a true box, and boxes of .8 and .6
    assert page.thresholds["yolo"].value == 0.8, "where F1 is highest"
    assert strokes(page, TRUE) == 1 and strokes(page, COLORS[0]) == 1
    page.thresholds["yolo"].value = 0.5
    assert strokes(page, COLORS[0]) == 2 and ">0.60<" in page.pictures.value
    page.shown["yolo"].value = False
    assert strokes(page, COLORS[0]) == 0 and strokes(page, TRUE) == 1
    page.truth.value = False
    assert strokes(page, TRUE) == 0


def test_a_picture_is_encoded_once_while_layers_switch(page):
    before = page.encoded.cache_info().misses
    for value in (False, True, False):
        page.truth.value = value
    assert page.encoded.cache_info().misses == before


def test_probabilities_are_bars_and_the_true_class_is_marked(page):
    page.place.value = 2
    assert "study classifier" in page.bars.value and page.bars.value.count("font-weight:bold") == 1
    true = next(part for part in page.bars.value.split("<div ") if "font-weight:bold" in part)
    assert "typical" in true and ">0.70<" in true and TRUE in true  # 1 x .6 + .1


def test_nothing_from_files_acts_as_markup(page):
    page.text.value = "onerror"
    assert page.study == "s5"
    for widget in (page.pictures, page.facts, page.title, page.bars):
        assert EVIL not in widget.value and "<img" not in widget.value
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.pictures.value
    assert page.facts.value.count("&lt;img") == 2, "the image's id and its body part"
    layer = Layer(EVIL, '"><script>', np.array([[0, 0, 9, 9]]), [0.5])
    assert "<script" not in radiograph_svg(None, (10, 10), [layer]) + class_bars({EVIL: {EVIL: 1}}, EVIL)
    assert "<img" not in fact_table({EVIL: {EVIL: EVIL}}) + class_bars({EVIL: {EVIL: 1}}, EVIL)


def test_before_training_the_page_shows_the_truth_and_says_so(bare):
    view = browse(bare)
    page = Page(Studies(RunFiles(bare)))
    assert "No predictions yet" in view.children[0].value and page.error.disabled and page.model.disabled
    page.place.value = 2
    assert strokes(page, TRUE) == 1 and page.bars.value.count("<i>") == 0 and "patient id" in page.facts.value


def test_without_the_cache_boxes_are_drawn_on_a_plate(bare):
    bare.places.cache(SIZE).unlink()
    page = Page(Studies(RunFiles(bare)))
    page.place.value = 2
    assert "no picture in the cache" in page.pictures.value and strokes(page, TRUE) == 1
    assert "No pictures: the cache is not there" in page.view.children[0].value


def test_boxes_are_scaled_from_the_original_to_the_screen():
    layer = Layer("truth", TRUE, np.array([[10.0, 20, 60, 90]]))
    svg = radiograph_svg(None, (100, 200), [layer], width=400)  # height 100 of 200 wide: 200 of 400
    assert 'width="400" height="200"' in svg and '<rect x="20.0" y="40.0" width="100.0" height="140.0"' in svg
    tall = radiograph_svg(None, (1000, 100), [layer], width=400)
    assert 'height="800"' in tall, "no taller than twice its width"


def test_the_notebook_is_thin_and_has_the_parameters():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    names = [line.split(" = ")[0] for line in code[0].source.splitlines()]
    assert names == ["profile", "overrides", "input_dir", "working_dir", "submissions_dir"]
    assert "parameters" in code[0].metadata["tags"] and "def " not in "".join(cell.source for cell in code)


def pointed_at(run):
    """The notebook with its working folder filled in."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source = parameters.source.replace('working_dir = ""', f"working_dir = {str(run.places.working)!r}")
    return notebook


def test_the_cells_of_the_notebook_run(full):
    names = {}
    for cell in pointed_at(full).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)  # noqa: S102  our own notebook, without the seconds that a kernel takes
    assert names["run"].places.root == full.places.root


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel_without_a_browser(full):
    notebook = pointed_at(full)
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    shown = notebook.cells[-2].outputs
    assert [output.output_type for output in shown] == ["execute_result"], shown
    assert "application/vnd.jupyter.widget-view+json" in shown[0].data
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    assert any("study s0" in str(state["state"].get("value")) for state in states), "the first study is on the page"
