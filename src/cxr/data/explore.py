"""What the data looks like before anything learns from it: counts, boxes, patients, and the quirks that mislead models.

Two bases, never mixed: *labelled* images are all rows of the label files, *converted* ones those of the images table (a
profile may convert a part only). Headers, sizes, patients and pixels are known of converted images alone.
"""

import unicodedata
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from pydicom.uid import UID

from cxr.boxes import area_xyxy, xywh_to_xyxy
from cxr.data import nih, rsna
from cxr.data.duplicates import same_picture_groups
from cxr.data.siim import labelled_images
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS, FAILURES, IMAGES, read_table
from cxr.workspace import Workspace, write_json

NIH, RSNA = "data", "rsna-pneumonia-detection-challenge"
CHEST = ("CHEST", "TORAX", "THORAX", "PECHO")  # the body part in the languages of the real files
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
HEADER_FIELDS = ("photometric", "bits_stored", "transfer_syntax", "display", "modality", "sex", "body_part")
QUOTED = ("bits_stored", "transfer_syntax", "body_part", "note")  # columns whose commonest values a quirk shows


def explore(workspace: Workspace) -> dict[str, pd.DataFrame]:
    """Stage 02: the tables behind the figures, and their plain counts in `tables/explore.json`.

    labelled (labels of every image), converted (images table), boxes, patients, quirks, classes (a data set that is not
    in the input has no rows there). DataFault when stage 01 has not run.
    """
    places = workspace.places
    if not places.images_table.is_file():
        raise DataFault(f"{places.images_table}: not there yet; run notebook 01_dicom_to_png first, or `make all`")
    labels, _ = labelled_images(workspace.competition)
    images, failures = read_table(places.images_table, IMAGES), read_table(places.failures_table, FAILURES)
    tables = {
        "labelled": labels,
        "converted": images,
        "boxes": box_statistics(labels, images),
        "patients": patients(images),
        "quirks": quirks(images, failures, labels),
        "classes": class_counts(workspace, labels),
    }
    write_json(plain_counts(tables, failures), places.tables / "explore.json")
    return tables


def study_class(table: pd.DataFrame) -> pd.Series:
    """The class of every row, NaN where the class columns are missing or unknown."""
    known = table.reindex(columns=list(STUDY_CLASSES)).fillna(0).astype(float)
    return known.idxmax(axis=1).where(known.max(axis=1) == 1)


def siim_counts(labels: pd.DataFrame) -> dict:
    """Plain counts of all labelled images, as papers give them."""
    boxes = labels["boxes_xywh"].map(len)
    boxed = labels.groupby("study_id")["has_box"].agg(["any", "all"])
    return {
        "images": len(labels),
        "studies": int(labels["study_id"].nunique()),
        "study_classes": {name: int(labels.drop_duplicates("study_id")[name].sum()) for name in STUDY_CLASSES},
        "boxes": int(boxes.sum()),
        "boxed_images": int((boxes > 0).sum()),
        "boxes_per_image": tally(boxes),
        "images_per_study": tally(labels["study_id"].value_counts()),
        "studies_boxed_in_part": int((boxed["any"] & ~boxed["all"]).sum()),
        "boxless_copies": int((labels["role"] == "duplicate").sum()),
    }


def tally(numbers: pd.Series) -> dict[int, int]:
    """How often each whole number occurs, smallest first."""
    return {int(value): int(count) for value, count in numbers.value_counts().sort_index().items()}


def class_counts(workspace: Workspace, labels: pd.DataFrame) -> pd.DataFrame:
    """dataset, class, count, of: all labelled NIH images (several classes each), RSNA images and SIIM studies (one)."""
    studies, found = siim_counts(labels), {}
    folders = [workspace.companion(slug) for slug in (NIH, RSNA)]
    if folders[0]:
        table, _ = nih.labelled_images(folders[0])
        found["NIH"] = table[list(nih.FINDINGS)].sum().sort_values(ascending=False), len(table)
    if folders[1]:
        table = rsna.labelled_images(folders[1])[0]
        # without the file of detailed classes the boxes still tell one of the three
        boxed = np.where(table["has_box"] == 1, "Lung Opacity", "(no Lung Opacity)")
        found["RSNA"] = table["rsna_class"].where(table["rsna_class"] != "", boxed).value_counts(), len(table)
    found["SIIM"] = studies["study_classes"], studies["studies"]
    rows = [(name, kind, int(n), total) for name, (counts, total) in found.items() for kind, n in counts.items()]
    return pd.DataFrame(rows, columns=["dataset", "class", "count", "of"])


def plain_counts(tables: Mapping[str, pd.DataFrame], failures: pd.DataFrame) -> dict:
    """What goes into explore.json: a share of nothing is null, a data set that is not in the input has no entry."""
    images, by_patient, quirk_rows = tables["converted"], tables["patients"], tables["quirks"].astype(object)
    return {
        "labelled": siim_counts(tables["labelled"]),
        "converted": {
            "images": len(images),
            "failures": len(failures),
            "patients": len(by_patient),
            "studies_per_patient": tally(by_patient["studies"]),
            **{side: [int(images[side].min()), int(images[side].max())] for side in ("height", "width")},
            **{field: values.value_counts().to_dict() for field, values in header_values(images).items()},
        },
        "classes": {
            name: dict(zip(rows["class"], map(int, rows["count"]), strict=True))
            for name, rows in tables["classes"].groupby("dataset", sort=False)
        },
        "quirks": quirk_rows.where(quirk_rows.notna(), None).to_dict("records"),
    }


def box_statistics(labels: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """One row a labelled box: image_id, class, corners and `area` in original pixels, `aspect` (width / height).

    image_height, image_width and `share` (of the image's area) are NaN where the image was not converted.
    """
    boxed = labels[labels["has_box"].astype(bool)]
    numbers = boxed["boxes_xywh"].map(len).to_numpy(int)
    corners = xywh_to_xyxy(np.concatenate([np.empty((0, 4)), *boxed["boxes_xywh"]]))
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 0)
    table = pd.DataFrame(corners, columns=BOX_COLUMNS)
    table.insert(0, "image_id", boxed["image_id"].to_numpy(object).repeat(numbers))
    table.insert(1, "class", study_class(boxed).to_numpy(object).repeat(numbers))
    table["area"] = area_xyxy(corners)
    table["aspect"] = np.divide(sides[:, 0], sides[:, 1], out=np.full(len(sides), np.nan), where=sides[:, 1] > 0)
    sizes = images.set_index("image_id")[["height", "width"]].reindex(table["image_id"]).to_numpy(float)
    table["image_height"], table["image_width"] = sizes.T
    table["share"] = table["area"] / sizes.prod(1)
    return table


def patients(images: pd.DataFrame) -> pd.DataFrame:
    """One row a patient of the converted images: number of images, of studies and of different study classes."""
    rows = images[["patient_id", "study_id"]].assign(study_class=study_class(images))
    return rows.groupby("patient_id").agg(
        images=("study_id", "size"), studies=("study_id", "nunique"), classes=("study_class", "nunique")
    )


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


def header_values(images: pd.DataFrame) -> pd.DataFrame:
    """HEADER_FIELDS of every converted image as short text, `(empty)` where the file has none; `display` is how it
    says to show its values. Columns that the images table lacks are left out."""
    table = images
    if "has_window" in images:
        window = images["has_window"].map({1: "window", 0: "whole range"})
        table = images.assign(display=window.mask(images.get("has_voi_lut") == 1, "VOI look-up table"))
    shown = table[[field for field in HEADER_FIELDS if field in table]]
    return shown.apply(lambda values: values.map(short_value, na_action="ignore").fillna("").replace("", "(empty)"))


def short_value(value: object) -> str:
    """A transfer syntax by its keyword (JPEGLosslessSV1), a whole number without a point, the start of a long text."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return (UID(text).keyword if text.startswith("1.2.840.") else text[:40]) or text[:40]


def is_compressed(syntax: str) -> bool:
    """Whether pixels need a decoder; an unknown transfer syntax counts as one that does."""
    uid = UID(syntax)
    return uid.is_compressed if uid.is_transfer_syntax else True


def is_elsewhere(body_part: str) -> bool:
    """Whether the tag is filled and names the chest in no known language; accents and small letters do not matter."""
    plain = unicodedata.normalize("NFKD", body_part).encode("ascii", "ignore").decode().upper()
    return bool(body_part) and not any(word in plain for word in CHEST)
