"""The small competition as a folder, and the real label files where they are at hand."""

import os
from pathlib import Path

import pytest
from small_competition import IMAGES, touch, write_levels


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    """`<tmp>/input/siim-covid19-detection`, with empty files in place of the DICOMs."""
    folder = tmp_path / "input" / "siim-covid19-detection"
    folder.mkdir(parents=True)
    write_levels(folder)
    for image, study, _, _ in IMAGES:
        touch(folder / "train" / study / "series" / f"{image}.dcm")
    for image, study in [("b1", "t1"), ("b2", "t2"), ("b3", "t2")]:
        touch(folder / "test" / study / "series" / f"{image}.dcm")
    rows = [
        "id,PredictionString",
        *(f"{study}_study,negative 1 0 0 1 1" for study in ("t1", "t2")),
        *(f"{image}_image,none 1 0 0 1 1" for image in ("b1", "b2", "b3")),
    ]
    (folder / "sample_submission.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def real_labels() -> Path:
    """The competition's own label files; never part of this repository."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "realdata"
    folder = Path(os.environ.get("CXR_REALDATA", beside)) / "labels" / "siim"
    if not (folder / "train_image_level.csv").is_file():
        pytest.skip("the real label files are not here; set CXR_REALDATA to the folder that has labels/siim")
    return folder
