"""What the tests of pictures share."""

from io import BytesIO

import pydicom
import pytest
from synthetic import REAL, build_dicom, build_lut, real_files


@pytest.fixture
def dicom():
    return build_dicom


@pytest.fixture
def lut():
    return build_lut


@pytest.fixture(scope="session")
def real():
    """Every real file; skips where they are absent."""
    if not real_files():
        pytest.skip(f"no real DICOM files in {REAL}; set CXR_REALDATA to the folder that holds dicom/")
    return real_files()


@pytest.fixture
def read_back():
    """pydicom's own view of a file's bytes or path."""

    def read(source) -> pydicom.Dataset:
        return pydicom.dcmread(BytesIO(source) if isinstance(source, bytes) else source, force=True)

    return read
