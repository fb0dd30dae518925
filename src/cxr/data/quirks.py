"""What of the data surprises: each quirk with how often it occurs and what it means for modelling."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from cxr.data.counts import box_statistics, patients, study_class
from cxr.data.duplicates import same_picture_groups
from cxr.data.headers import is_compressed, is_elsewhere, short_value

Rule = Callable[[pd.Series], pd.Series]
HEADER_QUIRKS: tuple[tuple[str, str, Rule, str], ...] = (  # quirk, column, which of its values, meaning
    ("MONOCHROME1", "photometric", lambda v: v == "MONOCHROME1", "stored inverted: turned round once, after windowing"),
    ("not 12 bits stored", "bits_stored", lambda v: v != 12, "each picture is scaled by its own range, not by 4095"),
    ("compressed pixels", "transfer_syntax", lambda v: v.map(is_compressed), "need a decoder; damage shows only there"),
    ("window in the header", "has_window", lambda v: v == 1, "decides the contrast; of several the first counts"),
    ("VOI look-up table", "has_voi_lut", lambda v: v == 1, "a curve: stretching stored values gives another picture"),
    ("rescale in the header", "has_rescale", lambda v: v == 1, "comes before the window, which is in its units"),
    ("body part is no chest", "body_part", lambda v: v.map(is_elsewhere), "the tag errs: no image is dropped for it"),
    ("body part empty", "body_part", lambda v: v == "", "the tag errs: no image is dropped for it"),
    ("modality CR", "modality", lambda v: v == "CR", "the detector may go with the hospital, and so with the class"),
    ("sex unknown", "sex", lambda v: ~v.isin(["F", "M"]), "no feature to build on: some files lack it"),
    ("age unknown", "age", lambda v: v == "", "children cannot be told by the header"),
    ("no patient id", "patient_id", lambda v: v.str.startswith("unknown-"), "in the folds its study is a patient"),
    ("header put right", "note", lambda v: v != "", "worth a look: something was assumed, the notes say what"),
)  # fmt: skip
NUMERIC = ("bits_stored", "has_window", "has_voi_lut", "has_rescale")  # NaN: unknown; in the other columns: empty
QUOTED = ("bits_stored", "transfer_syntax", "body_part", "note")  # columns whose commonest values a quirk shows


def quirks(images: pd.DataFrame, failures: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """One row a quirk: quirk, count, of, unit (what was counted), share (NaN of nothing), found, meaning.

    `found` quotes the commonest values; `meaning` is for modelling. Columns that the images table lacks have no row.
    """
    files = np.repeat([False, True], [len(images), len(failures)])
    reasons = _commonest(failures["reason"].astype(str).str.slice(0, 50), most=2)
    rows = [
        *_label_quirks(labels, study_class(labels)),
        *_box_quirks(box_statistics(labels, images)),
        *_converted_quirks(images, patients(images)),
        *_header_quirks(images),
        _quirk("file that failed", files, "files", "not trained on; a test image like it gets the priors", reasons),
    ]
    return pd.DataFrame(rows)


def _quirk(quirk: str, hits: pd.Series | np.ndarray, unit: str, meaning: str, found: str = "") -> dict:
    share = float(np.mean(hits)) if len(hits) else np.nan
    counted = {"quirk": quirk, "count": int(np.sum(hits)), "of": len(hits), "unit": unit, "share": share}
    return {**counted, "found": found, "meaning": meaning}


def _commonest(values: pd.Series, most: int = 4) -> str:
    """`12 (231), 10 (30), ...`."""
    numbers = values.value_counts()
    shown = [f"{value} ({count})" for value, count in numbers.head(most).items()]
    return ", ".join([*shown, "..."] if len(numbers) > most else shown)


def _label_quirks(labels: pd.DataFrame, kinds: pd.Series) -> list[dict]:
    studies = labels.groupby("study_id")["has_box"].agg(["size", "any", "all"])
    boxed, images = labels["has_box"].astype(bool), "labelled images"
    odd = ~boxed & (labels["role"] == "train") & (kinds != "negative")
    return [
        _quirk("study has several images", studies["size"] > 1, "labelled studies", "one score for all: pooled"),
        _quirk("study has boxed and boxless images", studies["any"] & ~studies["all"], "labelled studies",
               "one image was annotated for all; the others are no negatives"),
        _quirk("boxless copy of a boxed study", labels["role"] == "duplicate", images,
               "not trained on, it would call opacities background; in the test set it needs boxes"),
        _quirk("otherwise boxless, not negative", odd, images,
               "so few that `none` and `negative` say nearly the same: blend them", _commonest(kinds[odd])),
        _quirk("boxed, yet negative", boxed & (kinds == "negative"), images, "the label files would disagree"),
    ]  # fmt: skip


def _box_quirks(boxes: pd.DataFrame) -> list[dict]:
    known = boxes[boxes["image_height"].notna()]
    beyond = (known["x_max"] > known["image_width"]) | (known["y_max"] > known["image_height"])
    before = (boxes[["x_min", "y_min"]] < 0).any(axis=1)
    return [
        _quirk("box begins outside its image", before, "labelled boxes", "clipped: augmentation refuses it"),
        _quirk("box ends outside its image", beyond, "boxes of converted images", "clipped: augmentation refuses it"),
        _quirk("box has no area", boxes["area"] <= 0, "labelled boxes", "dropped: nothing can hit it"),
    ]


def _converted_quirks(images: pd.DataFrame, by_patient: pd.DataFrame) -> list[dict]:
    several, mixed, sides = by_patient["studies"] > 1, by_patient["classes"] > 1, images["width"] / images["height"]
    rows = [
        _quirk("patient has several studies", several, "patients", "folds by study would leak: they go by patient"),
        _quirk("patient has studies of different classes", mixed, "patients",
               "knowing the patient again is not knowing the class"),
        _quirk("one side is 1.2 times the other or more", np.maximum(sides, 1 / sides) >= 1.2, "converted images",
               "stretched to the square cache, its boxes too; predicted boxes are stretched back",
               f"width / height {sides.min():.2f} to {sides.max():.2f}"),
    ]  # fmt: skip
    if "pixel_hash" in images:
        copies = images["image_id"].isin({image_id for group in same_picture_groups(images) for image_id in group})
        meaning = "copies stay in one fold, across patients too"
        rows.append(_quirk("same picture under several ids", copies, "converted images", meaning))
    return rows


def _header_quirks(images: pd.DataFrame) -> list[dict]:
    rows = []
    for quirk, column, rule, meaning in HEADER_QUIRKS:
        if column not in images.columns:
            continue
        given = images[column]
        values = given.dropna() if column in NUMERIC else given.fillna("").astype(str)
        hits = rule(values).astype(bool)
        quoted = _commonest(values[hits & (values != "")].map(short_value)) if column in QUOTED else ""
        rows.append(_quirk(quirk, hits, "converted images", meaning, quoted))
    return rows
