"""The result that `cxr.images.dicom` must give, to the pixel: slow, obvious, float64, pydicom's own functions.

    decode > apply_modality_lut > apply_voi_lut > MONOCHROME1 inverted > minimum..maximum of the tissue to 0..255

Rounding is towards zero, so that only the maximum is 255. What the file holds is taken as it is: elements that are
empty or break their rule are for the caller to remove.
"""

import tempfile
from io import BytesIO
from pathlib import Path

import cv2  # noqa: F401  before gdcm, as everywhere
import gdcm
import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space
from pydicom.uid import JPEGExtended12Bit

WEIGHTS = (0.299, 0.587, 0.114)  # of R, G, B in Y (PS3.3 C.7.6.3.1.2)


def reference_pixels(source: str | Path | bytes, transfer_syntax: str | None = None) -> np.ndarray:
    """uint8 [H x W]; transfer_syntax for files that do not name theirs."""
    dataset = pydicom.dcmread(BytesIO(source) if isinstance(source, bytes) else source, force=True)
    if transfer_syntax:
        dataset.file_meta.TransferSyntaxUID = transfer_syntax
    drop_empty(dataset)
    if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
        return stretched(luminance(dataset), np.ones((dataset.Rows, dataset.Columns), bool))
    extended = dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit
    stored = (extended_jpeg(source) if extended else dataset.pixel_array).astype(np.int32)
    shown = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(np.float64)
    tissue = np.ones(stored.shape, bool)
    if dataset.get("PixelPaddingValue") is not None:
        ends = sorted((dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue)))
        tissue = (stored < ends[0]) | (stored > ends[1])
    if dataset.PhotometricInterpretation == "MONOCHROME1" and tissue.any():
        shown = shown[tissue].max() - shown
    return stretched(shown, tissue)


def stretched(shown: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Minimum and maximum of the tissue to 0 and 255; black where there is none."""
    picture = np.zeros(shown.shape, np.uint8)
    if tissue.any():
        values = shown[tissue] - shown[tissue].min()
        picture[tissue] = (values / (values.max() or 1) * 255).astype(np.uint8)
    return picture


def luminance(dataset: pydicom.Dataset) -> np.ndarray:
    """Colour to luminance, rounded to the integers that the samples are."""
    decoder = pydicom.pixels.get_decoder(dataset.file_meta.TransferSyntaxUID)
    pixels, properties = decoder.as_array(dataset, raw=True)
    found = properties["photometric_interpretation"]
    if found == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)[..., :3]
    elif found.startswith("YBR"):
        pixels = convert_color_space(pixels, found, "RGB")
    return np.floor(sum(weight * pixels[..., i].astype(np.float64) for i, weight in enumerate(WEIGHTS)) + 0.5)


def extended_jpeg(source: str | Path) -> np.ndarray:
    """JPEG Extended with 12 bits, which pydicom refuses, as gdcm reads a whole file.

    The header is made to state the stream's 12 bits: with fewer, gdcm would cut off what lossy compression adds.
    """
    dataset = pydicom.dcmread(source, force=True)
    dataset.BitsStored, dataset.HighBit = 12, 11
    with tempfile.NamedTemporaryFile(suffix=".dcm") as copy:
        dataset.save_as(copy.name)
        reader = gdcm.ImageReader()
        reader.SetFileName(copy.name)
        if not reader.Read():
            raise ValueError(f"gdcm cannot read {source}")
        image = reader.GetImage()
        data = image.GetBuffer().encode("utf-8", "surrogateescape")
        return np.frombuffer(data, "<u2").reshape(image.GetDimension(1), image.GetDimension(0))


def drop_empty(dataset: pydicom.Dataset) -> None:
    """Empty elements count as absent; pydicom's functions stumble over them."""
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        if keyword in dataset and dataset[keyword].value is None:
            delattr(dataset, keyword)
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        if keyword in dataset and dataset[keyword].value[0].get("LUTDescriptor") is None:
            delattr(dataset, keyword)
