"""The promise about pixels, against a float64 reference built from pydicom's own functions, and the header."""

import subprocess
import sys
import warnings
from io import BytesIO

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)
from reference import reference_pixels

from cxr.faults import DataFault
from cxr.images.dicom import read_dicom, read_header
from cxr.phantom.dicoms import jpeg_lossless

RAMP = np.arange(0, 4096, 4, dtype=np.uint16).reshape(32, 32)


def random_case(rng: np.random.Generator, lut) -> tuple[np.ndarray, int, dict]:
    """Stored values, BitsStored and tags of a random file that pydicom reads as the standard says."""
    bits, signed = int(rng.integers(8, 17)), bool(rng.integers(2))
    low = -(2 ** (bits - 1)) if signed else 0
    ends = np.sort(rng.integers(low, low + 2**bits, 2))
    dtype = (np.int8 if signed else np.uint8) if bits == 8 else (np.int16 if signed else np.uint16)
    values = rng.integers(ends[0], ends[1] + 1, (23, 32)).astype(dtype)
    tags = {"PhotometricInterpretation": rng.choice(["MONOCHROME1", "MONOCHROME2"]).item()}
    if rng.random() < 0.3:
        tags |= {"PixelPaddingValue": int(values[0, 0])}
        if rng.random() < 0.5:
            tags |= {"PixelPaddingRangeLimit": int(values[0, 1])}
    modality, voi = rng.choice(["none", "rescale", "lut"]), rng.choice(["none", "window", "lut"])
    if modality == "rescale":
        slope, intercept = round(float(rng.uniform(0.1, 3)), 4), int(rng.integers(-2000, 2000))
        tags |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    if modality == "lut":
        tags |= {"ModalityLUTSequence": lut(rng.integers(0, 65536, 1000), max(int(ends[0]), -32768), 16)}
    if voi == "window":
        center, width = round(float(rng.uniform(low, low + 2**bits)), 3), int(rng.integers(1, 2**bits))
        function = rng.choice(["LINEAR", "LINEAR_EXACT", "SIGMOID"]).item()
        tags |= {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
    if voi == "lut" and modality != "rescale":
        tags |= {"VOILUTSequence": lut(np.sort(rng.integers(0, 4096, 2000)), max(int(ends[0]), 0), 12)}
    return values, bits, tags


SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
            RLELossless, JPEGLosslessSV1)  # fmt: skip


@pytest.mark.parametrize("seed", range(400))
def test_equals_the_float64_reference_bit_for_bit(seed, dicom, lut):
    rng = np.random.default_rng(seed)
    values, bits, tags = random_case(rng, lut)
    syntax = SYNTAXES[seed % len(SYNTAXES)]
    data = dicom(values, bits, syntax=ExplicitVRLittleEndian if syntax.is_encapsulated else syntax, **tags)
    assert np.array_equal(read_dicom(data).pixels, reference_pixels(data))
    if syntax.is_encapsulated:
        packed = compressed(data, syntax)
        assert np.array_equal(read_dicom(packed).pixels, reference_pixels(data))
        assert np.array_equal(read_dicom(packed).pixels, reference_pixels(packed))


def compressed(data: bytes, syntax: pydicom.uid.UID) -> bytes:
    """The same file with its samples encoded."""
    dataset = pydicom.dcmread(BytesIO(data))
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        words = np.uint16 if dataset.BitsAllocated == 16 else np.uint8
        # the encoder does not know signs: it packs the words as they are
        frame = jpeg_lossless(dataset.pixel_array.view(words), dataset.BitsAllocated)
        dataset.PixelData = pydicom.encaps.encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def decoded(real):
    """file -> DicomImage or DataFault, for every real file."""
    results = {}
    for file in real:
        try:
            results[file] = read_dicom(file)
        except DataFault as fault:
            results[file] = fault
    return results


def test_every_real_file_converts_or_says_why_not(decoded):
    unreadable = {}
    for file, result in decoded.items():
        if isinstance(result, DataFault):
            unreadable[file.name] = str(result)
            assert "\n" not in str(result) and str(result).startswith(f"{file}: ")
            continue
        pixels, header = result
        assert pixels.dtype == np.uint8 and pixels.shape == (header["height"], header["width"])
        assert pixels.min() == 0 and pixels.max() == 255
    assert len(decoded) - len(unreadable) == 46
    assert "cut off" in unreadable["MR_truncated.dcm"] and "cannot be decoded" in unreadable["genFile.dcm"]
    assert "no image" in unreadable["rtstruct.dcm"] and "10 frames" in unreadable["emri_small.dcm"]
    assert "no transfer syntax in force" in unreadable["ct_retired_55.dcm"]


def test_every_real_file_equals_the_reference(decoded):
    images = {file: result for file, result in decoded.items() if not isinstance(result, DataFault)}
    for file, (pixels, header) in images.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = reference_pixels(file, header["transfer_syntax"])
        assert np.array_equal(pixels, expected), file.name
    assert len(images) == 46


def test_real_lossless_versions_of_one_picture_agree(decoded):
    by_name = {file.name: result.pixels for file, result in decoded.items() if file.name in LOSSLESS}
    assert len({by_name[name].tobytes() for name in LOSSLESS}) == 1


LOSSLESS = ("ct_implicit.dcm", "ct_big_endian.dcm", "ct_deflated.dcm", "ct_rle.dcm", "ct_j2k_lossless.dcm",
            "ct_jpeg_lossless_sv1.dcm", "ct_jpeg_lossless_p14.dcm", "ct_jpegls.dcm")  # fmt: skip


def test_twelve_bit_jpeg_extended_is_decoded(decoded):
    by_name = {file.name: result for file, result in decoded.items()}
    lossy, lossless = (by_name[name].pixels.astype(int) for name in ("RG3_JPLY", "RG3_JLSL"))
    assert abs(lossy - lossless).mean() < 1 and (abs(lossy - lossless) > 60).sum() == 0


@pytest.mark.parametrize("part", [0.5, 0.99])
def test_real_files_that_were_cut_off_are_faults(decoded, part):
    whole = [file for file, result in decoded.items() if not isinstance(result, DataFault)]
    for file in whole:
        data = file.read_bytes()
        with pytest.raises(DataFault):
            read_dicom(data[: int(len(data) * part)])


def test_compressed_streams_that_were_cut_off_inside_are_faults(decoded, read_back, tmp_path):
    """The harder case: the file is whole, only the codestream in it ends early."""
    tried = 0
    for file, result in decoded.items():
        if isinstance(result, DataFault) or not pydicom.uid.UID(result.header["transfer_syntax"]).is_encapsulated:
            continue
        dataset = read_back(file)
        frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) * 9 // 10]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(tmp_path / "cut.dcm")
        with pytest.raises(DataFault):
            read_dicom(tmp_path / "cut.dcm")
        tried += 1
    assert tried >= 20


def test_monochrome1_is_inverted_exactly_once(dicom):
    plain = read_dicom(dicom(RAMP)).pixels
    assert plain[0, 0] == 0 and plain[-1, -1] == 255
    for shape in ("INVERSE", "IDENTITY", ""):
        data = dicom(RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape=shape)
        assert read_dicom(data).pixels[0, 0] == 255 and read_dicom(data).pixels[-1, -1] == 0
    same = dicom(RAMP, PhotometricInterpretation="MONOCHROME2", PresentationLUTShape="INVERSE")
    assert np.array_equal(read_dicom(same).pixels, plain)


def test_the_arithmetic_by_hand(dicom):
    values = np.array([[0, 1000, 2000, 4000]], np.uint16)
    assert read_dicom(dicom(values)).pixels.tolist() == [[0, int(1000 / 4000 * 255), int(2000 / 4000 * 255), 255]]
    # LINEAR window 1000 +- 500: c - .5 = 999.5, w - 1 = 999; 1000 lies .5 / 999 above the middle
    shown = read_dicom(dicom(values, WindowCenter=1000, WindowWidth=1000)).pixels
    assert shown.tolist() == [[0, int((0.5 / 999 + 0.5) * 255), 255, 255]]


def test_the_first_of_several_windows_counts_and_a_lut_comes_before_a_window(dicom, lut):
    first = read_dicom(dicom(RAMP, WindowCenter=[1000, 3000], WindowWidth=[500, 100])).pixels
    assert np.array_equal(first, read_dicom(dicom(RAMP, WindowCenter=1000, WindowWidth=500)).pixels)
    falling = lut(np.arange(4095, -1, -1), 0, 12)
    both = read_dicom(dicom(RAMP, WindowCenter=1000, WindowWidth=500, VOILUTSequence=falling))
    assert both.pixels[0, 0] == 255 and both.pixels[-1, -1] == 0
    assert both.header["has_window"] == 1 and both.header["has_voi_lut"] == 1


def test_eight_bit_tables_longer_than_256_do_not_wrap(dicom, lut):
    rising = lut(np.arange(4096) // 16, 0, 8)
    expected = (RAMP // 16 / 255 * 255).astype(np.uint8)
    assert np.array_equal(read_dicom(dicom(RAMP, 12, VOILUTSequence=rising)).pixels, expected)


def test_a_negative_slope_turns_the_values_not_the_window(dicom):
    tags = dict(RescaleSlope=-1, RescaleIntercept=4095)
    window = dict(WindowCenter=2048, WindowWidth=4096)
    for data in (dicom(RAMP, **tags), dicom(RAMP, **tags, **window)):
        assert read_dicom(data).pixels[0, 0] == 255 and read_dicom(data).pixels[-1, -1] == 0


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        (dict(WindowCenter=100, WindowWidth=0.5), "LINEAR window of width 0.5"),
        (dict(WindowCenter=100, WindowWidth=0, VOILUTFunction="SIGMOID"), "SIGMOID window of width 0"),
        (dict(WindowCenter=100), "window with center 100.0 and width None"),
        (dict(WindowWidth=100), "window with center None and width 100.0"),
        (dict(WindowCenter="", WindowWidth=100), "window with center None"),
        (dict(WindowCenter="", WindowWidth=""), ""),
        (dict(WindowCenter=9, WindowWidth=99, VOILUTFunction="CUBIC"), "unknown VOILUTFunction"),
        (dict(RescaleSlope=0, RescaleIntercept=0), "RescaleSlope 0.0"),
        (dict(PhotometricInterpretation=""), "taken as MONOCHROME2"),
        (dict(drop=["PixelRepresentation"]), "PixelRepresentation is missing, taken as 0"),
        (dict(drop=["HighBit"]), "HighBit is missing"),
        (dict(drop=["SamplesPerPixel"]), "SamplesPerPixel is missing, taken as 1"),
    ],
)
def test_broken_elements_are_left_out_and_noted(dicom, tags, note):
    picture = read_dicom(dicom(RAMP, **tags))
    assert np.array_equal(picture.pixels, read_dicom(dicom(RAMP)).pixels)
    assert note in picture.header["note"] and bool(note) == bool(picture.header["note"])


def test_an_empty_voi_lut_function_means_linear(dicom):
    window = dict(WindowCenter=1000, WindowWidth=500)
    empty, linear = (read_dicom(dicom(RAMP, **window, VOILUTFunction=name)) for name in ("", "LINEAR"))
    assert np.array_equal(empty.pixels, linear.pixels) and empty.header["note"] == ""


def test_high_bit_places_the_sample(dicom):
    """Twelve bits in the upper part of the word, with rubbish below: the values are those above the shift."""
    shifted = (RAMP << 4) | 7
    assert np.array_equal(read_dicom(dicom(shifted, 12, HighBit=15)).pixels, read_dicom(dicom(RAMP)).pixels)


def test_bits_above_the_sample_are_no_pixels(dicom):
    overlay = RAMP | (np.arange(RAMP.size, dtype=np.uint16).reshape(RAMP.shape) % 2 << 15)
    assert np.array_equal(read_dicom(dicom(overlay)).pixels, read_dicom(dicom(RAMP)).pixels)


def test_padding_is_black_and_has_no_say_in_the_range(dicom):
    values = np.array([[4095, 4095, 1000, 2000, 1500]], np.uint16)
    assert read_dicom(dicom(values, PixelPaddingValue=4095)).pixels.tolist() == [[0, 0, 0, 255, 127]]
    inverted = dicom(values, PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1")
    assert read_dicom(inverted).pixels.tolist() == [[0, 0, 255, 0, 127]]
    below = np.array([[0, 50, 100, 1100]], np.uint16)
    assert read_dicom(dicom(below, PixelPaddingValue=0, PixelPaddingRangeLimit=99)).pixels.tolist() == [[0, 0, 0, 255]]
    assert read_dicom(dicom(below, PixelPaddingValue=99, PixelPaddingRangeLimit=0)).pixels.tolist() == [[0, 0, 0, 255]]


def test_padding_outside_the_sample_width_does_not_hide_the_brightest_value(dicom):
    """65535 in a 12-bit file means itself, not 4095, which it would be after masking."""
    values = np.array([[65535, 0, 4095]], np.uint16)
    assert read_dicom(dicom(values, PixelPaddingValue=65535)).pixels.tolist() == [[0, 0, 255]]


def test_constant_and_all_padding_pictures_are_black(dicom):
    for tags in ({}, dict(PixelPaddingValue=7), dict(PhotometricInterpretation="MONOCHROME1")):
        assert not read_dicom(dicom(np.full((4, 4), 7, np.uint16), **tags)).pixels.any()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_other_uncompressed_syntaxes_give_the_same_pixels(dicom, syntax):
    picture = read_dicom(dicom(RAMP, syntax=syntax))
    assert np.array_equal(picture.pixels, read_dicom(dicom(RAMP)).pixels)
    assert picture.header["transfer_syntax"] == syntax


def test_colour_becomes_luminance(dicom):
    """.299 R + .587 G + .114 B of pure red, green, blue: 76, 150, 29, then stretched from 0 (black) to 255 (white)."""
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0], [255, 255, 255]]], np.uint8)
    data = dicom(colours.reshape(1, 15), 8, Columns=5, SamplesPerPixel=3, PlanarConfiguration=0,
                 PhotometricInterpretation="RGB")  # fmt: skip
    assert read_dicom(data).pixels.tolist() == [[76, 150, 29, 0, 255]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda make: b"", "the file is empty"),
        (lambda make: b"id,label\n1,2\n" * 50, "not a DICOM file"),
        (lambda make: make(RAMP)[:-500], "cut off"),
        (lambda make: make(RAMP, NumberOfFrames=3), "3 frames; a radiograph has one"),
        (lambda make: make(RAMP, Rows=20000, Columns=20000), "20000 x 20000 pixels; 1 to 32 megapixels"),
        (lambda make: make(RAMP, Rows=0), "0 x 32 pixels"),
        (lambda make: make(RAMP, drop=["Rows"]), "holds no image"),
        (lambda make: make(RAMP, drop=["BitsAllocated"]), "BitsAllocated is missing"),
        (lambda make: make(RAMP, BitsStored=17), "BitsStored 17 of 16"),
        (lambda make: make(RAMP, PhotometricInterpretation="XYZ"), "Pixel Data do not fit the header"),
    ],
)
def test_faults_in_words(dicom, change, reason):
    with pytest.raises(DataFault, match=reason) as caught:
        read_dicom(change(dicom))
    assert str(caught.value).startswith("DICOM data: ") and "\n" not in str(caught.value)


def test_a_decoder_that_only_complains_of_damage_counts_as_failed(dicom, tmp_path, capfd):
    """libjpeg prints "Corrupt JPEG data" for lost bytes, and returns a picture."""
    values = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    frame = cv2.imencode(".jpg", values)[1].tobytes()
    middle = len(frame) // 2
    for damaged in (frame, frame[:middle] + frame[middle + 300 :]):
        dataset = pydicom.dcmread(BytesIO(dicom(values, 8)))
        dataset.PixelData = pydicom.encaps.encapsulate([damaged])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
        dataset.save_as(tmp_path / "x.dcm")
        if damaged is frame:
            assert read_dicom(tmp_path / "x.dcm").pixels.shape == (64, 64)
        else:
            with pytest.raises(DataFault, match="cannot be decoded"):
                read_dicom(tmp_path / "x.dcm")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("syntax", [RLELossless, JPEGExtended12Bit])
def test_compressed_rubbish_is_a_fault(dicom, read_back, tmp_path, syntax):
    dataset = read_back(dicom(RAMP))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xc1" + bytes(range(200))])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "rubbish.dcm")
    with pytest.raises(DataFault, match=r"cannot be decoded|its compressed picture has"):
        read_dicom(tmp_path / "rubbish.dcm")


def test_a_jp2_box_of_length_zero_does_not_loop_for_ever(dicom, read_back, tmp_path):
    dataset = read_back(dicom(RAMP))
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    dataset.PixelData = pydicom.encaps.encapsulate([signature + b"\0\0\0\0ftyp" + bytes(40)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    dataset.save_as(tmp_path / "loop.dcm")
    with pytest.raises(DataFault, match=r"JPEG 2000 .* cannot be decoded"):
        read_dicom(tmp_path / "loop.dcm")


def test_a_missing_file_and_a_folder_are_faults(tmp_path):
    for path in (tmp_path / "absent.dcm", tmp_path):
        with pytest.raises(DataFault, match="cannot be read"):
            read_dicom(path)


def test_a_broken_look_up_table_is_a_fault(dicom, lut):
    short = lut(np.arange(100), 0, 12)
    short[0].LUTDescriptor = [4096, 0, 12]
    with pytest.raises(DataFault, match="VOILUTSequence has 100 entries of 12 bits where 4096"):
        read_dicom(dicom(RAMP, VOILUTSequence=short))


def test_header_of_file_and_bytes(dicom, tmp_path):
    data = dicom(RAMP, PatientSex="F", PatientAge="045Y", BodyPartExamined="CHEST", WindowCenter=9, WindowWidth=99)
    path = tmp_path / "abcdef012345.dcm"
    path.write_bytes(data)
    header = read_dicom(path).header
    assert header == {
        "image_id": "abcdef012345", "study_id": "study", "patient_id": "patient", "height": 32, "width": 32,
        "photometric": "MONOCHROME2", "bits_stored": 12, "transfer_syntax": "1.2.840.10008.1.2.1", "modality": "CR",
        "sex": "F", "age": "045Y", "body_part": "CHEST", "has_window": 1, "has_voi_lut": 0, "has_rescale": 0,
        "note": "", "pixel_hash": header["pixel_hash"],
    }  # fmt: skip
    assert len(header["pixel_hash"]) == 16
    assert {type(value) for value in header.values()} == {str, int}
    assert read_header(path).items() <= header.items()
    assert read_dicom(data).header["image_id"] == "0123456789ab"
    (tmp_path / "1.2.840.99").write_bytes(data)
    assert read_header(tmp_path / "1.2.840.99")["image_id"] == "1.2.840.99"


def test_missing_optional_tags_are_empty_text(dicom):
    header = read_dicom(dicom(RAMP, drop=["StudyInstanceUID", "PatientID", "Modality"])).header
    assert [header[name] for name in ("study_id", "patient_id", "modality", "sex", "age", "body_part")] == [""] * 6


def test_equal_pixels_have_equal_hashes(dicom):
    one, same, other = (read_dicom(dicom(v, PatientID=p)) for v, p in ((RAMP, "a"), (RAMP, "b"), (RAMP[::-1], "a")))
    assert one.header["pixel_hash"] == same.header["pixel_hash"] != other.header["pixel_hash"]


def test_nothing_is_printed_for_twelve_digit_uids(dicom, capfd, recwarn):
    read_dicom(dicom(RAMP, SOPInstanceUID="65761e66de9f", StudyInstanceUID="00086460a852"))
    assert capfd.readouterr().err == "" and not list(recwarn)


@pytest.mark.parametrize("first", ["cxr.images.dicom", "cxr.images.stored", "cxr.images.convert"])
def test_gdcm_and_opencv_live_together(first):
    """gdcm loaded before numpy or cv2 ends the process at the first PNG: our modules must load in a good order."""
    code = f"import {first}, cv2, numpy; cv2.imencode('.png', numpy.zeros((99, 99), 'u1')); print('alive')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout == "alive\n", result.stderr
