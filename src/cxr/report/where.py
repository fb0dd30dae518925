"""The part on where the models look: the share of their heat inside lungs and boxes, and some heat maps."""

from html import escape

import numpy as np
import pandas as pd

from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.explain.chosen import candidates
from cxr.explain.looks import BOXES, LUNGS, WHERE, read_examples
from cxr.explain.studies import STUDIES
from cxr.figures.heat import heat_card
from cxr.figures.report import drawn, radiograph
from cxr.labels import STUDY_CLASSES
from cxr.report.examples import view_of
from cxr.report.page import Html, Number, absent, estimate, heading, number, paragraph, photo_source, table, text
from cxr.tables import read_table

HEADINGS = {LUNGS: "heat inside the lungs", BOXES: "heat inside the true boxes, on boxed images only"}


def where(files: RunFiles) -> list[Html]:
    """`tables/where.csv`, and the heat maps that were kept beside it."""
    path = files.places.where_table
    if not path.is_file():
        found = candidates(files)
        none = "tables/where.csv is not there. Stage 12 writes it where a model has predicted out of fold"
        return absent(f"Not measured: {found if isinstance(found, str) else none}.")
    rows = read_table(path, WHERE)
    blocks = [paragraph(_pictures(files, rows)), paragraph(_explained(files, rows))]
    for place, title in HEADINGS.items():
        part = rows[rows["place"] == place]
        blocks += [heading(title), _table(part)] if len(part) else []
    return [*blocks, *_maps(files)]


def _pictures(files: RunFiles, rows: pd.DataFrame) -> str:
    """Which pictures were looked at, and by which models not."""
    words = (
        f"Looked at: {rows['images'].max():.0f} pictures whose lung mask stage 06 believes, drawn by a hash of their "
        "ids, each by the models that never saw its patient."
    )
    found = candidates(files)
    if not isinstance(found, str):
        trained = int((files.images["role"] == "train").sum())
        words += f" Believed are the masks of {len(found)} of {trained} training images."
    missing = [title_of(name) for name in (STUDIES, *files.boxes) if is_main(name) and name not in set(rows["model"])]
    return words + (f" Not looked at, since its networks were not there: {', '.join(missing)}." if missing else "")


def _explained(files: RunFiles, rows: pd.DataFrame) -> str:
    """How to read the figures, and what they cannot tell."""
    words = (
        "Heat that is spread evenly over what a model was shown has the share of the area inside (even heat); times is "
        "how many times that a model has. A detector's heat is the scores of its boxes, each spread over its box. "
        "Grad-CAM has the few cells of a network's last layer: of a good map, too, some heat spills over outlines."
    )
    if files.profile.study.mask_weight > 0:
        words += (
            " It follows gradients, and so misses what the study classifier takes from the mask that it predicts "
            "itself; LIME, in notebooks/explore, sees that too."
        )
    empty = rows[rows["without_heat"] > 0]
    told = (
        f"{title_of(row.model)} in {row.without_heat:.0f} of {row.images:.0f} ({row.place})"
        for row in empty.itertuples()
    )
    return words + (f" Without any heat, so counted in no share: {'; '.join(told)}." if len(empty) else "")


def _table(rows: pd.DataFrame) -> Html:
    names = ["model", "heat", "images", "share inside (95 %)", "even heat", "times (95 %)"]
    return table(
        names,
        [
            [
                title_of(row["model"]),
                row["how"],
                Number(f"{row['images'] - row['without_heat']:.0f}"),
                estimate(row["share"], row["low"], row["high"]),
                number(row["even"]),
                estimate(row["times"], row["times_low"], row["times_high"]),
            ]
            for row in rows.to_dict("records")
        ],
    )


def _maps(files: RunFiles) -> list[Html]:
    """Heat maps of right and of wrong answers."""
    if files.pixels is None or files.truth is None:
        return []
    kept = read_examples(files)
    row_of, cards = {name: row for row, name in enumerate(files.images["image_id"])}, {True: "", False: ""}
    for image in kept.itertuples():
        if image.image_id in row_of:
            true = STUDY_CLASSES[image.true]
            cards[image.found == image.true] += _card(
                files, row_of[image.image_id], image.heat, STUDY_CLASSES[image.found], true
            )
    words = (
        "Each picture by itself, then with the Grad-CAM of the class that was found in red. Blue: lungs; green: truth."
    )
    blocks = [heading("heat of the study classifier"), paragraph(words)] if any(cards.values()) else []
    for right, title in ((True, "Right answers:"), (False, "Wrong answers:")):
        if cards[right]:
            blocks += [paragraph(title), Html(f"<div class='cards twofold'>{cards[right]}</div>")]
    return blocks


def _card(files: RunFiles, row: int, heat: np.ndarray, found: str, true: str) -> str:
    """A picture without and with heat, as one image."""
    view, image_id = view_of(files, row, None), str(files.images["image_id"].iloc[row])
    both = [drawn(radiograph(view)), drawn(heat_card(view, heat / 255))]
    source, width, height = photo_source(np.hstack(both))
    alt = f"Radiograph {image_id}, beside it the same with the heat map of {found}; true class {true}."
    picture = f'<img src="{source}" width={width} height={height} alt="{escape(alt)}">'
    below = f"<b>{found}</b>{'' if found == true else f', in truth {true}'}, {text(image_id)}"
    return f"<figure>{picture}<figcaption>{below}</figcaption></figure>"
