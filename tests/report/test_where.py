"""The part on where the models look: its figures, its pictures, and what it says where there are none."""

import re

import numpy as np
import pandas as pd
import pytest

from cxr.evaluation.run_files import RunFiles
from cxr.explain.looks import look_where
from cxr.figures.heat import heat_card, heat_maps
from cxr.figures.report import View, drawn
from cxr.report.cases import cases
from cxr.report.page import estimate
from cxr.report.where import where
from cxr.report.write import made
from cxr.training.runs import leave_absent
from looked_run import looked_run
from made_run import EVIL, IMAGES, SIZE


@pytest.fixture
def run(tmp_path):
    return looked_run(tmp_path)


def page_of(run):
    return "\n".join(made(where, RunFiles(run)))


def test_every_figure_of_the_table_is_shown(run):
    table, page = look_where(run), page_of(run)
    for row in table.itertuples():
        assert str(estimate(row.share, row.low, row.high)) in page
        assert str(estimate(row.times, row.times_low, row.times_high)) in page
    assert page.count("<table>") == 2 and page.count(">Faster R-CNN</th>") == 2
    assert "Looked at: 22 pictures" in page and f"Believed are the masks of 22 of {IMAGES} training images." in page
    assert "Not looked at" not in page and "Without any heat" not in page


def test_right_answers_come_before_wrong_ones_as_pictures_beside_their_heat(run):
    look_where(run)
    page = page_of(run)
    right, wrong = page.index("Right answers:"), page.index("Wrong answers:")
    assert right < wrong and ", in truth " in page[wrong:] and ", in truth " not in page[:wrong]
    sizes = re.findall(r"<img [^>]*width=(\d+) height=(\d+)", page)
    # 120 x 150 px, twice side by side
    assert sizes and all(int(width) / int(height) == pytest.approx(2 * 150 / 120, rel=0.02) for width, height in sizes)


def test_what_was_not_looked_at_is_told(run):
    table = look_where(run)
    table = table[table["model"] != "studies"].assign(without_heat=[3, 0, 0, 0, 0, 0])
    table.to_csv(run.places.where_table, index=False)
    page = page_of(run)
    assert "Not looked at, since its networks were not there: study classifier." in page
    assert "counted in no share: YOLO in 3 of 22 (lungs)." in page and "<td class=n>19</td>" in page


def test_without_lungs_or_models_one_line_says_so(run):
    assert "tables/where.csv is not there" in page_of(run)
    run.places.lungs_table.unlink()
    leave_absent(run.places.lungs_model, "no masks in the input")
    assert page_of(run) == "<p class=absent>Not measured: there are no lung masks (no masks in the input).</p>"


def test_without_pictures_the_figures_stay(run):
    look_where(run)
    run.places.cache(SIZE).unlink()
    page = page_of(run)
    assert page.count("<table>") == 2 and "<img" not in page and "Believed are" not in page


def test_files_are_text_and_broken_ones_are_named(run):
    table = look_where(run)
    table.assign(how=EVIL).to_csv(run.places.where_table, index=False)
    heat = np.zeros((1, SIZE, SIZE), np.uint8)
    np.savez(run.places.where_maps, image_id=np.array([EVIL]), heat=heat, found=np.array([1]), true=np.array([1]))
    page = page_of(run)
    assert "<script" not in page and page.count("&lt;script&gt;") >= 10 and page.count("<img") == 1
    run.places.where_maps.write_text("not an archive")
    page = page_of(run)
    assert "This part could not be made. cache/where.npz: not readable" in page and str(run.places.root) not in page
    pd.DataFrame({"model": ["yolo"]}).to_csv(run.places.where_table, index=False)
    assert "lacks place" in page_of(run)


def test_heat_is_red_where_it_is_and_lies_upright():
    heat = np.zeros((SIZE, SIZE), np.float32)
    heat[: SIZE // 4] = 1
    view = View(np.full((SIZE, SIZE), 100, np.uint8), (100.0, 200.0), np.empty((0, 4)), np.empty((0, 4)), [])
    card = drawn(heat_card(view, heat)).astype(int)
    red = card[..., 0] - card[..., 1]
    assert card.shape[1] == pytest.approx(2 * card.shape[0], abs=2)
    assert red[: len(red) // 5].min() > 60 and np.abs(red[len(red) // 3 :]).max() == 0
    three = drawn(heat_maps(view, {"a": heat, "b": 0 * heat})).astype(int)
    red = (three[..., 0] - three[..., 1] > 60).any(0)
    middle = slice(len(red) // 3, 2 * len(red) // 3)
    assert red[middle].any() and not red[: len(red) // 4].any() and not red[3 * len(red) // 4 :].any()


def test_cases_name_the_outline_where_there_are_masks(run):
    assert "Blue: outline of the lungs." in "".join(cases(RunFiles(run)))
