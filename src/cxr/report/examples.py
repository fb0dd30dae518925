"""The part with radiographs: truth and out-of-fold predictions on them, class probabilities below."""

from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
import pandas as pd

from cxr.evaluation.out_of_fold import pick_examples
from cxr.evaluation.run_files import RunFiles, title_of
from cxr.figures.report import View, drawn, radiograph
from cxr.labels import STUDY_CLASSES
from cxr.report.page import Html, absent, number, paragraph, photo_source, text
from cxr.tables import BOX_COLUMNS

PICTURES, AT_MOST = 12, 3


def examples(files: RunFiles) -> list[Html]:
    """The same pictures at every run, drawn by a hash of their ids, so that nobody chose them."""
    if files.pixels is None or files.truth is None:
        return absent("No pictures: stage 01 or 03 has not run, or the cache was removed to save disk.")
    rows, best = pick_examples(files.images, PICTURES), files.best_of(files.boxes)
    if best:
        words = f"Amber: the {AT_MOST} best out-of-fold boxes ({title_of(best)}), with scores."
    else:
        words = "No detector has predicted these images yet."
    lungs = "Blue: outline of the lungs." if files.places.lungs.is_dir() else "No lung outlines: stage 06 has not run."
    return [paragraph(f"Green: truth. {words} {lungs}"), cards(files, rows, best)]


def cards(files: RunFiles, rows: np.ndarray, best: str | None) -> Html:
    """One picture a card, with the study's probabilities below."""
    name = files.best_of(files.study_scores)
    means = files.study_scores[name].set_index("study_id") if name else None
    shown = []
    for row in rows:
        image = files.images.iloc[row]
        bars = class_bars(image, means) if means is not None else ""
        shown.append(card(files, row, best, Html(image_words(image) + bars)))
    return Html(f"<div class=cards>{''.join(shown)}</div>")


def row_block(words: Html, shown: Sequence[str]) -> str:
    """A line of words, then figures side by side."""
    return f"<p>{words}</p><div class=row>{''.join(shown)}</div>"


def image_words(image: pd.Series) -> Html:
    """True class of its study, and id."""
    return Html(f"<b>{true_class(image)}</b>, {text(image['image_id'])}")


def true_class(image: pd.Series) -> str:
    """Name of the class that the labels give to the image's study."""
    return max(STUDY_CLASSES, key=lambda name: image[name])


def class_bars(image: pd.Series, means: pd.DataFrame) -> str:
    """A bar a class; the true one is marked."""
    cells, true = [], true_class(image)
    for name in STUDY_CLASSES:
        value = float(means.at[image["study_id"], name])
        mark = " class=true" if name == true else ""
        cells.append(f"<span{mark}>{name}</span><i style='width:{100 * value:.0f}%'></i><span>{number(value)}</span>")
    return f"<div class=classes>{''.join(cells)}</div>"


def card(files: RunFiles, row: int, table: str | None, below: Html) -> str:
    """A radiograph with its caption."""
    image = files.images.iloc[row]
    found = files.boxes[table] if table else None
    view = view_of(files, row, found)
    source, width, height = photo_source(drawn(radiograph(view)))
    scores = ", ".join(f"{score:.2f}" for score in view.scores) or "none"
    alt = (
        f"Radiograph {image['image_id']}: {len(view.true_xyxy)} true boxes; scores of the boxes of "
        f"{title_of(table) if table else 'no detector'}: {scores}."
    )
    picture = f'<img src="{source}" width={width} height={height} alt="{escape(alt)}">'
    return f"<figure>{picture}<figcaption>{below}</figcaption></figure>"


def view_of(files: RunFiles, row: int, boxes: pd.DataFrame | None) -> View:
    """What to draw of one image."""
    image = files.images.iloc[row]
    true = files.truth.loc[files.truth["image_id"] == image["image_id"], BOX_COLUMNS].to_numpy(float)
    best = pd.DataFrame(columns=[*BOX_COLUMNS, "score"], dtype=float)
    if boxes is not None:
        best = boxes[boxes["image_id"] == image["image_id"]].nlargest(AT_MOST, "score")
    return View(
        np.asarray(files.pixels[row]),
        (float(image["height"]), float(image["width"])),
        true,
        best[BOX_COLUMNS].to_numpy(float),
        best["score"].to_list(),
        lung_mask(files, str(image["image_id"])),
    )


def lung_mask(files: RunFiles, image_id: str) -> np.ndarray | None:
    """bool [S x S]; None where stage 06 left none. An id that is no plain file name has none."""
    path = files.places.lungs / f"{image_id}.png"
    if path.parent != files.places.lungs or not path.is_file():
        return None
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return None if mask is None else mask > 0
