"""Header values as the paper lists them, and tags that files lack."""

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxr.data import headers

SYNTAX = "1.2.840.10008.1.2"


def table(**columns):
    return pd.DataFrame({"image_id": ["a", "b", "c", "d"], **columns})


def test_header_values_are_short_and_say_what_is_empty():
    values = headers.header_values(
        table(
            photometric="MONOCHROME1",
            bits_stored=[12, 8, 12, 10],
            sex=["F", "M", np.nan, "M"],
            transfer_syntax=[f"{SYNTAX}.1", f"{SYNTAX}.4.70", SYNTAX, "1.2.3"],
            has_window=[1, 0, 0, 0],
            has_voi_lut=[0, 1, 0, 0],
        )
    )
    assert values["transfer_syntax"].tolist() == [
        "ExplicitVRLittleEndian",
        "JPEGLosslessSV1",
        "ImplicitVRLittleEndian",
        "1.2.3",
    ]
    assert values["display"].tolist() == ["window", "VOI look-up table", "whole range", "whole range"]
    assert values["sex"].tolist() == ["F", "M", "(empty)", "M"]
    assert values["bits_stored"].tolist() == ["12", "8", "12", "10"] and "modality" not in values


@pytest.mark.parametrize(
    ("tag", "elsewhere"),
    [("", False), ("CHEST", False), ("2- TORAX", False), ("T\u00d3rax", False), ("Pecho", False), ("SKULL", True)],
)
def test_the_body_part_is_understood_in_the_languages_of_the_files(tag, elsewhere):
    assert headers.is_elsewhere(tag) is elsewhere


def test_every_spelling_is_listed_and_a_wrong_body_part_is_called_so():
    images = table(body_part=["T\u00d2RAX", "TORAX", "SKULL", np.nan], sex=["F", "F", "F", "M"], modality="CR")
    found = headers.header_list(images)
    assert found["field"].unique().tolist() == ["sex", "modality", "body_part"]
    parts = found[found["field"] == "body_part"].set_index("value")
    assert parts["meaning"].to_dict() == {
        "T\u00d2RAX": "chest",
        "TORAX": "chest",
        "SKULL": "not the chest: the tag errs",
        "(empty)": "",
    }
    assert parts["images"].tolist() == [1, 1, 1, 1] and parts["share"].tolist() == [0.25] * 4
    assert found[found["field"] == "sex"][["value", "images"]].to_numpy().tolist() == [["F", 3], ["M", 1]]


def write_dicom(path, **tags):
    """A small image without pixels; the three forms of a tag (absent, empty, filled) are what counts."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows = dataset.Columns = 4
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


@pytest.fixture
def files(tmp_path):
    """Three readable files and one that has been damaged since; the fourth row names it."""
    write_dicom(tmp_path / "a.dcm", PatientSex="F", PixelRepresentation=0, WindowCenter=10)
    write_dicom(tmp_path / "b.dcm", PatientSex="", PixelRepresentation=0, VOILUTSequence=[])
    write_dicom(tmp_path / "c.dcm", PatientSex=" ", PixelRepresentation=0, VOILUTSequence=[pydicom.Dataset()])
    (tmp_path / "d.dcm").write_bytes(b"no DICOM")
    images = table(source_path=["a.dcm", "b.dcm", "c.dcm", "d.dcm"], negative=[1, 0, 0, 0], typical=[0, 1, 1, 1])
    return images.assign(indeterminate=0, atypical=0), tmp_path


def test_a_tag_is_missing_where_it_is_absent_or_empty(files):
    found = headers.missing_tags(*files).set_index("tag")
    assert (found["of"] == 3).all(), "the damaged file is not counted"
    counted = found[["absent", "empty", "share", "negative", "typical"]]
    assert counted.loc["PatientSex"].tolist() == [0, 2, 2 / 3, 0, 1]
    assert counted.loc["WindowCenter"].tolist() == [2, 0, 2 / 3, 0, 1]
    assert counted.loc["VOILUTSequence"].tolist() == [1, 1, 2 / 3, 1, 1 / 2]
    assert counted.loc["PatientID"].tolist() == [3, 0, 1, 1, 1]
    assert "PixelRepresentation" not in found.index, "a value of 0 is a value"
    assert found["atypical"].isna().all(), "no image of that class"
    assert found["share"].is_monotonic_decreasing


def test_many_files_are_sampled_evenly(files):
    images, folder = files
    found = headers.missing_tags(images, folder, most=2)  # rows 0 and 3, of which the last cannot be read
    assert (found["of"] == 1).all() and "PatientSex" not in set(found["tag"])
