"""Header values of the images: in short words, as the paper lists them, and which tags their files lack."""

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom import Dataset, Sequence
from pydicom.uid import UID, JPEGLossless, JPEGLosslessSV1

from cxr.data.counts import study_class
from cxr.faults import DataFault
from cxr.images.source import open_dicom
from cxr.labels import STUDY_CLASSES

CHEST = ("CHEST", "TORAX", "THORAX", "PECHO")  # the body part in the languages of the real files
JPEG_LOSSLESS = (str(JPEGLossless), str(JPEGLosslessSV1))
HEADER_FIELDS = ("photometric", "bits_stored", "transfer_syntax", "display", "modality", "sex", "body_part")
LISTED = ("sex", "modality", "body_part", "photometric", "bits_stored", "transfer_syntax")
TAGS = (  # what PS3.3 asks of a CR or DX image, and what a model or a reader of the data would like to know
    "PatientID", "PatientSex", "PatientAge", "Modality", "BodyPartExamined", "ViewPosition", "PatientOrientation",
    "Manufacturer", "StudyDate", "PixelSpacing", "ImagerPixelSpacing", "PhotometricInterpretation", "BitsStored",
    "HighBit", "PixelRepresentation", "WindowCenter", "WindowWidth", "VOILUTSequence", "VOILUTFunction",
    "RescaleSlope", "RescaleIntercept", "PresentationLUTShape", "PixelPaddingValue", "LossyImageCompression",
)  # fmt: skip
MOST_FILES = 1000
ABSENT, EMPTY, FILLED = 0, 1, 2


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


def header_list(images: pd.DataFrame) -> pd.DataFrame:
    """Every value of LISTED as it stands in the files, commonest first: field, value, images, share, meaning.

    Spellings stay apart, as the paper tells them (`TORAX`, `TÒRAX`, `Pecho`); `meaning` says of a body part whether it
    names the chest. Columns that the images table lacks are left out.
    """
    rows = []
    shown = header_values(images)
    for field in [field for field in LISTED if field in shown]:
        for value, count in shown[field].value_counts().items():
            rows.append((field, value, int(count), count / len(images), _meaning(field, value)))
    return pd.DataFrame(rows, columns=["field", "value", "images", "share", "meaning"])


def _meaning(field: str, value: str) -> str:
    if field != "body_part" or value == "(empty)":
        return ""
    return "not the chest: the tag errs" if is_elsewhere(value) else "chest"


def missing_tags(images: pd.DataFrame, competition: Path, most: int = MOST_FILES) -> pd.DataFrame:
    """One row a tag of TAGS that some file lacks: tag, absent, empty, of, share, and the share in each study class.

    share counts absent and empty ones together. Headers of at most `most` files are read, evenly over the table, from
    `competition / source_path`; `of` says of how many, 0 where no file is there any more. A header that cannot be read
    any more is not counted.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), most)).round().astype(int))
    read, states = [], []
    for row in rows if "source_path" in images else ():
        state = tag_states(competition / str(images["source_path"].iat[row]))
        if state is not None:
            read.append(row)
            states.append(state)
    states = np.array(states, int).reshape(-1, len(TAGS))
    kinds = study_class(images.iloc[read]).to_numpy(object)
    table = pd.DataFrame({"tag": TAGS, "absent": (states == ABSENT).sum(0), "empty": (states == EMPTY).sum(0)})
    lacking = states != FILLED
    table["of"], table["share"] = len(states), lacking.mean(0) if len(states) else np.nan
    for name in STUDY_CLASSES:
        table[name] = lacking[kinds == name].mean(0) if (kinds == name).any() else np.nan
    some = table["share"] != 0
    return table[some].sort_values("share", ascending=False, kind="stable", ignore_index=True)


def tag_states(path: Path) -> list[int] | None:
    """ABSENT, EMPTY or FILLED for each of TAGS; None for a file that is gone or cannot be read any more."""
    try:
        dataset, _ = open_dicom(path, pixels=False)
    except DataFault:
        return None
    return [_state(dataset, tag) for tag in TAGS]


def _state(dataset: Dataset, tag: str) -> int:
    if tag not in dataset:
        return ABSENT
    # not parsed: a damaged value is filled, and none of our business here
    value = dataset.get_item(tag).value
    if isinstance(value, bytes | str):
        return FILLED if value.strip(b" " if isinstance(value, bytes) else None) else EMPTY
    return EMPTY if value is None or (isinstance(value, Sequence) and not len(value)) else FILLED
