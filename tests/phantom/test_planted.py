"""The planted shortcut: where it is asked for it is there, and it changes nothing else."""

import argparse

import numpy as np
import pandas as pd
import pydicom
import pytest

from cxr.phantom import companions, datasets, masks, siim
from cxr.phantom.pictures import Picture
from cxr.phantom.plan import plan_siim
from cxr.phantom.shortcuts import MARKED_CLASS, burn_marker

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
SIZE = 240


def ramp(seed, purpose, keys, study_class, box_count, size=None):
    """Stands in for `draw_picture`: grays that rise from the left to the right, black and white in the last row."""
    height, width = size or (SIZE, SIZE)
    pixels = np.tile(np.linspace(0.1, 0.4, width, dtype=np.float32), (height, 1))
    pixels[-1] = np.linspace(0, 1, width)
    lungs = {name: np.indices(pixels.shape)[1] % 2 == 0 for name in ("right_lung", "left_lung", "heart")}
    return Picture(
        pixels, np.array([[5.0, 5, 90, 90]] * (box_count or 0)).reshape(-1, 4), lungs, (), "F", 50, "AP", 0.5
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The command line with and without the option: 28 studies with ramps for pictures."""
    parser, folders = argparse.ArgumentParser(), {}
    datasets.add_arguments(parser)
    for name, extra in (("honest", []), ("marked", ["--shortcut", "marker"])):
        folders[name] = tmp_path_factory.mktemp("phantom") / name
        with pytest.MonkeyPatch.context() as patch:
            for module in (siim, companions, masks):
                patch.setattr(module, "draw_picture", ramp)
            args = parser.parse_args([str(folders[name]), "--studies", "28", "--seed", "3", "--workers", "1", *extra])
            assert datasets.main(args) == 0
    return folders


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shown(path):
    """Stored pixels, bright = dense, 0..1."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.astype(float)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    return 1 - pixels if dataset.PhotometricInterpretation == "MONOCHROME1" else pixels


def test_only_marked_pictures_differ(both):
    honest, marked = (files(both[name]) for name in ("honest", "marked"))
    assert honest.keys() == marked.keys()
    differ = {name for name in honest if honest[name] != marked[name]}
    plan = plan_siim(28, seed=3, shortcut="marker")
    planted = plan.loc[plan["has_marker"], "image_id"]
    assert {name.rsplit("/")[-1] for name in differ} == {f"{image_id}.dcm" for image_id in planted}


def test_the_word_stands_in_the_upper_left_of_one_class(both):
    root = both["marked"] / "input" / siim.FOLDER
    plan = plan_siim(28, seed=3)
    corners = {True: [], False: []}
    for row in plan.itertuples():
        pixels = shown(root / row.part / row.study_id / row.series_id / f"{row.image_id}.dcm")
        height, width = pixels.shape
        corners[row.study_class == MARKED_CLASS].append(pixels[: height // 8, : width // 5].max())
        assert pixels[height // 8 : -1].max() < 0.6  # nowhere else
    seen = {name: np.mean(np.array(values) > 0.6) for name, values in corners.items()}
    assert seen[True] == pytest.approx(0.9, abs=0.06) and seen[False] == pytest.approx(0.1, abs=0.06)


def test_the_plan_is_the_same_but_for_one_column():
    honest, marked = plan_siim(200, seed=1), plan_siim(200, seed=1, shortcut="marker")
    pd.testing.assert_frame_equal(honest.drop(columns="has_marker"), marked.drop(columns="has_marker"))
    assert not honest["has_marker"].any()
    share = marked.groupby(marked["study_class"] == MARKED_CLASS)["has_marker"].mean()
    assert share[True] == pytest.approx(0.9, abs=0.01) and share[False] == pytest.approx(0.1, abs=0.01)
    assert (marked.groupby("view_key")["has_marker"].nunique() == 1).all()  # copied pictures stay copies
    assert set(marked.loc[marked["has_marker"], "part"]) == {"train", "test"}


def test_the_marker_is_burnt_into_a_copy():
    pixels = np.full((100, 120), 0.2, np.float32)
    marked = burn_marker(pixels)
    assert (pixels == np.float32(0.2)).all() and (marked >= pixels).all()
    rows, columns = np.nonzero(marked > 0.5)
    assert len(rows) > 0 and rows.max() < 12 and columns.max() < 24


def test_other_shortcuts_are_refused(capsys):
    parser = argparse.ArgumentParser()
    datasets.add_arguments(parser)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["out", "--shortcut", "size"])
    assert stop.value.code == 2 and "invalid choice: 'size'" in capsys.readouterr().err
    assert "90% of the SIIM pictures of class typical and 10% of the others" in " ".join(parser.format_help().split())
