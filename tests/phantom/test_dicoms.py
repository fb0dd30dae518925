import itertools

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from cxr.phantom.dicoms import jpeg_lossless, stored_values, write_dicom, write_jpeg_dicom

PLAIN = {
    "photometric": "MONOCHROME2",
    "bits_stored": 12,
    "transfer_syntax": "Explicit VR Little Endian",
    "voi": "none",
    "window_function": "",
    "rescale": "absent",
    "range_low": 0.0,
    "range_high": 1.0,
    "modality": "CR",
}
TAGS = {
    "SOPInstanceUID": "0123456789ab",
    "StudyInstanceUID": "ba9876543210",
    "SeriesInstanceUID": "00ff00ff00ff",
    "PatientID": "77aa77aa77aa",
    "BodyPartExamined": "T\u00d2RAX",
}

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:Applying a VOI LUT on a float")


@pytest.fixture
def drawn():
    """A smooth picture with noise, 0..1, 60 x 48."""
    rows, columns = np.mgrid[0:60, 0:48]
    noise = np.random.default_rng(0).normal(0, 0.02, (60, 48))
    return np.clip(0.5 + 0.35 * np.sin(rows / 9) * np.cos(columns / 11) + noise, 0, 1).astype(np.float32)


def show(path):
    """What a viewer shows, 0..1: modality step, VOI step, inversion, by pydicom's own functions."""
    dataset = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
    values = (values - values.min()) / (values.max() - values.min())
    return 1 - values if dataset.PhotometricInterpretation == "MONOCHROME1" else values


def test_stored_values_fill_the_declared_range():
    ramp = np.array([[0.0, 0.5, 1.0]])
    assert stored_values(ramp, PLAIN).tolist() == [[0, 2048, 4095]]  # rint(.5 * 4095) = rint(2047.5): to even
    half = {**PLAIN, "range_low": 0.0, "range_high": 0.6, "bits_stored": 10}
    assert stored_values(ramp, half).tolist() == [[0, 307, 614]]  # .6 * 1023 = 613.8
    assert stored_values(ramp, {**half, "photometric": "MONOCHROME1"}).tolist() == [[1023, 1023 - 307, 1023 - 614]]
    assert stored_values(ramp, {**PLAIN, "bits_stored": 8}).dtype == np.uint8


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_way_of_storing_shows_the_drawn_picture(tmp_path, drawn, bits, photometric):
    ways = itertools.product(["none", "window", "windows", "lut"], ["absent", "identity", "shifted"], [1.0, 0.6])
    for number, (voi, rescale, high) in enumerate(ways):
        if (voi, rescale) == ("lut", "shifted"):
            continue  # never planned: a look-up table cannot start at a negative value
        quirks = {
            **PLAIN,
            "bits_stored": bits,
            "photometric": photometric,
            "voi": voi,
            "rescale": rescale,
            "range_high": high,
            "window_function": "LINEAR" if number % 2 else "",
        }
        write_dicom(tmp_path / f"{number}.dcm", drawn, quirks, TAGS)
        shown = show(tmp_path / f"{number}.dcm")
        assert np.corrcoef(shown.ravel(), drawn.ravel())[0, 1] > 0.98, quirks
        assert shown.std() > 0.1, quirks  # no window that leaves a flat picture


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
def test_jpeg_lossless_is_lossless(tmp_path, drawn, bits):
    quirks = {**PLAIN, "bits_stored": bits, "transfer_syntax": "JPEG Lossless SV1", "photometric": "MONOCHROME1"}
    write_dicom(tmp_path / "a.dcm", drawn, quirks, TAGS)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
    np.testing.assert_array_equal(dataset.pixel_array, stored_values(drawn, quirks))


def test_jpeg_lossless_repeats_its_bytes(drawn):
    values = stored_values(drawn, PLAIN)
    assert jpeg_lossless(values, 12) == jpeg_lossless(values, 12)
    with pytest.raises(RuntimeError, match="gdcm cannot encode"):
        jpeg_lossless(np.zeros((3, 3), np.uint8), 8)  # an odd count of bytes


def test_header_holds_what_the_real_files_hold(tmp_path, drawn):
    quirks = {**PLAIN, "voi": "windows", "photometric": "MONOCHROME1", "modality": "DX", "rescale": "shifted"}
    write_dicom(tmp_path / "s" / "a.dcm", drawn, quirks, {**TAGS, "SeriesNumber": ""})
    dataset = pydicom.dcmread(tmp_path / "s" / "a.dcm")
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == "0123456789ab"
    assert (dataset.Modality, dataset.SOPClassUID.name) == ("DX", "Digital X-Ray Image Storage - For Presentation")
    assert (dataset.Rows, dataset.Columns, dataset.HighBit, dataset.BitsAllocated) == (60, 48, 11, 16)
    assert dataset.BodyPartExamined == "T\u00d2RAX" and dataset.SeriesNumber is None
    assert dataset.PresentationLUTShape == "INVERSE"
    assert (dataset.RescaleSlope, dataset.RescaleIntercept) == (0.5, -512)
    shifted = stored_values(drawn, quirks) * 0.5 - 512
    assert len(dataset.WindowCenter) == len(dataset.WindowWidth) == 3
    assert shifted.min() < dataset.WindowCenter[0] < shifted.max()
    assert "PatientSex" not in dataset and "PixelPaddingValue" not in dataset


def test_lut_spans_the_values_in_use(tmp_path, drawn):
    quirks = {**PLAIN, "voi": "lut", "bits_stored": 16, "range_high": 4095 / 65535}
    write_dicom(tmp_path / "a.dcm", drawn, quirks, TAGS)
    item = pydicom.dcmread(tmp_path / "a.dcm").VOILUTSequence[0]
    values = stored_values(drawn, quirks)
    assert list(item.LUTDescriptor) == [values.max() - values.min() + 1, values.min(), 12]
    assert len(item.LUTData) == 2 * item.LUTDescriptor[0]  # two bytes an entry


def test_jpeg_bytes_travel_unchanged(tmp_path):
    jpeg = b"\xff\xd8" + bytes(range(100)) + b"\xff\xd9"
    write_jpeg_dicom(tmp_path / "a.dcm", jpeg, {**TAGS, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"})
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert jpeg in dataset.PixelData
