"""Synthetic DICOM files in memory, and the place of the real ones."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

REAL = Path(os.environ.get("CXR_REALDATA", Path(__file__).parents[3] / "shared" / "realdata")) / "dicom"


def build_dicom(values: np.ndarray, bits: int = 12, *, syntax=ExplicitVRLittleEndian, drop=(), **tags) -> bytes:
    """The bytes of a DICOM file that stores `values` [H x W] (8 or 16 bit, signed or not); None drops a tag."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    defaults = dict(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1", SOPInstanceUID="0123456789ab", StudyInstanceUID="study",
        PatientID="patient", Modality="CR", PhotometricInterpretation="MONOCHROME2", SamplesPerPixel=1,
        Rows=values.shape[0], Columns=values.shape[1], BitsAllocated=values.itemsize * 8, BitsStored=bits,
        HighBit=bits - 1, PixelRepresentation=int(values.dtype.kind == "i"),
    )  # fmt: skip
    with disable_value_validation():
        for keyword, value in {**defaults, **tags}.items():
            if keyword not in drop:
                setattr(dataset, keyword, value)
        data = values.astype(values.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
        dataset.add_new("PixelData", "OW", data + b"\0" * (len(data) % 2))
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def build_lut(entries: np.ndarray, first: int, depth: int) -> list[Dataset]:
    """A Modality or VOI LUT Sequence of one item."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, depth])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return [item]


def real_files() -> list[Path]:
    """Real DICOM files, none where they are absent."""
    return sorted(REAL.iterdir()) if REAL.is_dir() else []
