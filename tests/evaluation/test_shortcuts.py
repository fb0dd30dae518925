"""The audit finds a planted marker and a planted source, and nothing where nothing was planted."""

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.evaluation.clues import CELLS, border_cells, find_clues, look_at
from cxr.evaluation.shortcuts import COLUMNS, TARGETS, deal_folds, find_shortcuts, predict_out_of_fold, swap_labels
from cxr.figures.audit import shortcut_dots
from cxr.labels import STUDY_CLASSES
from cxr.phantom.pictures import draw_picture
from cxr.phantom.plan import plan_siim
from cxr.phantom.shortcuts import burn_marker

SIZE = 128


def images_table(count, classes, **columns):
    """Patients with two images each, of one class."""
    table = pd.DataFrame({"image_id": [f"i{k}" for k in range(count)]})
    table["patient_id"] = [f"p{k // 2}" for k in range(count)]
    plain = {"source": "siim", "height": 2000, "width": 2500, "bits_stored": 12, "photometric": "MONOCHROME2"}
    header = {"modality": "CR", "body_part": "CHEST", "transfer_syntax": "1.2.840.10008.1.2.1", "has_window": 0}
    table = table.assign(**plain, **header, has_voi_lut=0, has_rescale=0, sex="F", age=None)
    for number, name in enumerate(STUDY_CLASSES):
        table[name] = (classes == number).astype(int)
    return table.assign(has_box=(classes > 0).astype(int), **columns)


def random_run(count=120, seed=0, **columns):
    """Images whose classes have nothing to do with anything, and noise for pictures."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(rng.integers(0, 4, count // 2), 2)
    return images_table(count, classes, **columns), rng.integers(0, 200, (count, 64, 64), dtype=np.uint8)


def found(table):
    return set(map(tuple, table.loc[table["found"], ["target", "clue"]].to_numpy()))


def row_of(table, target, clue):
    return table[(table["target"] == target) & (table["clue"] == clue)].iloc[0]


@pytest.fixture(scope="module")
def phantom():
    """Training images of a small phantom: table, honest pictures, the same with the marker where the plan has it."""
    plan = plan_siim(60, seed=0, shortcut="marker")
    plan = plan[plan["part"] == "train"].reset_index(drop=True)
    honest, marked = [], []
    for row in plan.to_dict("records"):
        keys = tuple(row[f"{name}_key"] for name in ("patient", "disease", "pose", "view"))
        pixels = draw_picture(0, "siim", keys, row["study_class"], row["disease_boxes"], size=(SIZE, SIZE)).pixels
        for pictures, shown in ((honest, pixels), (marked, burn_marker(pixels) if row["has_marker"] else pixels)):
            pictures.append((np.clip(shown, 0, 1) * 255).astype(np.uint8))
    table = images_table(len(plan), plan["study_class"].map(list(STUDY_CLASSES).index).to_numpy())
    table["patient_id"], table["has_box"] = plan["patient_id"], (plan["box_count"] > 0).astype(int)
    stored = ["photometric", "bits_stored", "modality", "body_part"]
    table[stored] = plan[stored].replace("", None)
    return table, np.array(honest), np.array(marked), plan


def test_a_planted_marker_is_found_in_the_border(phantom):
    images, _, marked, plan = phantom
    table = find_shortcuts(images, marked)
    assert ("typical", "border marks") in found(table)
    row = row_of(table, "typical", "border marks")
    assert row["AUC"] > 0.75 and row["low"] > 0.6
    assert "typical can be told without the lungs by small bright things" in row["meaning"]
    # no more than the marker itself tells: 90 % of one class and 10 % of the others
    carried = plan.groupby(plan["study_class"] == "typical")["has_marker"].mean()
    assert (carried[True], carried[False]) == (pytest.approx(0.9, abs=0.08), pytest.approx(0.1, abs=0.08))
    assert row["AUC"] < (carried[True] + 1 - carried[False]) / 2 + 0.08


def test_without_the_marker_nothing_is_found_in_the_phantoms_border(phantom):
    images, honest, _, _ = phantom
    table = find_shortcuts(images, honest)
    assert {clue for _, clue in found(table)} <= {"intensity"}  # disease itself may move the mean
    assert row_of(table, "typical", "border marks")["AUC"] < 0.7


def test_the_table_has_a_row_a_target_and_clue():
    images, pixels = random_run()
    table = find_shortcuts(images, pixels, resamples=50)
    assert tuple(table.columns) == COLUMNS and list(table["target"].unique()) == [*TARGETS, "source"]
    assert not found(table)
    tested = table[table["AUC"].notna()]
    assert set(tested["clue"]) == {"border", "border marks", "intensity", "all"}
    assert ((tested["low"] <= tested["AUC"]) & (tested["AUC"] <= tested["high"])).all()
    assert tested["meaning"].str.contains("no more than chance gives in 20 tests").all()  # 5 targets x 4 clues
    assert row_of(table, "typical", "size")["meaning"] == "not tested: it is the same in all images"
    assert row_of(table, "source", "all")["meaning"] == "not tested: all images come from one source (siim)"
    assert (table["images"] == 120).all() and row_of(table, "typical", "all")["positives"] == images["typical"].sum()


@pytest.mark.parametrize(
    ("clue", "column", "values"),
    [
        ("size", "height", (2000, 2001)),
        ("bit depth", "bits_stored", (12, 15)),
        ("photometric", "photometric", ("MONOCHROME2", "MONOCHROME1")),
        ("header", "sex", ("F", None)),
    ],
)
def test_each_clue_that_tells_the_class_is_found(clue, column, values):
    images, _ = random_run()
    images[column] = np.where(images["atypical"] == 1, *reversed(values))
    table = find_shortcuts(images, None, resamples=50)
    assert {("atypical", clue), ("atypical", "all")} <= found(table)
    assert row_of(table, "atypical", clue)["AUC"] == 1.0
    assert {name for _, name in found(table)} == {clue, "all"}


def test_what_is_sure_but_weak_is_not_found():
    images, _ = random_run(2000)
    rng = np.random.default_rng(0)
    wide = rng.random(2000) < np.where(images["typical"] == 1, 0.52, 0.38)  # AUC (1 + .52 - .38) / 2 = .57
    row = row_of(find_shortcuts(images.assign(bits_stored=12 + wide), None, resamples=20), "typical", "bit depth")
    assert 0.5 < row["low"] < row["AUC"] < 0.6 and not row["found"]
    assert row["meaning"] == "the number of bits stored: more than chance, but under 0.60, too little to matter"


def test_sizes_in_the_middle_are_found_too():
    images, _ = random_run()
    rng = np.random.default_rng(0)
    middle = np.where(rng.random(len(images)) < 0.5, 1000, 3000)  # others are larger or smaller, never between
    images["height"] = np.where(images["typical"] == 1, 2000, middle) + rng.integers(0, 50, len(images))
    assert row_of(find_shortcuts(images, None, resamples=50), "typical", "size")["AUC"] > 0.9


def test_sources_are_told_apart_and_tell_the_class():
    images, pixels = random_run()
    images["source"] = np.where(images["negative"] == 1, "a", "b")
    pixels[images["source"] == "a", :6, :6] = 255
    table = find_shortcuts(images, pixels, resamples=50)
    assert {("source: a", "border"), ("negative", "source")} <= found(table)
    assert "source" not in set(table.loc[table["target"] == "source: a", "clue"])  # not told by itself
    three = images.assign(source=np.where(images["typical"] == 1, "c", images["source"]))
    targets = find_shortcuts(three, None, resamples=20)["target"]
    assert set(targets) - set(TARGETS) == {"source: a", "source: b", "source: c"}


def test_what_cannot_be_looked_at_is_said():
    images, _ = random_run()
    table = find_shortcuts(images.drop(columns="bits_stored"), None, resamples=20)
    assert row_of(table, "typical", "border")["meaning"] == "not tested: the pictures' cache is not there"
    assert row_of(table, "typical", "bit depth")["meaning"] == (
        "not tested: the images table has no column 'bits_stored'"
    )
    assert row_of(table, "typical", "all")["meaning"] == "not tested: no clue is there"
    rare = images.assign(typical=(images.index < 8).astype(int), height=np.arange(120) + 1000)
    row = row_of(find_shortcuts(rare, None, resamples=20), "typical", "size")
    assert np.isnan(row["AUC"]) and row["meaning"] == (
        "not tested: 4 patients with it and 56 without, 5 of each are needed"
    )
    assert shortcut_dots(table[table["AUC"].isna()]) is None


def test_unknown_labels_are_left_out():
    images, _ = random_run(height=np.arange(120) % 7 + 1000)
    images.loc[:19, "has_box"] = np.nan
    row = row_of(find_shortcuts(images, None, resamples=20), "has_box", "size")
    assert row["images"] == 100 and row["positives"] == (images["has_box"] == 1).sum()


def test_patients_do_not_give_themselves_away():
    """Every patient has a size of their own: only who looks at the same patient twice can tell the class by it."""
    images, _ = random_run()
    images["height"] = 1000 + 10 * pd.factorize(images["patient_id"])[0]
    table = find_shortcuts(images, None, resamples=50)
    assert not found(table) and row_of(table, "typical", "size")["AUC"] < 0.65


def test_folds_keep_groups_and_classes():
    groups = np.repeat(np.arange(50), 2)
    classes = np.repeat(np.arange(50) % 2, 2)
    folds = deal_folds(groups, classes)
    assert pd.Series(folds).groupby(groups).nunique().max() == 1
    assert (pd.crosstab(folds, classes) == 10).all(axis=None)  # 25 groups of two of each class in five folds
    np.testing.assert_array_equal(folds, deal_folds(groups, classes))


def test_blocks_weigh_the_same_however_wide_they_are():
    rng = np.random.default_rng(0)
    values = (np.arange(200) % 2).astype(float)[:, None]
    folds = np.arange(200) // 2 % 5
    clue, noise = values + rng.normal(0, 0.5, (200, 1)), rng.normal(0, 100, (200, 500))
    together, alone = (predict_out_of_fold(blocks, values, folds) for blocks in ([noise, clue], [noise]))
    assert together.shape == (200, 1) and np.corrcoef(together[:, 0], values[:, 0])[0, 1] > 0.6
    assert abs(np.corrcoef(alone[:, 0], values[:, 0])[0, 1]) < 0.3


def test_labels_are_swapped_between_whole_patients():
    groups = np.array(["a", "b", "a", "b", "c", "d"])
    values = np.array([1.0, 2, 3, 4, 5, 6])  # a holds (1, 3), b (2, 4); c and d one each
    swapped = swap_labels(values, groups, 30)
    pairs = {(tuple(column[[0, 2]]), tuple(column[[1, 3]])) for column in swapped.T}
    assert pairs == {((1, 3), (2, 4)), ((2, 4), (1, 3))}
    assert {tuple(column[4:]) for column in swapped.T} == {(5, 6), (6, 5)}


def test_border_leaves_out_where_lungs_lie():
    plain = border_cells(None)
    assert plain.sum() == CELLS**2 - 24**2 and not plain[16, 16]  # 4 of 32 cells on each side
    masks = np.zeros((40, 64, 64), bool)
    masks[:, 10:60, 2:30] = True  # one lung reaches the left edge in all pictures
    masks[0, :8] = True  # in one of 40 it reaches the top: 2.5 %, below 5 %
    border = border_cells(masks)
    assert not border[5:30, 1:15].any() and border[:4].all()
    assert border[10, 26] and not border[10, 25]  # the frame is 6 cells wide where masks are known


def test_letters_are_small_bright_things():
    picture = np.full((2, 256, 256), 90, np.uint8)
    picture[:, 128:] = 200  # an edge is none
    cv2.putText(picture[1], "L", (8, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 3)
    grey, marks, moments = look_at(picture)
    assert marks[0].max() < 1 and marks[1].max() > 30
    assert np.argwhere(marks[1] > 1).max() <= 5  # 8 px a cell, the letter ends before 48
    assert grey[0, 0, 0] == 90 and grey[0, -1, 0] == 200 and moments[0, 0] == pytest.approx(145)


def test_few_lines_of_words_and_steps():
    images, _ = random_run(height=np.arange(120) + 1000, body_part=[f"b{k % 20}" for k in range(120)])
    clues, reasons = find_clues(images, None, None)
    assert clues["size"].shape == (120, 3 * 9)  # height, ratio and area with eight octiles; the width never varies
    assert clues["header"].shape == (120, 8)  # the eight commonest of 20 body parts
    assert set(reasons) == {"border", "border marks", "intensity", "bit depth", "photometric"}


def test_the_figure_has_a_panel_a_target():
    images, _ = random_run(height=np.arange(120) % 7 + 1000)
    figure = shortcut_dots(find_shortcuts(images, None, resamples=20))
    assert [axes.get_title() for axes in figure.axes] == [*TARGETS]
    assert figure._repr_png_()[:4] == b"\x89PNG"
