"""DICOM files to 8-bit pixels, bright = dense, and to a plain header.

The order of steps is that of PS3.4 N.2: decode (`stored`), Modality LUT, VOI LUT, inversion, rescale (`display`). What
the header says about them is read here; every fault that makes a picture unusable is a DataFault in words, every fault
that does not (a window of width 0, say) is put right as its comment tells and written into header["note"].
"""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from xxhash import xxh3_64_hexdigest

from cxr.faults import DataFault
from cxr.images.display import to_grey
from cxr.images.display_elements import COLOUR, read_display
from cxr.images.elements import number_of, number_or_none, set_value, text_of, tolerant, transfer_syntax_of
from cxr.images.files import bare_name
from cxr.images.source import open_dicom
from cxr.images.stored import MONOCHROME, decode_stored

# (name in our tables, DICOM keyword): text, '' where the file has none
TEXTS = (
    ("study_id", "StudyInstanceUID"), ("patient_id", "PatientID"), ("modality", "Modality"), ("sex", "PatientSex"),
    ("age", "PatientAge"), ("body_part", "BodyPartExamined"),
)  # fmt: skip
# what does not look like these is damage, or something private in the wrong place (PS3.3 C.7.1.1, C.7.2.2, C.7.3.1.1.1)
FORMS = {"sex": re.compile("[MFO]?"), "age": re.compile(r"(\d{3}[DWMY])?"), "modality": re.compile("[A-Z]{0,16}")}
NUMBERS = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "BitsStored", "BitsAllocated")


class DicomImage(NamedTuple):
    """A picture and its header; see `read_dicom`."""

    pixels: np.ndarray  # uint8 [H x W], bright = dense, original orientation
    header: dict[str, str | int]


def read_dicom(source: str | Path | bytes) -> DicomImage:
    """Read a file or the bytes of one. Raises DataFault naming the file and the reason.

    header: image_id (file name without .dcm; SOPInstanceUID for bytes), study_id, patient_id, height, width (pixels),
    photometric, bits_stored, transfer_syntax (the UID, e.g. 1.2.840.10008.1.2.4.70 for JPEG Lossless SV1), modality,
    sex, age (like '045Y'), body_part, has_window, has_voi_lut, has_rescale (slope and intercept, or a Modality LUT; all
    three 0 or 1), note (what had to be put right, '' for nothing), pixel_hash (XXH3 of the uint8 pixels, 16 hex digits:
    equal for exact duplicates). Text that the file does not have is ''.
    """
    with _named(source), _quiet():
        dataset, data = open_dicom(source, pixels=True)
        header = _header(dataset, source)
        notes: list[str] = []
        _complete_pixel_module(dataset, notes)
        display = read_display(dataset, notes) if dataset.PhotometricInterpretation in MONOCHROME else COLOUR
        pixels = to_grey(decode_stored(dataset, data), display)
        if pixels.shape != (header["height"], header["width"]):
            raise DataFault(f"its data hold {pixels.shape} pixels, its header says {dataset.Rows, dataset.Columns}")
        return DicomImage(pixels, {**header, "note": "; ".join(notes), "pixel_hash": pixel_hash(pixels)})


def pixel_hash(pixels: np.ndarray) -> str:
    """XXH3 of uint8 pixels, 16 hex digits: equal for exact duplicates, and no protection against forgery."""
    return xxh3_64_hexdigest(np.ascontiguousarray(pixels))


def read_header(source: str | Path | bytes) -> dict[str, str | int]:
    """The header of `read_dicom` without `note` and `pixel_hash`, without decoding. Raises DataFault."""
    with _named(source), _quiet():
        return _header(open_dicom(source, pixels=False)[0], source)


@contextmanager
def _named(source: str | Path | bytes) -> Iterator[None]:
    """Put the file's name before every fault, so that the parts below need not know it."""
    try:
        yield
    except DataFault as fault:
        raise type(fault)(f"{'DICOM data' if isinstance(source, bytes) else source}: {fault}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom warns about every 12-digit UID and logs tracebacks; faults that matter reach the caller as DataFault."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


def _header(dataset: pydicom.Dataset, source: str | Path | bytes) -> dict[str, str | int]:
    texts = {name: text_of(dataset, keyword) for name, keyword in TEXTS}
    texts |= {name: "" for name, form in FORMS.items() if not form.fullmatch(texts[name])}
    numbers = {keyword: number_or_none(dataset, keyword) for keyword in NUMBERS}
    window, rescale = (all(numbers[keyword] is not None for keyword in pair) for pair in (NUMBERS[:2], NUMBERS[2:4]))
    voi_lut, modality_lut = (bool(dataset.get(keyword)) for keyword in ("VOILUTSequence", "ModalityLUTSequence"))
    return {
        "image_id": text_of(dataset, "SOPInstanceUID") if isinstance(source, bytes) else bare_name(Path(source)),
        "study_id": texts.pop("study_id"),
        "patient_id": texts.pop("patient_id"),
        "height": int(number_of(dataset, "Rows")),
        "width": int(number_of(dataset, "Columns")),
        "photometric": text_of(dataset, "PhotometricInterpretation"),
        "bits_stored": int(numbers["BitsStored"] or numbers["BitsAllocated"] or 0),
        "transfer_syntax": str(transfer_syntax_of(dataset)),
        **texts,
        "has_window": int(window),
        "has_voi_lut": int(voi_lut),
        "has_rescale": int(rescale or modality_lut),
    }


def _complete_pixel_module(dataset: pydicom.Dataset, notes: list[str]) -> None:
    """Fill in what a file may lack of the Image Pixel module (PS3.3 C.7.6.3) and refuse what cannot be a radiograph."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_of(dataset)
    frames = number_of(dataset, "NumberOfFrames") or 1
    if frames != 1:
        raise DataFault(f"{frames:g} frames; a radiograph has one. Save the frame that you want as its own file")
    allocated = number_of(dataset, "BitsAllocated")
    if allocated not in (1, 8, 16, 32):
        found = "missing" if allocated is None else f"{allocated:g}"
        raise DataFault(f"BitsAllocated is {found}; 1, 8, 16 and 32 are supported")
    defaults = {"SamplesPerPixel": 1, "PixelRepresentation": 0, "BitsStored": allocated}
    for keyword, default in defaults.items():
        value = tolerant(lambda keyword=keyword: number_of(dataset, keyword), notes)
        if value is None:
            notes.append(f"{keyword} is missing, taken as {default:g}")
        set_value(dataset, keyword, int(default if value is None else value))
    photometric = text_of(dataset, "PhotometricInterpretation").upper()
    if not photometric and dataset.SamplesPerPixel == 1:
        photometric = "MONOCHROME2"
        notes.append("PhotometricInterpretation is missing, taken as MONOCHROME2")
    set_value(dataset, "PhotometricInterpretation", photometric)
    if not 0 < dataset.BitsStored <= allocated or dataset.PixelRepresentation not in (0, 1):
        raise DataFault(
            f"BitsStored {dataset.BitsStored} of {allocated:g}, PixelRepresentation "
            f"{dataset.PixelRepresentation} contradict each other; correct the header"
        )
    high_bit = tolerant(lambda: number_of(dataset, "HighBit"), notes)
    if high_bit is None or not dataset.BitsStored - 1 <= high_bit < allocated:
        high_bit = dataset.BitsStored - 1
        notes.append(f"HighBit is missing or impossible, taken as {high_bit}")
    set_value(dataset, "HighBit", int(high_bit))
