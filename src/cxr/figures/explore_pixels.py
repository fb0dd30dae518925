"""What stage 02 shows of pixels: examples with boxes, intensities by header and source, places where markers repeat."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxr.data.counts import study_class
from cxr.data.draw import hash_order
from cxr.data.explore import Pixels
from cxr.data.headers import header_values
from cxr.data.markers_seen import CELLS, MOST_PICTURES, SpotMap
from cxr.figures.axes import absent, caption
from cxr.figures.pictures import TRUE, Picture, draw_boxes, plain
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS

BINS = 64  # of an intensity histogram: four grey levels each
EXAMPLES = 4
ENOUGH = 20  # images, to set the scale of the maps
CROPS, CROP = 6, 0.12  # markers shown enlarged, and how much of the side a crop shows


def box_examples(tables: Mapping[str, pd.DataFrame], pixels: Pixels) -> Picture:
    """Radiographs with their true boxes in green: RSNA (figure 3 of the paper), and SIIM, one of each class.

    The same ones at every run, drawn by a hash of their ids; sides as in the files, not stretched as in the cache.
    """
    figure = Picture(9.5, 5.2)
    _siim_examples(figure, tables["converted"], tables["boxes"], pixels.cache)
    sample, boxes = pixels.samples.get("RSNA"), tables["rsna_boxes"]
    boxed = sample.images[sample.images["image_id"].isin(boxes["image_id"])] if sample else pd.DataFrame()
    for place in range(EXAMPLES):
        axes = figure.add_subplot(2, EXAMPLES, EXAMPLES + place + 1)
        if place < len(boxed):
            row = boxed.index[place]
            _radiograph(axes, sample.pixels[row], boxed.loc[row], boxes, "RSNA Lung Opacity")
        else:
            absent(axes, "RSNA", "no picture with a box" if sample else "not in the input")
    return figure


def _siim_examples(figure: Picture, images: pd.DataFrame, boxes: pd.DataFrame, cache: np.ndarray) -> None:
    kinds, boxed = study_class(images), images["image_id"].isin(boxes["image_id"])
    for place, name in enumerate(STUDY_CLASSES):
        axes = figure.add_subplot(2, EXAMPLES, place + 1)
        rows = images[(kinds == name) & boxed] if (boxed & (kinds == name)).any() else images[kinds == name]
        if rows.empty:
            absent(axes, f"SIIM {name}", "no converted image of it")
            continue
        row = rows.index[rows["image_id"] == hash_order(rows["image_id"])[0]][0]
        _radiograph(axes, cache[row], images.loc[row], boxes, f"SIIM {name}{'' if boxed[row] else ', no box'}")


def _radiograph(axes: Axes, pixels: np.ndarray, image: pd.Series, boxes: pd.DataFrame, title: str) -> None:
    """One picture uint8 [S x S] in the proportions of its file, with its boxes in original pixels."""
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, image["width"], image["height"], 0))
    draw_boxes(axes, boxes.loc[boxes["image_id"] == image["image_id"], BOX_COLUMNS].to_numpy(float), TRUE)
    axes.set(xlim=(0, image["width"]), ylim=(image["height"], 0))
    axes.set_axis_off()
    caption(axes, title)


def intensities(pixels: np.ndarray, images: pd.DataFrame, others: Mapping[str, np.ndarray] | None = None) -> Picture:
    """Mean intensity histograms of cache pictures uint8 [N x S x S] by photometric interpretation, bits and source.

    others: uint8 [M x S x S] of other data sets by name.
    """
    rows = np.unique(np.linspace(0, len(pixels) - 1, min(len(pixels), MOST_PICTURES)).round().astype(int))
    shares, values = histograms(pixels, rows), header_values(images).iloc[rows]
    figure = Picture(9.5, 5.4)
    for index, field in enumerate(("photometric", "bits_stored")):
        axes = figure.add_subplot(2, 2, index + 1)
        if field not in values:
            absent(axes, field.replace("_", " "), "not in the images table")
            continue
        kinds = sorted(values[field].unique(), key=lambda text: (len(text), text))
        _histogram_lines(axes, {kind: shares[(values[field] == kind).to_numpy()] for kind in kinds})
        caption(axes, f"{len(rows)} converted images by {field.replace('_', ' ')}")
    axes = figure.add_subplot(2, 2, (3, 4))
    found = {name: histograms(pixels, range(len(pixels))) for name, pixels in (others or {}).items() if len(pixels)}
    _histogram_lines(axes, {"SIIM": shares, **found})
    caption(axes, "by source (number of pictures): samples of the sets that are in the input")
    return figure


def histograms(pixels: np.ndarray, rows: np.ndarray | range) -> np.ndarray:
    """Percent of a picture's pixels in each of BINS grey levels, float [rows x BINS]."""
    counts = [np.bincount(pixels[row].ravel(), minlength=256) * 100 / pixels[row].size for row in rows]
    return np.array(counts).reshape(len(rows), BINS, -1).sum(2)


def _histogram_lines(axes: Axes, groups: Mapping[str, np.ndarray]) -> None:
    for name, shares in groups.items():
        axes.plot(
            np.arange(BINS) * 256 / BINS + 2, shares.mean(0), linewidth=1.3, label=f"{plain(name)} ({len(shares)})"
        )
    means = np.concatenate(list(groups.values())).mean(0)
    axes.set_ylim(0, max(np.quantile(means, 0.97) * 1.8, 0.1))  # black padding would flatten all else
    axes.set(xlabel="grey level, 0 is black", ylabel="% of the pixels")
    axes.legend(frameon=False, fontsize=8, loc="upper center", ncols=4)


def marker_places(pixels: Pixels) -> Picture:
    """Share of the images with a bright, sharp spot at each place, by class and source; circles: it repeats there.

    Below, if there is any such place, the mean of the pictures that have a spot there, cut out around it: a mark that
    repeats is legible, letters that only lie close to each other blur.
    """
    crops = pixels.markers[pixels.markers["source"] == "siim"].head(CROPS)
    columns, rows = 4, -(-len(pixels.maps) // 4)
    heights = [2.5 * rows, 1.9] if len(crops) else [2.5 * rows]
    figure = Picture(9.5, sum(heights))
    upper, *lower = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    # in a small group one image is a large share
    highest = max([0.02, *(found.share.max() for found in pixels.maps.values() if len(found.spots) >= ENOUGH)])
    for index, (name, found) in enumerate(pixels.maps.items()):
        axes = upper.add_subplot(rows, columns, index + 1)
        axes.set_box_aspect(1)
        shown = axes.imshow(found.share * 100, cmap="magma", vmin=0, vmax=highest * 100, extent=(0, 1, 1, 0))
        axes.set(xticks=[], yticks=[])
        caption(axes, f"{plain(name)} ({len(found.spots)})")
        _circles(axes, name, pixels.markers)
    upper.colorbar(shown, ax=upper.axes, label="% with a bright spot there", shrink=0.8)
    for index, place in enumerate(crops.itertuples()):
        axes = lower[0].add_subplot(1, CROPS, index + 1)
        axes.imshow(mean_crop(pixels.cache, pixels.maps["siim"], place.x, place.y), cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        caption(axes, f"{place.share:.1%} at {place.x:.2f}, {place.y:.2f}")
    return figure


def _circles(axes: Axes, name: str, markers: pd.DataFrame) -> None:
    """The places that the map itself told, and on the maps of classes those of all images too."""
    source = "siim" if name == "siim" or name in STUDY_CLASSES else name
    told = markers[(markers["source"] == source) & markers["seen_in"].isin([name, "siim"])]
    axes.scatter(told["x"], told["y"], 90, facecolors="none", edgecolors="#4fc3f7", linewidths=1.2)


def mean_crop(cache: np.ndarray, found: SpotMap, x: float, y: float) -> np.ndarray:
    """Mean of the pictures with a spot at (x, y), shares of width and height, around it: float [C x C]."""
    rows = found.rows[found.spots[:, int(y * CELLS), int(x * CELLS)]]
    size = cache.shape[1]
    side = max(round(CROP * size), 4)
    left, top = (int(np.clip(round(at * size) - side // 2, 0, size - side)) for at in (x, y))
    return np.mean([cache[row, top : top + side, left : left + side] for row in rows], axis=0)
