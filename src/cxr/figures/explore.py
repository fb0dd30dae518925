"""What stage 02 shows of the data: classes, boxes, sizes, headers and intensities. Titles say what was counted."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxr.boxes import scale_xyxy
from cxr.data.explore import header_values, study_class
from cxr.figures.pictures import Picture
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS

PLAIN, QUIET = "#5b7fa6", "#b9c2cc"  # bars of counts; bars of what is absent or unknown
CLASS_COLORS = {"negative": "#7fb069", "typical": "#c8553d", "indeterminate": "#e6aa4f", "atypical": "#7a6bb0"}
UNITS = {"NIH": "labelled images", "RSNA": "labelled images", "SIIM": "labelled studies"}
BINS = 64  # of an intensity histogram: four grey levels each
MOST_COLUMNS = 12  # upright bars of a figure
MOST_PICTURES = 1000  # as many histograms show what a group looks like


def class_distributions(classes: pd.DataFrame) -> Picture:
    """Counts by class of NIH, RSNA and SIIM (figures 1, 2 and 4 of the paper); rows dataset, class, count, of."""
    figure = Picture(9.5, 3.4)
    for index, (dataset, unit) in enumerate(UNITS.items()):
        axes = figure.add_subplot(1, 3, index + 1)
        rows = classes[classes["dataset"] == dataset]
        if rows.empty:
            _absent(axes, dataset, "not in the input")
            continue
        counts, total = rows["count"].to_numpy(), rows["of"].iat[0]
        colors = [CLASS_COLORS.get(name, PLAIN) for name in rows["class"]]
        axes.barh(range(len(rows)), counts, color=colors)
        for place, count in enumerate(counts):
            axes.text(count, place, f" {count} ({count / total:.1%})", va="center", fontsize=8)
        names = [str(name).replace(" / ", " /\n").replace("_", " ") for name in rows["class"]]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        _clean(axes, counts.max() * 1.2)
        _title(axes, f"{dataset}: {total} {unit}")
    return figure


def boxes_per_image(labels: pd.DataFrame) -> Picture:
    """How many images have 0, 1, 2, ... boxes (figure 5); boxless copies of boxed studies are hatched."""
    figure = Picture(7.5, 2.8)
    axes = figure.add_subplot()
    numbers = labels["boxes_xywh"].map(len)
    copies, boxless = int(((labels["role"] == "duplicate") & (numbers == 0)).sum()), int((numbers == 0).sum())
    _columns(axes, numbers)
    axes.bar(0, boxless, 0.8, color=QUIET)
    axes.bar(0, copies, 0.8, bottom=boxless - copies, color="white", edgecolor=QUIET, hatch="////")
    axes.set(xlabel="boxes on the image", ylabel="images")
    hatched = f"; hatched: boxless copies of boxed studies ({copies})" if copies else ""
    _title(axes, f"{numbers.sum()} boxes on {len(labels)} labelled images{hatched}")
    return figure


def box_sizes(boxes: pd.DataFrame) -> Picture:
    """Numbers of boxes over area in pixels (figure 6), over share of the image, and over aspect."""
    figure = Picture(9.5, 2.7)
    known = boxes["share"].dropna() * 100
    aspect = boxes["aspect"][boxes["aspect"] > 0]
    panels = [
        (boxes["area"] / 1e6, "area in megapixels", f"{len(boxes)} labelled boxes", np.linspace),
        (known, "% of the image's area", f"{len(known)} boxes of converted images", np.linspace),
        (aspect, "width / height", f"{len(aspect)} labelled boxes", np.geomspace),
    ]
    for index, (values, name, title, spaced) in enumerate(panels):
        axes = figure.add_subplot(1, 3, index + 1)
        if values.empty:
            _absent(axes, title, "no box")
            continue
        low, high = (0, values.max()) if spaced is np.linspace else (min(values.min(), 0.5), max(values.max(), 2))
        axes.hist(values, spaced(low, max(high, 1e-6), 31), color=PLAIN)
        if spaced is np.geomspace:
            ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= tick <= high]
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        median = values.median()
        axes.axvline(median, color="black", linewidth=0.8)
        axes.text(median, axes.get_ylim()[1], f" median {median:.2g}", va="top", fontsize=8)
        axes.set_xlabel(name)
        _title(axes, title)
    figure.axes[0].set_ylabel("boxes")
    return figure


def coverage(boxes: pd.DataFrame, cells: int = 64) -> np.ndarray:
    """Share of the boxed converted images with a box over the centre of each cell of the stretched image.

    boxes as from `box_statistics`; float [cells x cells] in 0..1, all 0 without a box.
    """
    total, known = np.zeros((cells, cells)), boxes[boxes["image_height"].notna()]
    for _, rows in known.groupby("image_id"):
        inside, size = np.zeros((cells, cells), bool), (rows["image_height"].iat[0], rows["image_width"].iat[0])
        corners = scale_xyxy(rows[BOX_COLUMNS], size, (cells, cells)).round().clip(0, cells).astype(int)
        for x_min, y_min, x_max, y_max in corners:
            inside[y_min:y_max, x_min:x_max] = True
        total += inside
    return total / max(known["image_id"].nunique(), 1)


def box_places(boxes: pd.DataFrame) -> Picture:
    """Where boxes lie: share of the boxed images, of all and of each class, with a box over a place."""
    known = boxes[boxes["image_height"].notna()]
    positive = [name for name in STUDY_CLASSES if name != "negative"]
    groups = {"all classes": known, **{name: known[known["class"] == name] for name in positive}}
    maps = {name: coverage(rows) for name, rows in groups.items()}
    highest = max(0.01, *(found.max() for found in maps.values()))
    figure = Picture(9.5, 2.8)
    for index, (name, found) in enumerate(maps.items()):
        axes, images = figure.add_subplot(1, 4, index + 1), groups[name]["image_id"].nunique()
        axes.set_box_aspect(1)
        if images:
            shown = axes.imshow(found * 100, cmap="magma", vmin=0, vmax=highest * 100, extent=(0, 1, 1, 0))
            _title(axes, f"{name} ({images})")
            axes.set_xticks([])
            axes.set_yticks([])
        else:
            _absent(axes, name, "no box")
    if len(known):
        figure.colorbar(shown, ax=figure.axes, label="% with a box there", shrink=0.8)
    figure.suptitle("boxed converted images (their number), sides stretched to a square", fontsize=9, color="#555")
    return figure


def image_sizes(images: pd.DataFrame) -> Picture:
    """Width and height of every converted image, coloured by class, and how their aspects are spread."""
    figure = Picture(9.5, 3.2)
    scatter, bars = figure.subplots(1, 2)
    kinds = study_class(images).fillna("unknown")
    for name in [name for name in (*STUDY_CLASSES, "unknown") if (kinds == name).any()]:
        rows = images[kinds == name]
        color = CLASS_COLORS.get(name, QUIET)
        scatter.scatter(rows["width"], rows["height"], 9, color=color, alpha=0.6, linewidth=0, label=name)
    corner = images[["width", "height"]].to_numpy().max() * 1.05
    scatter.plot([0, corner], [0, corner], color="#888", linewidth=0.7)
    scatter.set(xlim=(0, corner), ylim=(0, corner), xlabel="width in pixels", ylabel="height in pixels", aspect="equal")
    scatter.legend(frameon=False, fontsize=7, markerscale=2, loc="lower right")
    _title(scatter, f"{len(images)} converted images")
    aspects = images["width"] / images["height"]
    bars.hist(aspects, np.linspace(min(0.7, aspects.min()), max(1.4, aspects.max()), 31), color=PLAIN)
    bars.axvline(1, color="#888", linewidth=0.7)
    bars.set(xlabel="width / height", ylabel="images")
    _title(bars, "1 is square, as the cache is")
    return figure


def images_and_studies(labels: pd.DataFrame, patients: pd.DataFrame) -> Picture:
    """How many images a study has (labelled) and how many studies a patient (converted)."""
    figure = Picture(9.5, 2.6)
    studies = labels["study_id"].value_counts()
    panels = [
        (studies, "images of the study", "studies", f"{len(studies)} labelled studies"),
        (patients["studies"], "studies of the patient", "patients", f"{len(patients)} patients of converted images"),
    ]
    for index, (numbers, name, unit, title) in enumerate(panels):
        axes = figure.add_subplot(1, 2, index + 1)
        _columns(axes, numbers)
        axes.set(xlabel=name, ylabel=unit)
        _title(axes, title)
    return figure


def header_by_class(images: pd.DataFrame, most: int = 7) -> Picture:
    """Images by value of each header field, divided by class: a value that goes with one class is a shortcut.

    `most`: as many values a field; the rest are one bar.
    """
    kinds, groups = study_class(images).fillna("unknown"), {}
    for field, values in header_values(images).items():
        counts = values.value_counts()
        kept = values.where(values.isin(counts.index[:most]), f"(other, {len(counts) - most} values)")
        numbers = pd.crosstab(kept, kinds)
        groups[field] = numbers.loc[numbers.sum(axis=1).sort_values(ascending=False).index]
    figure = Picture(9.5, 0.6 + 0.19 * sum(len(numbers) + 1.4 for numbers in groups.values()))
    axes, place, names = figure.add_subplot(), 0.0, {}
    for field, numbers in groups.items():
        axes.text(0, place, f" {field.replace('_', ' ')}", va="center", color="#555", style="italic")
        for value, row in numbers.iterrows():
            place += 1
            names[place] = value
            _stack(axes, place, row)
        place += 1.4
    axes.set_yticks(list(names), list(names.values()))
    axes.set_ylim(place - 0.8, -0.6)
    _clean(axes, len(images))
    for name in [name for name in (*CLASS_COLORS, "unknown") if (kinds == name).any()]:
        axes.bar(0, 0, color=CLASS_COLORS.get(name, QUIET), label=name)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _title(axes, f"{len(images)} converted images by header value and class")
    return figure


def _stack(axes: Axes, place: float, row: pd.Series) -> None:
    left = 0
    for name in [*CLASS_COLORS, "unknown"]:
        axes.barh(place, row.get(name, 0), 0.8, left=left, color=CLASS_COLORS.get(name, QUIET))
        left += row.get(name, 0)
    axes.text(left, place, f" {left}", va="center", fontsize=8)


def intensities(pixels: np.ndarray, images: pd.DataFrame) -> Picture:
    """Mean intensity histograms of cache pictures uint8 [N x S x S] by photometric interpretation and bits stored."""
    rows = np.unique(np.linspace(0, len(pixels) - 1, min(len(pixels), MOST_PICTURES)).round().astype(int))
    shares = np.array([np.bincount(pixels[row].ravel(), minlength=256) * 100 / pixels[row].size for row in rows])
    shares, values = shares.reshape(len(rows), BINS, -1).sum(2), header_values(images).iloc[rows]
    figure = Picture(9.5, 2.8)
    for index, field in enumerate(("photometric", "bits_stored")):
        axes = figure.add_subplot(1, 2, index + 1)
        if field not in values:
            _absent(axes, field.replace("_", " "), "not in the images table")
            continue
        for value in sorted(values[field].unique(), key=lambda text: (len(text), text)):
            group = shares[(values[field] == value).to_numpy()]
            axes.plot(np.arange(BINS) * 256 / BINS + 2, group.mean(0), linewidth=1.3, label=f"{value} ({len(group)})")
        axes.set_ylim(0, max(np.quantile(shares.mean(0), 0.97) * 1.8, 0.1))  # black padding would flatten all else
        axes.set(xlabel="grey level, 0 is black", ylabel="% of the pixels")
        axes.legend(frameon=False, fontsize=8, loc="upper center", ncols=3)
        _title(axes, f"{len(rows)} converted images by {field.replace('_', ' ')}")
    return figure


def _columns(axes: Axes, numbers: pd.Series) -> None:
    """Upright bars: how often each whole number occurs, those from MOST_COLUMNS on in one bar."""
    counts = numbers.clip(upper=MOST_COLUMNS).value_counts()
    axes.bar(counts.index, counts, 0.8, color=PLAIN)
    for number, count in counts.items():
        axes.text(number, count, count, ha="center", va="bottom", fontsize=8)
    ticks = range(int(counts.index.min()), int(counts.index.max()) + 1)
    last = "+" if (numbers > MOST_COLUMNS).any() else ""
    axes.set_xticks(ticks, [*map(str, ticks[:-1]), f"{ticks[-1]}{last}"])
    axes.margins(y=0.12)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9)


def _clean(axes: Axes, longest: float) -> None:
    """Numbers stand at the bars: no axis is needed, but room for them."""
    axes.set_xlim(0, max(longest, 1) * 1.15)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _absent(axes: Axes, title: str, reason: str) -> None:
    _title(axes, title)
    axes.text(0.5, 0.5, reason, ha="center", va="center", color="#777")
    axes.set_axis_off()
