"""The part on where the models look: the share of their heat inside lungs and boxes, and some heat maps."""

import numpy as np

from cxr.evaluation.run_files import RunFiles, title_of
from cxr.explain.looks import WHERE
from cxr.figures.heat import heat_card
from cxr.figures.report import drawn
from cxr.labels import STUDY_CLASSES
from cxr.report.examples import view_of
from cxr.report.page import Html, Number, absent, estimate, number, paragraph, photo_source, table, text
from cxr.tables import read_table


def where(files: RunFiles) -> list[Html]:
    """`tables/where.csv`, and the heat maps that were kept beside it."""
    path = files.places.where_table
    if not path.is_file():
        return absent(
            "Not measured: stage 12 measures it where stage 06 has left lung masks and a model has predicted."
        )
    rows = [
        [
            title_of(row["model"]),
            row["how"],
            row["place"],
            Number(row["images"]),
            estimate(row["share"], row["low"], row["high"]),
            number(row["even"]),
            number(row["share"] / row["even"] if row["even"] else None),
            Number(row["without_heat"]),
        ]
        for row in read_table(path, WHERE).to_dict("records")
    ]
    names = ["model", "heat", "inside", "images", "share of the heat", "even heat", "times", "without heat"]
    words = (
        "Heat that is spread evenly has the share of the area inside (even heat); a model that looks at the lungs has "
        "more. The lungs are those that stage 06 found and believes; boxes are the true ones, on boxed images."
    )
    return [table(names, rows), paragraph(words), *_maps(files)]


def _maps(files: RunFiles) -> list[Html]:
    """Heat maps of right and of wrong answers."""
    path = files.places.where_maps
    if not path.is_file() or files.pixels is None or files.truth is None:
        return []
    kept, cards = np.load(path, allow_pickle=False), []
    row_of = {name: row for row, name in enumerate(files.images["image_id"])}
    for image_id, heat, found, true in zip(kept["image_id"], kept["heat"], kept["found"], kept["true"], strict=True):
        if str(image_id) in row_of:
            cards.append(_card(files, row_of[str(image_id)], heat, STUDY_CLASSES[found], STUDY_CLASSES[true]))
    words = (
        "Grad-CAM of the class that was found, in red; lungs blue, true boxes green. Right answers first, then wrong."
    )
    return [paragraph(words), Html(f"<div class=cards>{''.join(cards)}</div>")]


def _card(files: RunFiles, row: int, heat: np.ndarray, found: str, true: str) -> str:
    view = view_of(files, row, None)
    source, width, height = photo_source(drawn(heat_card(view, heat / 255)))
    image_id = files.images["image_id"].iloc[row]
    alt = f"Radiograph {text(image_id)}: heat map of {found}, true class {true}"
    picture = f'<img src="{source}" width={width} height={height} alt="{alt}">'
    below = f"<b>{found}</b>{'' if found == true else f', in truth {true}'}, {text(image_id)}"
    return f"<figure>{picture}<figcaption>{below}</figcaption></figure>"
