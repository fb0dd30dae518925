"""What stage 02 shows of the labels: classes, boxes, sizes, studies. Titles say what was counted."""

import numpy as np
import pandas as pd

from cxr.data.counts import coverage, study_class
from cxr.figures.axes import CLASS_COLORS, PLAIN, QUIET, absent, caption, clean, columns
from cxr.figures.pictures import Picture
from cxr.labels import STUDY_CLASSES

UNITS = {"NIH": "labelled images", "RSNA": "labelled images", "SIIM": "labelled studies"}


def class_distributions(classes: pd.DataFrame) -> Picture:
    """Counts by class of NIH, RSNA and SIIM (figures 1, 2 and 4 of the paper); rows dataset, class, count, of."""
    figure = Picture(9.5, 3.4)
    for index, (dataset, unit) in enumerate(UNITS.items()):
        axes = figure.add_subplot(1, 3, index + 1)
        rows = classes[classes["dataset"] == dataset]
        if rows.empty:
            absent(axes, dataset, "not in the input")
            continue
        counts, total = rows["count"].to_numpy(), rows["of"].iat[0]
        colors = [CLASS_COLORS.get(name, PLAIN) for name in rows["class"]]
        axes.barh(range(len(rows)), counts, color=colors)
        for place, count in enumerate(counts):
            axes.text(count, place, f" {count} ({count / total:.1%})", va="center", fontsize=8)
        names = [str(name).replace(" / ", " /\n").replace("_", " ") for name in rows["class"]]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        clean(axes, counts.max() * 1.2)
        caption(axes, f"{dataset}: {total} {unit}")
    return figure


def boxes_per_image(labels: pd.DataFrame) -> Picture:
    """How many images have 0, 1, 2, ... boxes (figure 5); boxless copies of boxed studies are hatched."""
    figure = Picture(7.5, 2.8)
    axes = figure.add_subplot()
    numbers = labels["boxes_xywh"].map(len)
    copies, boxless = int(((labels["role"] == "duplicate") & (numbers == 0)).sum()), int((numbers == 0).sum())
    columns(axes, numbers)
    axes.bar(0, boxless, 0.8, color=QUIET)
    axes.bar(0, copies, 0.8, bottom=boxless - copies, color="white", edgecolor=QUIET, hatch="////")
    axes.set(xlabel="boxes on the image", ylabel="images")
    hatched = f"; hatched: boxless copies of boxed studies ({copies})" if copies else ""
    caption(axes, f"{numbers.sum()} boxes on {len(labels)} labelled images{hatched}")
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
            absent(axes, title, "no box")
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
        caption(axes, title)
    figure.axes[0].set_ylabel("boxes")
    return figure


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
            caption(axes, f"{name} ({images})")
            axes.set_xticks([])
            axes.set_yticks([])
        else:
            absent(axes, name, "no box")
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
    caption(scatter, f"{len(images)} converted images")
    aspects = images["width"] / images["height"]
    bars.hist(aspects, np.linspace(min(0.7, aspects.min()), max(1.4, aspects.max()), 31), color=PLAIN)
    bars.axvline(1, color="#888", linewidth=0.7)
    bars.set(xlabel="width / height", ylabel="images")
    caption(bars, "1 is square, as the cache is")
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
        columns(axes, numbers)
        axes.set(xlabel=name, ylabel=unit)
        caption(axes, title)
    return figure
