"""`make ablations PARTS=segmenters` on a tiny set of made-up masks."""

import json

import numpy as np
import pandas as pd
import pytest

from cxr.ablations.command import keep
from cxr.ablations.segmenters import folds, measure, of_network
from cxr.evaluation.run_files import RunFiles
from cxr.faults import DataFault
from cxr.models.segmenters import NETWORKS, parameter_count
from cxr.profiles import Lungs
from cxr.report.lungs import lungs as lungs_part
from cxr.training.segmentation import LungPictures
from cxr.workspace import open_workspace, write_json


@pytest.fixture
def pictures():
    """24 pictures of 20 patients from two sets: dark ovals on noise."""
    rng, y, x = np.random.default_rng(0), *np.mgrid[:32, :32]
    masks = np.stack(
        [(abs(x - 16) > 3) & ((abs(x - 16) - 8) ** 2 / 25 + (y - t) ** 2 / 80 < 1) for t in rng.integers(12, 20, 24)]
    )
    pixels = (rng.integers(120, 200, masks.shape) - 80 * masks).astype(np.uint8)
    names = [f"i{n}" for n in range(24)]
    patients = [f"p{n % 20}" for n in range(24)]
    pairs = pd.DataFrame({"image_id": names, "patient_id": patients, "source": ["a"] * 14 + ["b"] * 10})
    return LungPictures(pairs, pixels, masks.astype(np.uint8))


def test_smaller_parts_lie_in_larger_ones_and_patients_never_cross(pictures):
    kept = {share: [part for part in folds(pictures, share)] for share in (1.0, 0.5, 0.1)}
    tested = [set(part.pairs["image_id"]) for _, part in kept[1.0]]
    assert tested[0] | tested[1] == set(pictures.pairs["image_id"]) and not tested[0] & tested[1]
    for fold in (0, 1):
        training = [set(kept[share][fold][0].pairs["patient_id"]) for share in (1.0, 0.5, 0.1)]
        assert training[2] < training[1] < training[0] and [len(part) for part in training] == [10, 5, 2]
        assert not training[0] & set(kept[1.0][fold][1].pairs["patient_id"])


def test_every_network_is_as_wide_in_proportion():
    half = {name: of_network(Lungs(width=16), name) for name in NETWORKS}
    assert {name: s.width for name, s in half.items()} == {
        "unet": 16, "resunet": 32, "resunet_a": 16, "trans_resunet": 32, "fc_densenet67": 24, "fc_densenet103": 24,
        "unet_vgg16": 0, "unet_densenet121": 0,
    }  # fmt: skip
    whole = of_network(Lungs(), "resunet")
    assert parameter_count(whole.network, whole.width, whole.depth) == parameter_count("resunet")


def test_all_are_compared_and_shown(pictures, tmp_path, monkeypatch, capsys):
    settings = "lungs.size=32 lungs.width=4 lungs.epochs=4 lungs.batch=4 lungs.lr=0.02 fusion.resamples=20"
    run = open_workspace("demo", settings, str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    monkeypatch.setattr("cxr.ablations.segmenters.load_lung_pictures", lambda *_: pictures)
    monkeypatch.setattr("cxr.ablations.segmenters.NETWORKS", ("unet", "resunet"))
    found = measure(run)
    assert [row["network"] for row in found["networks"]] == ["unet", "resunet"]
    assert all(row["n"] == 24 and 0 < row["dice"] < 1 and row["parameters"] > 0 for row in found["networks"])
    assert [row["share"] for row in found["shares"]] == [1.0, 0.5, 0.3, 0.1]
    assert [(row["trained on"], row["tested on"], row["n"]) for row in found["sets"]] == [
        ("a", "a", 14), ("a", "b", 6), ("b", "b", 10), ("b", "a", 10),
    ], "four patients have pictures in both sets, and are not tested across"  # fmt: skip
    assert len(pd.read_csv(run.places.tables / "segmenters.csv")) == 2 * 24 + 4 * 24 + 14 + 6 + 10 + 10
    assert "p_holm" in capsys.readouterr().out
    keep(run, "segmenters", found)
    keep(run, "pretraining", {"rows": []})
    assert list(json.loads(run.places.ablations.read_text())) == ["pretraining", "segmenters"]
    write_json({"dice": 0.9, "held_out": 3, "images": 24}, run.places.lungs_model / "run.json")
    page = "".join(lungs_part(RunFiles(run)))
    page = page.lower()
    for words in ("resunet", "with less data", "30%", "from one data set on another", "make ablations parts=views"):
        assert words in page, words


def test_without_masks_there_is_nothing_to_compare(tmp_path):
    run = open_workspace("demo", "", str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    write_json({"data": "competition", "companions": {}}, run.places.inputs)
    with pytest.raises(DataFault, match="no segmenters to compare: no lung masks"):
        measure(run)
