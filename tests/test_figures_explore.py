"""Every figure draws the usual case and the bare one; what it says of numbers can be read off its texts."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from cxr.data.explore import box_statistics, patients
from cxr.figures import explore as figures

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
        figures.header_by_class(images),
        figures.intensities(np.full((len(images), 8, 8), 77, np.uint8), images),
    ]
    assert all(figure._repr_png_().startswith(PNG) for figure in drawn)


def test_missing_columns_and_unknown_classes_are_said_not_raised():
    images = converted(BOXED)[["image_id", "study_id", "patient_id", "height", "width"]]
    assert "not in the images table" in texts(figures.intensities(np.zeros((3, 8, 8), np.uint8), images))
    assert "unknown" in texts(figures.image_sizes(images))
    assert figures.header_by_class(images)._repr_png_().startswith(PNG)
    unknown = converted(BOXED).assign(bits_stored=np.nan, typical=np.nan, negative=np.nan)
    assert "(empty)" in texts(figures.header_by_class(unknown))
    assert "(empty) (3)" in texts(figures.intensities(np.zeros((3, 8, 8), np.uint8), unknown))


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
    found = figures.coverage(boxes, cells=10)
    expected = np.full((10, 10), 1 / 2)  # one of two boxed images is covered by its box
    expected[5:10, 1:3] = 1  # rows 50 to 100 of 100, columns 15 to 63 of 200: the centres at 30 and 50
    expected[0:2, 5:6] = 1
    np.testing.assert_array_equal(found, expected)
    assert figures.coverage(boxes[:0]).shape == (64, 64) and not figures.coverage(boxes[:0]).any()


def test_boxes_of_images_that_were_not_converted_are_left_out_of_the_map_and_said():
    boxes = box_statistics(BOXED, converted(BOXED)[:1])
    assert "all classes (1)" in texts(figures.box_places(boxes))
    assert {"3 labelled boxes", "2 boxes of converted images"} <= set(texts(figures.box_sizes(boxes)))


def test_header_bars_divide_each_value_by_class_and_sum_up_rare_values():
    images = pd.concat([converted(BARE)] * 9, ignore_index=True).assign(body_part=list("AABCDEFGH"))
    images.loc[0, ["negative", "typical"]] = 0, 1
    figure = figures.header_by_class(images, most=7)
    assert "(other, 1 values)" in texts(figure)
    first = [(bar.get_width(), bar.get_facecolor()) for bar in figure.axes[0].patches if bar.get_width() == 8]
    assert len({color for _, color in first}) == 1, "eight negative images of one value are one part of its bar"
    assert {"9", "2", "1"} <= set(texts(figure)), "each bar ends with its number of images"


def test_intensities_are_shares_of_each_groups_pixels():
    pixels = np.zeros((3, 8, 8), np.uint8)
    pixels[2] = 255
    images = converted(BOXED).assign(photometric=["MONOCHROME1", "MONOCHROME1", "MONOCHROME2"])
    lines = figures.intensities(pixels, images).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["MONOCHROME1 (2)", "MONOCHROME2 (1)"]
    assert [line.get_ydata()[[0, -1]].tolist() for line in lines] == [[100, 0], [0, 100]]
