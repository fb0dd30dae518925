"""`python -m cxr lungs`: segmenters compared on folders of masks, each training done once."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.__main__ import main
from cxr.data.mask_sets.sets import find_mask_sets
from cxr.faults import DataFault
from cxr.figures.segmenters import comparison

QUICK = ["--size", "32", "--width", "4", "--epochs", "2", "--batch", "4", "--lr", "0.02"]


def write_kaggle(folder, count, first=0):
    """Noise with two dark ellipses, which are the mask."""
    rng = np.random.default_rng(first)
    for part in ("CXR_png", "masks"):
        (folder / "Lung Segmentation" / part).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        mask, top = np.zeros((48, 48), np.uint8), int(rng.integers(20, 28))
        for x in (15, 33):
            cv2.ellipse(mask, (x, top), (6, 12), 0, 0, 360, 255, -1)
        pixels = (rng.integers(120, 200, mask.shape) - (mask > 0) * 80).astype(np.uint8)
        for part, picture in (("CXR_png", pixels), ("masks", mask)):
            assert cv2.imwrite(str(folder / "Lung Segmentation" / part / f"p{number:02d}.png"), picture)
    return folder


def write_listed(folder, count):
    """The same with right and left apart, as `masks.csv` lists them."""
    rng, rows = np.random.default_rng(1), []
    for number in range(count):
        mask = np.zeros((48, 48), np.uint8)
        for value, x in ((1, 15), (2, 33)):
            cv2.ellipse(mask, (x, int(rng.integers(20, 28))), (6, 12), 0, 0, 360, value, -1)
        pixels = (rng.integers(120, 200, mask.shape) - (mask > 0) * 80).astype(np.uint8)
        for part, picture in (("pictures", pixels), ("drawn", mask)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / part / f"q{number:02d}.png"), picture)
        rows.append((f"pictures/q{number:02d}.png", f"drawn/q{number:02d}.png", "lung_lr", "0 no / 1 right / 2 left"))
    pd.DataFrame(rows, columns=["path", "mask", "kind", "values"]).to_csv(folder / "masks.csv", index=False)
    return folder


def test_all_comparisons_and_each_training_once(tmp_path, capsys):
    folders = [str(write_kaggle(tmp_path / "a", 10)), str(write_listed(tmp_path / "b", 8))]
    out = tmp_path / "out"
    options = ["--networks", "unet", "resunet", "--recipes", "unet_hrnet", "--shares", "1", ".5", "--cross", *QUICK]
    assert main(["lungs", *folders, *options, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    # 3 networks and 2 shares in 2 folds, 2 sets in 2 folds and once across: 16; those of share 1 are the first network
    assert "16/16 sets" in told and told.count("trained already, kept") == 2 and "unet_hrnet: drawn" in told
    found = json.loads((out / "lungs_comparison.json").read_text())
    assert [row["network"] for row in found["networks"]] == ["unet", "resunet", "unet_hrnet"]
    assert all(row["n"] == 18 for row in found["networks"]) and "p" not in found["networks"][0]
    assert found["networks"][0]["dice"] == found["shares"][0]["dice"], "the same trainings"
    assert [(row["trained on"], row["tested on"], row["n"]) for row in found["sets"]] == [
        ("drawn", "drawn", 8), ("drawn", "other", 10), ("other", "other", 10), ("other", "drawn", 8),
    ]  # fmt: skip
    singles = pd.read_csv(out / "lungs_comparison.csv")
    assert len(singles) == 3 * 18 + 2 * 18 + 2 * 18 and singles["dice"].between(0, 1).all()
    unet = singles[(singles["compared"] == "networks") & (singles["name"] == "unet")]
    assert np.isclose(unet["dice"].mean(), found["networks"][0]["dice"], atol=1e-4)
    assert cv2.imread(str(out / "lungs_comparison.png")) is not None
    assert main(["lungs", *folders, *options, "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("trained already, kept") == 16
    assert pd.read_csv(out / "lungs_comparison.csv").equals(singles)


def test_a_recipe_of_structures_is_compared_where_these_are_drawn(tmp_path, capsys):
    folders = [str(write_kaggle(tmp_path / "a", 6)), str(write_listed(tmp_path / "b", 6))]
    options = ["--recipes", "patch_vote", "--out", str(tmp_path / "out"), *QUICK]
    assert main(["lungs", *folders, *options]) == 0
    told = capsys.readouterr().out
    assert "note: patch_vote learns right and left apart: 6 of 12 pictures have both" in told
    found = json.loads((tmp_path / "out" / "lungs_comparison.json").read_text())["networks"]
    assert [(row["network"], row["n"]) for row in found] == [("unet", 6), ("patch_vote", 6)]
    assert main(["lungs", folders[0], *options]) == 1
    error = capsys.readouterr().err
    assert "0 pictures to compare on, 5 are needed; leave out patch_vote" in error and error.count("\n") == 1


def test_what_the_time_cut_short_is_said_and_trained_anew(tmp_path, capsys):
    command = ["lungs", str(write_kaggle(tmp_path / "a", 8)), *QUICK, "--out", str(tmp_path / "out")]
    assert main([*command, "--epochs", "500", "--minutes", "0.02"]) == 0
    assert "note: networks, unet: cut short by --minutes in epoch" in capsys.readouterr().out
    assert main([*command, "--epochs", "500", "--minutes", "0.02"]) == 0
    assert "trained already" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--networks", "unet_vgg16"], "lungs.width=4: unet_vgg16 has the width of its encoder"),
        (["--size", "20"], "each side must be a multiple of 16"),
        (["--folds", "9"], "9 folds of 8 patients; ask for 2 to 8"),
    ],
)
def test_faults_are_one_line(tmp_path, capsys, options, message):
    command = ["lungs", str(write_kaggle(tmp_path / "a", 8)), *QUICK, "--out", str(tmp_path / "out")]
    assert main([*command, *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize("options", [["--shares", "0"], ["--shares", "1.5"], ["--epochs", "0"], ["--lr", "fast"]])
def test_wrong_options_are_wrong_usage(tmp_path, options):
    with pytest.raises(SystemExit) as stop:
        main(["lungs", str(tmp_path), *options])
    assert stop.value.code == 2


def test_sets_are_found_by_name_by_layout_and_as_they_are_called(tmp_path):
    kaggle, listed = "chest-xray-masks-and-labels", "lung-masks"
    write_kaggle(tmp_path / "input" / kaggle, 1)
    write_listed(tmp_path / "input" / listed, 1)
    both = {listed: tmp_path / "input" / listed, kaggle: tmp_path / "input" / kaggle}
    assert find_mask_sets([str(tmp_path / "input")]) == both
    assert find_mask_sets([str(both[listed])]) == {listed: both[listed]}
    assert find_mask_sets([f"jsrt={both[listed]}"]) == {"jsrt": both[listed]}
    with pytest.raises(DataFault, match=f"{listed}: both .* hold it; name one of them"):
        find_mask_sets([str(tmp_path / "input"), str(both[listed])])
    with pytest.raises(DataFault, match="nowhere: no such folder"):
        find_mask_sets([str(tmp_path / "nowhere")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFault, match="empty: no layout of lung masks fits; say which it is, one of "):
        find_mask_sets([str(tmp_path / "empty")])
    (both[listed] / "x").mkdir()
    (both[listed] / "x" / "masks").mkdir()
    with pytest.raises(DataFault, match=f"could be {listed} or {kaggle}; say which"):
        find_mask_sets([str(both[listed])])


def test_the_figure_shows_what_there_is():
    dice, rows = {"a": np.array([0.9, np.nan, 0.8])}, [{"share": 1.0, "dice": 0.9}, {"share": 0.5, "dice": 0.8}]
    assert [len(comparison(*given).axes) for given in ((dice, rows), (dice, []), ({}, rows))] == [2, 1, 1]
