"""A DICOM file opened: the data set of one image, and where its pixels lie."""

import os
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from cxr.faults import DataFault, TooLargeFault
from cxr.images.elements import number_of, number_or_none, set_value, transfer_syntax_of

# a chest radiograph has 4 to 20 million, a mammogram up to 30; more is damage or an attack. An eighth with 32 bits:
# there each pixel may be a value of its own
MAX_PIXELS = 32_000_000
PIXEL_DATA, UNDEFINED = b"\xe0\x7f\x10\x00", 0xFFFFFFFF
NO_PIXELS = "holds no Pixel Data: cut off, or never an integer image; get the file again"


def open_dicom(source: str | Path | bytes, pixels: bool) -> tuple[pydicom.Dataset, memoryview]:
    """The data set of one image without Pixel Data, and their value; sizes are checked before anything is decoded.

    source: a path, or the bytes of a file. pixels: without, the value is empty. Raises DataFault.
    """
    try:
        whole = source if isinstance(source, bytes) else mapped(source)
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


def mapped(path: str | Path) -> mmap | bytes:
    """A file's bytes without a copy of them. Raises OSError."""
    with open(path, "rb") as file:
        empty = os.fstat(file.fileno()).st_size == 0  # nothing to map
        return b"" if empty else mmap(file.fileno(), 0, access=ACCESS_READ)


def _check_size(dataset: pydicom.Dataset) -> None:
    if "Rows" not in dataset or "Columns" not in dataset:
        raise DataFault("holds no image (no Rows and Columns: a report, plan or structure set, or a damaged header)")
    rows, columns = (int(number_of(dataset, keyword) or 0) for keyword in ("Rows", "Columns"))
    limit = MAX_PIXELS if (number_or_none(dataset, "BitsAllocated") or 0) <= 16 else MAX_PIXELS // 8
    if not 0 < rows * columns <= limit:
        fault = TooLargeFault if rows * columns > limit else DataFault
        raise fault(f"{rows} x {columns} pixels; 1 to {limit // 10**6} megapixels are accepted")
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
