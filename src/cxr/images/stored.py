"""The stored values of a DICOM image: what the file holds, before any look-up table, as unsigned codes.

Plain samples are seen where they lie, without a copy. Compressed ones go through gdcm, the decoder of record: on data
that were cut off it raises for every JPEG family, where other decoders return half an image. Before it stands
`jpeg_lossless`, for the one form that it decodes exactly and refuses when damaged. Nothing falls back to a decoder
after another has failed, so the same file gives the same pixels everywhere. (RLE and odd samples are pydicom's own.)
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import cv2  # noqa: F401  stays above gdcm: gdcm loaded before libstdc++ (cv2, numpy) ends the process at the first cv2.imencode
import gdcm
import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from cxr.faults import DataFault
from cxr.images.codestreams import endless_jp2_box, frame_format
from cxr.images.complaints import no_complaints
from cxr.images.jpeg_lossless import decode_jpeg_lossless

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
ITEM, SEQUENCE_DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


class Stored(NamedTuple):
    """Codes and how to read them as numbers (PS3.5 8.1.1: a sample is BitsStored bits wide and ends at HighBit)."""

    codes: np.ndarray  # unsigned 8, 16 or 32 bit [H x W]
    signed: bool  # two's complement (PixelRepresentation 1)
    bits: int  # width of a sample
    shift: int = 0  # unused bits below the sample


def sample_values(codes: np.ndarray, stored: Stored) -> np.ndarray:
    """Codes of any shape to the integers they mean, int64. Bits outside the sample (old overlays) are dropped."""
    values = (codes.astype(np.int64) >> stored.shift) & ((1 << stored.bits) - 1)
    return values - ((values >> (stored.bits - 1)) << stored.bits) if stored.signed else values


def decode_stored(dataset: pydicom.Dataset, data: memoryview) -> Stored:
    """Decode a single frame of grayscale, or of colour as its luminance.

    dataset: without its Pixel Data, the Image Pixel elements complete (`dicom` fills them in). data: the value of Pixel
    Data, samples in little endian or encapsulated fragments (PS3.5 A.4). Raises DataFault for data that the decoder
    refuses.
    """
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    if syntax not in AllTransferSyntaxes:
        name = f"as {syntax.name}, which is no" if syntax.name != syntax else "in no"  # never quote the file
        raise DataFault(f"stored {name} transfer syntax in force; save the picture uncompressed")
    frame = joined_fragments(data) if syntax.is_encapsulated else data
    if dataset.PhotometricInterpretation not in MONOCHROME:
        _check_frame(dataset, frame)
        return _luminance(dataset, data, frame)
    if not syntax.is_encapsulated and dataset.BitsAllocated in (8, 16):
        return _plain_samples(dataset, data)
    _check_frame(dataset, frame)
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        stored = _jpeg_lossless(dataset, frame)
        if stored is not None:
            return stored
    if syntax == JPEGExtended12Bit and dataset.BitsAllocated == 16:
        with _decoding(syntax):
            return _extended_jpeg(dataset, bytes(frame))
    finished = syntax.is_encapsulated or dataset.BitsAllocated == 1  # pydicom hands out the samples alone
    options = {} if finished else {"view_only": True, "correct_unused_bits": False}
    pixels = _as_array(dataset, data, frame, raw=True, **options)
    codes = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("=")).view(f"u{pixels.dtype.itemsize}")
    if finished:
        return Stored(codes, pixels.dtype.kind == "i", pixels.dtype.itemsize * 8)
    return Stored(codes, pixels.dtype.kind == "i", dataset.BitsStored, dataset.HighBit + 1 - dataset.BitsStored)


def joined_fragments(data: memoryview) -> memoryview:
    """The one frame of encapsulated Pixel Data: all fragments behind the Basic Offset Table (PS3.5 A.4)."""
    fragments, position = [], 0
    while True:
        tag, length = bytes(data[position : position + 4]), int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if tag == SEQUENCE_DELIMITER:
            break
        if tag != ITEM or position + length > len(data):
            raise DataFault("its compressed Pixel Data are damaged or cut off; get the file again")
        fragments.append(data[position : position + length])
        position += length
    if len(fragments) < 2:
        raise DataFault("its compressed Pixel Data are empty; get the file again")
    return fragments[1] if len(fragments) == 2 else memoryview(b"".join(fragments[1:]))


def _check_frame(dataset: pydicom.Dataset, frame: memoryview) -> None:
    """Compressed data of another size or depth than the header's: some decoders write past their buffers then."""
    found = frame_format(frame)
    if found is None:
        return
    height, width, precision = found
    if (height, width) != (dataset.Rows, dataset.Columns):
        said = f"{dataset.Rows} x {dataset.Columns}"
        raise DataFault(f"its compressed picture has {height} x {width} pixels, its header says {said}")
    if precision > dataset.BitsAllocated or (precision == 8 and dataset.BitsStored < 8):
        raise DataFault(f"its compressed picture has {precision} bits, its header says {dataset.BitsStored}")


def _plain_samples(dataset: pydicom.Dataset, data: memoryview) -> Stored:
    """Samples as they lie in the file, little endian (PS3.5 8.1.1)."""
    count, size = dataset.Rows * dataset.Columns, dataset.BitsAllocated // 8
    if dataset.SamplesPerPixel != 1:
        raise DataFault(f"{dataset.SamplesPerPixel:g} samples a pixel in grayscale contradict each other")
    if len(data) < count * size:
        raise DataFault("its Pixel Data are shorter than Rows x Columns need: cut off; get the file again")
    codes = np.frombuffer(data, f"<u{size}", count).reshape(dataset.Rows, dataset.Columns)
    shift = dataset.HighBit + 1 - dataset.BitsStored
    return Stored(codes, dataset.PixelRepresentation == 1, dataset.BitsStored, shift)


def _jpeg_lossless(dataset: pydicom.Dataset, frame: memoryview) -> Stored | None:
    """The fast decoder, where header and stream agree about the samples; None: gdcm must see to them."""
    if dataset.PixelRepresentation or dataset.SamplesPerPixel != 1 or dataset.BitsAllocated not in (8, 16):
        return None
    codes = decode_jpeg_lossless(frame, dataset.Rows, dataset.Columns, dataset.BitsAllocated)
    fits = codes is not None and codes.max() >> dataset.BitsStored == 0
    return Stored(codes, False, dataset.BitsAllocated) if fits else None


def _as_array(dataset: pydicom.Dataset, data: memoryview, frame: memoryview, **options) -> np.ndarray:
    """pydicom's decoding with the one plugin allowed for the transfer syntax."""
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    plugin = "" if not syntax.is_encapsulated else "pydicom" if syntax == RLELossless else "gdcm"
    with _decoding(syntax):
        if syntax in JPEG2000TransferSyntaxes and endless_jp2_box(frame):
            raise ValueError("a JP2 box without a length")
        dataset.add_new("PixelData", "OB" if syntax.is_encapsulated else "OW", bytes(data))
        dataset["PixelData"].is_undefined_length = syntax.is_encapsulated
        with no_complaints() if plugin == "gdcm" else nullcontext():
            pixels, properties = get_decoder(syntax).as_array(dataset, decoding_plugin=plugin, index=0, **options)
    if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
        dataset.PhotometricInterpretation = str(properties["photometric_interpretation"])
    return pixels


@contextmanager
def _decoding(syntax: UID) -> Iterator[None]:
    """Turn whatever strange data make the libraries raise into a reason: it is the file's fault."""
    try:
        yield
    except DataFault:
        raise
    except NotImplementedError:
        raise DataFault(f"compressed as {syntax.name}, for which there is no decoder; save it uncompressed") from None
    except Exception as error:
        raise DataFault(_decoding_reason(syntax, error)) from None


def _decoding_reason(syntax: UID, error: Exception) -> str:
    if syntax.is_encapsulated:
        return f"its {syntax.name} data cannot be decoded: damaged, cut off or of a kind that gdcm does not know"
    if "less than expected" in str(error):
        return "its Pixel Data are shorter than Rows x Columns need: cut off; get the file again"
    return f"its Pixel Data do not fit the header ({type(error).__name__}); get the file again"


def _extended_jpeg(dataset: pydicom.Dataset, frame: bytes) -> Stored:
    """JPEG Extended with 12 bits straight from gdcm; pydicom refuses it out of caution.

    The stream's own precision is what counts: with BitsStored 10 in the header an overshoot of the lossy compression
    to 1024 would wrap to 0.
    """
    found = frame_format(memoryview(frame))
    precision = found.precision if found else 0
    if not 8 < precision <= 12:
        raise DataFault("its JPEG Extended stream does not fit the header; get the file again")
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(frame)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((dataset.Columns, dataset.Rows, 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, precision, precision - 1, 0))
    image.SetDataElement(element)
    with no_complaints():
        buffer = image.GetBuffer()  # text with surrogates, None on failure
    codes = np.frombuffer(buffer.encode("utf-8", "surrogateescape"), "<u2")
    return Stored(codes.reshape(dataset.Rows, dataset.Columns), bool(dataset.PixelRepresentation), precision)


def _luminance(dataset: pydicom.Dataset, data: memoryview, frame: memoryview) -> Stored:
    """Colour to luminance with the weights of Y in YBR_FULL, .299 R + .587 G + .114 B (PS3.3 C.7.6.3.1.2), rounded."""
    pixels = _as_array(dataset, data, frame)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        try:
            pixels = apply_color_lut(pixels, dataset)[..., :3]
        except Exception:  # as above: a palette is a dozen elements that can each be wrong
            raise DataFault("its colour palette cannot be applied; save the picture as MONOCHROME2") from None
    if pixels.ndim != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise DataFault(f"colour with {pixels.dtype} samples in {pixels.ndim} dimensions is not supported")
    codes = np.empty(pixels.shape[:2], pixels.dtype)
    for row, colours in zip(codes, pixels, strict=True):  # row by row: as 32-bit integers the picture would be huge
        row[:] = (colours.astype(np.uint32) @ np.array([299, 587, 114], np.uint32) + 500) // 1000
    return Stored(codes, False, pixels.dtype.itemsize * 8)
