"""Pixels between 0 and 1 to a DICOM file with the quirks of the real set, so that it is shown as it was drawn.

Stored values follow the header: MONOCHROME1 is stored inverted, windows and look-up tables lie around the values in
use, after the modality step (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2).
"""

from pathlib import Path

import cv2  # noqa: F401  before gdcm: loaded after it, the first cv2.imwrite aborts the process
import gdcm
import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1

SYNTAXES = {"Explicit VR Little Endian": ExplicitVRLittleEndian, "JPEG Lossless SV1": JPEGLosslessSV1}
GDCM_SYNTAXES = {
    "JPEG Lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
}
STORAGE = {"CR": "1.2.840.10008.5.1.4.1.1.1", "DX": "1.2.840.10008.5.1.4.1.1.1.1"}
SHIFTED = (0.5, -512)  # slope and intercept of the files whose modality step changes anything


def stored_values(pixels: np.ndarray, quirks: dict) -> np.ndarray:
    """Pixels [H x W] in 0..1, bright = dense, to uint8 or uint16 stored values; MONOCHROME1 is inverted here."""
    bits = int(quirks["bits_stored"])
    full = 2**bits - 1
    low, high = quirks["range_low"] * full, quirks["range_high"] * full
    values = np.rint(low + np.clip(pixels, 0, 1) * (high - low)).astype(np.uint8 if bits == 8 else np.uint16)
    return full - values if quirks["photometric"] == "MONOCHROME1" else values


def display_tags(values: np.ndarray, quirks: dict) -> dict:
    """Tags of the modality and VOI steps, around the values in use."""
    slope, intercept = SHIFTED if quirks["rescale"] == "shifted" else (1, 0)
    tags = {}
    if quirks["rescale"] != "absent":
        tags = {"RescaleIntercept": intercept, "RescaleSlope": slope, "RescaleType": "US"}
    low, high = np.percentile(values[::4, ::4], [0.3, 99.7])
    center, width = round((low + high) / 2 * slope + intercept), max(round((high - low) * slope), 2)
    if quirks["voi"] == "lut":
        return {**tags, "VOILUTSequence": [_soft_lut(values, center, width)]}
    if quirks["voi"] == "none":
        return tags
    if quirks["window_function"]:
        tags["VOILUTFunction"] = quirks["window_function"]
    several = quirks["voi"] == "windows"  # the first one counts; the others are a harder and a softer view
    return {
        **tags,
        "WindowCenter": [center, center, center] if several else center,
        "WindowWidth": [width, max(round(width * 0.7), 2), round(width * 1.4)] if several else width,
    }


def _soft_lut(values: np.ndarray, center: int, width: int) -> Dataset:
    """VOI look-up table over the values in use only: an S curve to 12 bits, as film had (PS3.3 C.11.2.1.1)."""
    first, last = int(values.min()), int(values.max())
    curve = 4095 / (1 + np.exp(-5 * (np.arange(first, last + 1) - center) / width))
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [(last - first + 1) % 65536, first, 12])  # 0 stands for 65 536 entries
    lut.add_new("LUTData", "OW", np.rint(curve).astype("<u2").tobytes())
    return lut


def jpeg_lossless(values: np.ndarray, bits: int) -> bytes:
    """Encode stored values as JPEG Lossless SV1 (process 14, first-order prediction). The width must be even."""
    return encode_with_gdcm(values, bits, "JPEG Lossless")


def encode_with_gdcm(values: np.ndarray, bits: int, kind: str) -> bytes:
    """One frame of unsigned values [H x W], as one of GDCM_SYNTAXES. The width must be even."""
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(values.tobytes())
    image = gdcm.Image()
    image.thisown = False  # the filter below takes ownership; two owners would free it twice
    image.SetNumberOfDimensions(2)
    image.SetDimensions((values.shape[1], values.shape[0], 1))
    image.SetPixelFormat(gdcm.PixelFormat(1, values.itemsize * 8, bits, bits - 1, 0))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian))
    image.SetDataElement(element)
    encoder = gdcm.ImageChangeTransferSyntax()
    encoder.SetTransferSyntax(gdcm.TransferSyntax(GDCM_SYNTAXES[kind]))
    encoder.SetInput(image)
    if not encoder.Change():
        raise RuntimeError(f"gdcm cannot encode {values.shape} values of {bits} bits as {kind}")
    fragment = encoder.GetOutput().GetDataElement().GetSequenceOfFragments().GetFragment(0)
    return fragment.GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")  # gdcm hands bytes over as text


def write_dicom(path: Path, pixels: np.ndarray, quirks: dict, tags: dict) -> None:
    """Write one radiograph. `pixels` float [H x W] in 0..1, W even; `quirks` a row of `draw_quirks`; `tags` by keyword.

    `tags` must hold SOPInstanceUID, StudyInstanceUID and SeriesInstanceUID; empty values stay empty elements.
    """
    values, bits = stored_values(pixels, quirks), int(quirks["bits_stored"])
    compressed = quirks["transfer_syntax"] == "JPEG Lossless SV1"
    data = encapsulate([jpeg_lossless(values, bits)]) if compressed else values.tobytes()
    header = {
        "SOPClassUID": STORAGE[quirks["modality"]],
        "Modality": quirks["modality"],
        "ImageType": ["DERIVED", "PRIMARY"],
        "PhotometricInterpretation": quirks["photometric"],
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "BitsAllocated": values.itemsize * 8,
        "BitsStored": bits,
        "HighBit": bits - 1,
        **display_tags(values, quirks),
        **tags,
    }
    if quirks["photometric"] == "MONOCHROME1":
        header["PresentationLUTShape"] = "INVERSE"  # as the real ones: says the same once more, must not invert twice
    save(path, header, SYNTAXES[quirks["transfer_syntax"]], data)


def write_jpeg_dicom(path: Path, jpeg: bytes, tags: dict) -> None:
    """Write 8-bit baseline JPEG bytes as a DICOM file, the way the RSNA challenge stores its pictures."""
    save(path, tags, JPEGBaseline8Bit, encapsulate([jpeg]))


def save(path: Path, header: dict, syntax: UID, data: bytes) -> None:
    """Write header and pixel data as a DICOM file; identifiers need not be valid UIDs, for the real ones are not."""
    dataset = Dataset()
    common = {"SpecificCharacterSet": "ISO_IR 100", "SamplesPerPixel": 1, "PixelRepresentation": 0}
    with disable_value_validation():
        for keyword, value in {**common, **header}.items():
            setattr(dataset, keyword, value)
        dataset.add_new("PixelData", "OW" if syntax == ExplicitVRLittleEndian else "OB", data)
        dataset["PixelData"].is_undefined_length = syntax.is_compressed
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = syntax
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
