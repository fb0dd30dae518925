"""The stored values of a DICOM image: what the file holds, before any look-up table, as unsigned codes.

Native pixel data go through pydicom, compressed ones through gdcm, the decoder of record: on data that were cut off it
raises for every JPEG family, where other decoders return half an image. There is no second decoder to fall back to, so
the same file gives the same pixels everywhere. (RLE is pydicom's own, gdcm's face in pydicom lacks it.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2  # stays above gdcm: gdcm loaded before libstdc++ (cv2, numpy) ends the process at the first cv2.imencode
import gdcm
import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, get_decoder
from pydicom.uid import UID, AllTransferSyntaxes, JPEG2000TransferSyntaxes, JPEGExtended12Bit, RLELossless

from cxr.faults import DataFault

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


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


def decode_stored(dataset: pydicom.Dataset) -> Stored:
    """Decode a single frame of grayscale, or of colour as its luminance.

    The Image Pixel elements must be complete (`dicom` fills them in). Raises DataFault for data that the
    decoder refuses.
    """
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    if syntax not in AllTransferSyntaxes:
        raise DataFault(f"stored as {syntax.name}, which is no transfer syntax in force; save the picture uncompressed")
    if dataset.PhotometricInterpretation not in MONOCHROME:
        return _luminance(dataset)
    if syntax == JPEGExtended12Bit and dataset.BitsAllocated == 16:
        with _decoding(syntax):
            return _extended_jpeg(dataset)
    complete = syntax.is_encapsulated or dataset.BitsAllocated == 1  # pydicom hands out finished samples
    options = {} if complete else {"view_only": True, "correct_unused_bits": False}
    pixels = _as_array(dataset, raw=True, **options)
    codes = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("=")).view(f"u{pixels.dtype.itemsize}")
    if complete:
        return Stored(codes, pixels.dtype.kind == "i", pixels.dtype.itemsize * 8)
    return Stored(codes, pixels.dtype.kind == "i", dataset.BitsStored, dataset.HighBit + 1 - dataset.BitsStored)


def _as_array(dataset: pydicom.Dataset, **options) -> np.ndarray:
    """pydicom's decoding with the one plugin allowed for the transfer syntax."""
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    plugin = "" if not syntax.is_encapsulated else "pydicom" if syntax == RLELossless else "gdcm"
    with _decoding(syntax):
        if syntax in JPEG2000TransferSyntaxes:
            _check_jp2_boxes(next(generate_frames(dataset.PixelData, number_of_frames=1)))
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
    detail = " ".join(str(error).split())
    if "less than expected" in detail:
        return "its Pixel Data are shorter than Rows x Columns need: cut off; get the file again"
    return f"its Pixel Data do not fit the header ({detail[:160]}); get the file again"


def _extended_jpeg(dataset: pydicom.Dataset) -> Stored:
    """JPEG Extended with 12 bits straight from gdcm; pydicom refuses it out of caution.

    The stream's own precision is what counts: with BitsStored 10 in the header an overshoot of the lossy compression
    to 1024 would wrap to 0.
    """
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1), b"")
    start = frame.find(b"\xff\xc1")  # SOF1: length (2 bytes), precision, height, width (ITU T.81 B.2.2)
    precision = frame[start + 4] if 0 <= start < len(frame) - 9 else 0
    size = (int.from_bytes(frame[start + 5 : start + 7]), int.from_bytes(frame[start + 7 : start + 9]))
    if not 8 < precision <= 12 or size != (dataset.Rows, dataset.Columns):
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
    buffer = image.GetBuffer()  # text with surrogates, None on failure
    codes = np.frombuffer(buffer.encode("utf-8", "surrogateescape"), "<u2")
    return Stored(codes.reshape(dataset.Rows, dataset.Columns), bool(dataset.PixelRepresentation), precision)


def _check_jp2_boxes(frame: bytes) -> None:
    """A JP2 box shorter than its own header (ISO 15444-1 I.4) sends pydicom 3.0 round an endless loop."""
    offset = 12  # of the signature box, which comes first
    while frame.startswith(b"\0\0\0\x0cjP  ") and offset < len(frame) and frame[offset + 4 : offset + 8] != b"jp2c":
        length = int.from_bytes(frame[offset : offset + 4])
        if length < 8:
            raise ValueError(f"a JP2 box of {length} bytes")
        offset += length


def _luminance(dataset: pydicom.Dataset) -> Stored:
    """Colour to luminance with the weights of Y in YBR_FULL, .299 R + .587 G + .114 B (PS3.3 C.7.6.3.1.2)."""
    pixels = _as_array(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        try:
            pixels = apply_color_lut(pixels, dataset)[..., :3]
        except Exception:  # as above: a palette is a dozen elements that can each be wrong
            raise DataFault("its colour palette cannot be applied; save the picture as MONOCHROME2") from None
    if pixels.ndim != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise DataFault(f"{dataset.PhotometricInterpretation} with {pixels.dtype} samples is not supported")
    codes = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    return Stored(codes, False, codes.dtype.itemsize * 8)
