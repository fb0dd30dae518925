"""DICOM files to 8-bit pixels, bright = dense, and to a plain header.

The order of steps is that of PS3.4 N.2: decode (`stored`), Modality LUT, VOI LUT, inversion, rescale (`display`). What
the header says about them is read here; every fault that makes a picture unusable is a DataFault in words, every fault
that does not (a window of width 0, say) is put right as its comment tells and written into header["note"].
"""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from xxhash import xxh3_64_hexdigest

from cxr.faults import DataFault
from cxr.images.display import to_grey
from cxr.images.display_elements import COLOUR, read_display
from cxr.images.elements import number_of, number_or_none, set_value, text_of, tolerant, transfer_syntax_of
from cxr.images.files import bare_name
from cxr.images.stored import MONOCHROME, decode_stored

# a chest radiograph has 4 to 20 million, a mammogram up to 30; more is damage or an attack. A quarter with 32 bits
MAX_PIXELS = 40_000_000
PIXEL_DATA, UNDEFINED = b"\xe0\x7f\x10\x00", 0xFFFFFFFF
NO_PIXELS = "holds no Pixel Data: cut off, or never an integer image; get the file again"
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
        dataset, data = _open(source, pixels=True)
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
        return _header(_open(source, pixels=False)[0], source)


@contextmanager
def _named(source: str | Path | bytes) -> Iterator[None]:
    """Put the file's name before every fault, so that the parts below need not know it."""
    try:
        yield
    except DataFault as fault:
        raise DataFault(f"{'DICOM data' if isinstance(source, bytes) else source}: {fault}") from None


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


def _open(source: str | Path | bytes, pixels: bool) -> tuple[pydicom.Dataset, memoryview]:
    """The data set of one image without Pixel Data, and their value; sizes are checked before anything is decoded."""
    try:
        whole = source if isinstance(source, bytes) else _mapped(source)
        _check_beginning(whole[:132])
        # not the file itself: asked for the 4 GB that a damaged length may claim, it would first find room for them
        file = BytesIO(source) if isinstance(source, bytes) else whole
        dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True)
        _check_size(dataset)
        return dataset, _pixel_data(dataset, whole, file) if pixels else memoryview(b"")
    except OSError as error:
        raise DataFault(f"cannot be read ({error.strerror or error})") from None
    except (DataFault, MemoryError):
        raise
    except Exception as error:  # strange bytes make the parser raise almost anything; its words may quote the patient
        raise DataFault(f"not readable as DICOM, damaged or cut off ({type(error).__name__}); get it again") from None


def _mapped(path: str | Path) -> mmap | bytes:
    with open(path, "rb") as file:
        empty = os.fstat(file.fileno()).st_size == 0  # nothing to map
        return b"" if empty else mmap(file.fileno(), 0, access=ACCESS_READ)


def _check_size(dataset: pydicom.Dataset) -> None:
    if "Rows" not in dataset or "Columns" not in dataset:
        raise DataFault("holds no image (no Rows and Columns: a report, plan or structure set, or a damaged header)")
    rows, columns = (int(number_of(dataset, keyword) or 0) for keyword in ("Rows", "Columns"))
    limit = MAX_PIXELS if (number_or_none(dataset, "BitsAllocated") or 0) <= 16 else MAX_PIXELS // 4
    if not 0 < rows * columns <= limit:
        raise DataFault(f"{rows} x {columns} pixels; 1 to {limit // 10**6} megapixels are accepted")
    set_value(dataset, "Rows", rows)
    set_value(dataset, "Columns", columns)


def _pixel_data(dataset: pydicom.Dataset, whole: bytes | mmap, file: BytesIO | mmap) -> memoryview:
    """The value of Pixel Data (7FE0,0010), at which the parser has stopped: seen where it lies, not copied.

    Native samples in little endian; a data set that is deflated or in big endian is read whole and turned.
    """
    syntax = transfer_syntax_of(dataset)
    if syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        return _turned_pixel_data(file, syntax)
    start = file.tell()
    header = 8 if dataset.original_encoding[0] else 12  # tag, length; explicit: also VR and two bytes (PS3.5 7.1)
    head = whole[start : start + header]
    if head[:4] != PIXEL_DATA or len(head) < header:
        raise DataFault(NO_PIXELS)
    length = int.from_bytes(head[-4:], "little")
    data = memoryview(whole)[start + header :]
    if length == UNDEFINED:
        return data  # as far as the sequence delimiter
    if length > len(data):
        raise DataFault("its Pixel Data are shorter than their stated length: cut off; get the file again")
    return data[:length]


def _turned_pixel_data(file: BytesIO | mmap, syntax: UID) -> memoryview:
    """Pixel Data of the two rare native syntaxes, in little endian."""
    file.seek(0)
    dataset = pydicom.dcmread(file, force=True)
    if "PixelData" not in dataset:
        raise DataFault(NO_PIXELS)
    data = dataset.PixelData
    if syntax == ExplicitVRBigEndian:
        # samples of one byte may also stand in words, two and two turned (PS3.5 D.2)
        size = {"OB": 1}.get(dataset["PixelData"].VR, max(2, int(number_of(dataset, "BitsAllocated") or 8) // 8))
        data = np.frombuffer(data[: len(data) // size * size], f">u{size}").astype(f"<u{size}").tobytes()
    return memoryview(data)


def _check_beginning(start: bytes) -> None:
    """PS3.10 7.1: 128 bytes, then DICM. Old files lack that and begin with the group 0002 or 0008 of a data set."""
    if not start:
        raise DataFault("the file is empty")
    if start[128:132] != b"DICM" and start[:2] not in (b"\x02\0", b"\x08\0", b"\0\x08"):
        raise DataFault("not a DICOM file: neither DICM at byte 128 nor a data set at its beginning")


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
