"""Every figure draws the usual case and the bare one; what it says of numbers can be read off its texts."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from cxr.data import markers_seen
from cxr.data.counts import box_statistics, coverage, patients
from cxr.data.explore import Pixels
from cxr.data.samples import Sample
from cxr.figures import explore as figures
from cxr.figures.explore_headers import header_by_class
from cxr.figures.explore_pixels import box_examples, intensities, marker_places, mean_crop

PNG = b"\x89PNG"


def texts(figure):
    return [text.get_text().strip() for text in figure.findobj(Text) if text.get_text().strip()]


def labelled(boxes):
    """One study an image; `boxes` is a list of lists of x, y, width, height."""
    corners = [np.array(found, float).reshape(-1, 4) for found in boxes]
    kinds = ["typical" if len(found) else "negative" for found in corners]
    table = pd.DataFrame({"image_id": [f"i{n}" for n in range(len(boxes))]})
    table["study_id"] = [f"s{n}" for n in range(len(boxes))]
    for name in ("negative", "typical", "indeterminate", "atypical"):
        table[name] = [int(kind == name) for kind in kinds]
    table["boxes_xywh"] = pd.Series(corners, dtype=object)
    return table.assign(has_box=[len(found) > 0 for found in corners], role="train")


def converted(labels):
    images = labels.drop(columns="boxes_xywh").assign(height=100, width=200, photometric="MONOCHROME2", bits_stored=12)
    return images.assign(patient_id="p", transfer_syntax="1.2.840.10008.1.2.1", has_window=0, has_voi_lut=0, sex=np.nan)


BOXED = labelled([[[15, 50, 48, 50], [100, 0, 20, 20]], [[0, 0, 200, 100]], []])
BARE = labelled([[]])


@pytest.mark.parametrize("labels", [BOXED, BARE], ids=["boxed", "one image without a box"])
def test_every_figure_can_be_drawn(labels):
    images, boxes = converted(labels), box_statistics(labels, converted(labels))
    drawn = [
        figures.boxes_per_image(labels),
        figures.box_sizes(boxes),
        figures.box_places(boxes),
        figures.image_sizes(images),
        figures.images_and_studies(labels, patients(images)),
        header_by_class(images),
        intensities(np.full((len(images), 8, 8), 77, np.uint8), images),
    ]
    assert all(figure._repr_png_().startswith(PNG) for figure in drawn)


def test_missing_columns_and_unknown_classes_are_said_not_raised():
    images = converted(BOXED)[["image_id", "study_id", "patient_id", "height", "width"]]
    assert "not in the images table" in texts(intensities(np.zeros((3, 8, 8), np.uint8), images))
    assert "unknown" in texts(figures.image_sizes(images))
    assert header_by_class(images)._repr_png_().startswith(PNG)
    unknown = converted(BOXED).assign(bits_stored=np.nan, typical=np.nan, negative=np.nan)
    assert "(empty)" in texts(header_by_class(unknown))
    assert "(empty) (3)" in texts(intensities(np.zeros((3, 8, 8), np.uint8), unknown))


def test_class_bars_carry_count_and_share_and_an_absent_set_is_named():
    rows = [("SIIM", "negative", 1, 4), ("SIIM", "typical", 3, 4), ("NIH", "Pleural_Thickening", 2, 5)]
    found = texts(figures.class_distributions(pd.DataFrame(rows, columns=["dataset", "class", "count", "of"])))
    assert {"1 (25.0%)", "3 (75.0%)", "2 (40.0%)", "Pleural Thickening", "SIIM: 4 labelled studies"} <= set(found)
    assert found.count("not in the input") == 1 and "RSNA" in found


def test_boxes_per_image_counts_images_and_names_the_copies():
    two_copies = labelled([[[0, 0, 1, 1]], [], [], []]).assign(role=["train", "duplicate", "duplicate", "train"])
    figure = figures.boxes_per_image(two_copies)
    assert "1 boxes on 4 labelled images; hatched: boxless copies of boxed studies (2)" in texts(figure)
    hatched = next(bar for bar in figure.axes[0].patches if bar.get_hatch())
    assert (hatched.get_y(), hatched.get_height()) == (1, 2), "the upper part of the bar of three"
    figure = figures.boxes_per_image(labelled([[], [], [[0, 0, 1, 1]] * 3]))
    heights = {round(bar.get_x() + 0.4): bar.get_height() for bar in figure.axes[0].patches if bar.get_height()}
    assert heights == {0: 2, 3: 1}


def test_long_tails_share_the_last_bar():
    by_patient = pd.DataFrame({"studies": [1, 1, 12, 13, 25]})
    found = texts(figures.images_and_studies(BOXED, by_patient))
    assert "12+" in found and "13" not in found and "5 patients of converted images" in found


def test_coverage_is_the_share_of_boxed_images_with_a_box_over_a_cell():
    boxes = box_statistics(BOXED, converted(BOXED))
    found = coverage(boxes, cells=10)
    expected = np.full((10, 10), 1 / 2)  # one of two boxed images is covered by its box
    expected[5:10, 1:3] = 1  # rows 50 to 100 of 100, columns 15 to 63 of 200: the centres at 30 and 50
    expected[0:2, 5:6] = 1
    np.testing.assert_array_equal(found, expected)
    assert coverage(boxes[:0]).shape == (64, 64) and not coverage(boxes[:0]).any()


def test_boxes_of_images_that_were_not_converted_are_left_out_of_the_map_and_said():
    boxes = box_statistics(BOXED, converted(BOXED)[:1])
    assert "all classes (1)" in texts(figures.box_places(boxes))
    assert {"3 labelled boxes", "2 boxes of converted images"} <= set(texts(figures.box_sizes(boxes)))


def test_header_bars_divide_each_value_by_class_and_sum_up_rare_values():
    images = pd.concat([converted(BARE)] * 9, ignore_index=True).assign(body_part=list("AABCDEFGH"))
    images.loc[0, ["negative", "typical"]] = 0, 1
    figure = header_by_class(images, most=7)
    assert "(other, 1 values)" in texts(figure)
    first = [(bar.get_width(), bar.get_facecolor()) for bar in figure.axes[0].patches if bar.get_width() == 8]
    assert len({color for _, color in first}) == 1, "eight negative images of one value are one part of its bar"
    assert {"9", "2", "1"} <= set(texts(figure)), "each bar ends with its number of images"


def test_intensities_are_shares_of_each_groups_pixels():
    pixels = np.zeros((3, 8, 8), np.uint8)
    pixels[2] = 255
    images = converted(BOXED).assign(photometric=["MONOCHROME1", "MONOCHROME1", "MONOCHROME2"])
    lines = intensities(pixels, images).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["MONOCHROME1 (2)", "MONOCHROME2 (1)"]
    assert [line.get_ydata()[[0, -1]].tolist() for line in lines] == [[100, 0], [0, 100]]


def test_each_source_has_a_line():
    black, white = np.zeros((2, 8, 8), np.uint8), np.full((1, 8, 8), 255, np.uint8)
    figure = intensities(black, converted(BOXED)[:2], {"NIH": white, "RSNA": white[:0]})
    lines = figure.axes[2].get_lines()
    assert [line.get_label() for line in lines] == ["SIIM (2)", "NIH (1)"], "an empty sample has no line"
    assert [line.get_ydata()[[0, -1]].tolist() for line in lines] == [[100, 0], [0, 100]]


def looked_at(images, maps, samples=None):
    cache = np.zeros((len(images), 320, 320), np.uint8)
    return Pixels(cache, samples or {}, maps, markers_seen.marker_table(maps))


def test_examples_have_their_boxes_and_say_what_is_absent():
    images = converted(BOXED)
    tables = {"converted": images, "boxes": box_statistics(BOXED, images), "rsna_boxes": pd.DataFrame()}
    figure = box_examples(tables, looked_at(images, markers_seen.marker_maps(np.zeros((3, 8, 8), np.uint8), images)))
    drawn = [len(axes.patches) for axes in figure.axes]
    assert drawn[0] == 0 and drawn[1] in (1, 2) and not any(drawn[2:]), "the typical image has its one or two boxes"
    assert texts(figure).count("no converted image of it") == 2 and texts(figure).count("not in the input") == 4
    assert {"SIIM typical", "SIIM negative, no box"} <= set(texts(figure))
    boxes = pd.DataFrame({"image_id": ["r1"], "x_min": 1.0, "y_min": 2.0, "x_max": 5.0, "y_max": 8.0})
    rows = pd.DataFrame({"image_id": ["r0", "r1"], "height": 10, "width": 10})
    sample = Sample(np.zeros((2, 8, 8), np.uint8), rows, pd.DataFrame())
    figure = box_examples({**tables, "rsna_boxes": boxes}, looked_at(images, {}, {"RSNA": sample}))
    assert len(figure.axes[4].patches) == 1 and texts(figure).count("no picture with a box") == 3


def test_a_repeated_place_has_a_circle_and_a_crop():
    images = pd.concat([converted(BARE)] * 40, ignore_index=True).assign(patient_id=[f"p{n}" for n in range(40)])
    cells = np.zeros((40, markers_seen.CELLS, markers_seen.CELLS), bool)
    cells[:20, 100, 30] = True
    maps = {"siim": markers_seen.SpotMap(cells, np.arange(40))} | {
        name: markers_seen.SpotMap(cells[:0], np.arange(0)) for name in ("typical", "indeterminate", "atypical")
    }
    maps["negative"] = maps["siim"]
    figure = marker_places(looked_at(images, maps))
    assert "50.0% at 0.24, 0.79" in texts(figure) and figure._repr_png_().startswith(PNG)
    without = marker_places(looked_at(images, {name: markers_seen.SpotMap(cells[:0], np.arange(0)) for name in maps}))
    assert not [text for text in texts(without) if " at " in text] and without._repr_png_().startswith(PNG)


def test_a_crop_is_the_mean_of_the_pictures_with_the_spot():
    cache = np.zeros((3, 100, 100), np.uint8)
    cache[0], cache[1], cache[2] = 100, 200, 7
    cells = np.zeros((2, markers_seen.CELLS, markers_seen.CELLS), bool)
    cells[:, -1, 0] = True
    crop = mean_crop(cache, markers_seen.SpotMap(cells, np.array([0, 1])), 0.001, 0.999)
    assert crop.shape == (12, 12) and (crop == 150).all(), "the spots of rows 0 and 1, cut off inside the picture"
