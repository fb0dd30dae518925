import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from cxr.models.unet import UNet
from cxr.training.runs import load_state
from cxr.training.segmentation import lung_losses, overlap_scores, train_lungs
from cxr.workspace import open_workspace, write_json

SLUG = "chest-xray-masks-and-labels"
SETTINGS = "lungs.width=4 lungs.depth=3 lungs.size=32 lungs.epochs=12 lungs.batch=4 lungs.lr=0.02"


def write_pictures(folder, count):
    """Noise with two dark ellipses, which are the mask."""
    rng = np.random.default_rng(0)
    for part in ("CXR_png", "masks"):
        (folder / "Lung Segmentation" / part).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        mask, top = np.zeros((48, 48), np.uint8), int(rng.integers(20, 28))
        for x in (15, 33):
            cv2.ellipse(mask, (x, top), (6, 12), 0, 0, 360, 255, -1)
        pixels = (rng.integers(120, 200, mask.shape) - (mask > 0) * 80).astype(np.uint8)
        assert cv2.imwrite(str(folder / "Lung Segmentation" / "CXR_png" / f"p{number}.png"), pixels)
        assert cv2.imwrite(str(folder / "Lung Segmentation" / "masks" / f"p{number}_mask.png"), mask)
    return folder


def workspace(tmp_path, folder=None, settings=SETTINGS):
    run = open_workspace("demo", settings, str(tmp_path / "input"), str(tmp_path / "w"), str(tmp_path / "s"))
    companions = {SLUG: str(folder or "")}
    write_json({"data": "competition", "competition": "", "companions": companions}, run.places.inputs)
    run.places.fingerprints.parent.mkdir(parents=True, exist_ok=True)  # of a competition with no picture
    no_text = dict.fromkeys(("image_id", "part", "pixel_hash"), np.empty(0, str))
    np.savez(run.places.fingerprints, thumbnails=np.empty((0, 64, 64), np.uint8), **no_text)
    return run


def test_a_picture_that_the_competition_has_is_left_out(tmp_path, capsys):
    run = workspace(
        tmp_path, write_pictures(tmp_path / "masks", 12), "lungs.size=64 lungs.width=4 lungs.depth=3 lungs.epochs=1"
    )
    pixels = cv2.imread(str(tmp_path / "masks" / "Lung Segmentation" / "CXR_png" / "p7.png"), cv2.IMREAD_GRAYSCALE)
    thumbnail = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA)[None]
    known = {"image_id": ["t1"], "part": ["test"], "pixel_hash": ["0"]}
    np.savez(run.places.fingerprints, thumbnails=thumbnail, **known)
    assert train_lungs(run)["images"] == 11
    assert f"note: {SLUG}: 1 of 12 pictures repeat the competition (0 train, 1 test)" in capsys.readouterr().out
    assert pd.read_csv(run.places.refused_table)["image_id"].tolist() == ["p7"]


def leave_older_results(places):
    places.lungs.mkdir(parents=True)
    (places.lungs / "a.png").touch()
    places.lungs_model.mkdir(parents=True)
    (places.lungs_model / "run.json").write_text("{}")
    places.lungs_table.parent.mkdir(parents=True)
    places.lungs_table.touch()


def test_a_training_finds_the_lungs_and_records_how_well(tmp_path):
    run = workspace(tmp_path, write_pictures(tmp_path / "masks", 30))
    record = train_lungs(run)
    folder = run.places.lungs_model
    assert record["dice"] > 0.8 and 0 < record["jaccard"] < record["dice"] and record["lowest_dice"] <= record["dice"]
    assert record["images"] == 30 and record["held_out"] == 6 and record["training_sources"] == [SLUG]
    assert record == json.loads((folder / "run.json").read_text())
    UNet(4, 3).load_state_dict(load_state(folder / "weights.pt"))
    table = pd.read_csv(folder / "metrics.csv")
    assert {"train_bce", "train_dice", "val_bce", "val_dice", "lr"} <= set(table.columns) and len(table) == 12
    assert table["val_dice"].iloc[-1] < table["val_dice"].iloc[0]


def test_a_finished_training_is_kept_until_settings_or_pictures_change(tmp_path, capsys):
    short = SETTINGS.replace("epochs=12", "epochs=1")
    folder = write_pictures(tmp_path / "masks", 12)
    first = train_lungs(workspace(tmp_path, folder, short))
    before = (tmp_path / "w" / "demo" / "models" / "lungs" / "weights.pt").stat().st_mtime_ns
    assert train_lungs(workspace(tmp_path, folder, short)) == first
    assert "trained already, kept" in capsys.readouterr().out
    write_pictures(tmp_path / "masks", 13)
    assert train_lungs(workspace(tmp_path, folder, short))["images"] == 13
    assert (tmp_path / "w" / "demo" / "models" / "lungs" / "weights.pt").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("count", "reason"), [(0, "no lung masks"), (3, "has 3 usable pictures with a lung mask, 5 are")]
)
def test_without_masks_the_run_goes_on_and_older_results_are_gone(tmp_path, capsys, count, reason):
    run = workspace(tmp_path, write_pictures(tmp_path / "masks", count) if count else None)
    leave_older_results(run.places)
    assert train_lungs(run) is None
    assert reason in json.loads((run.places.lungs_model / "absent.json").read_text())["reason"]
    assert [path.name for path in run.places.lungs_model.iterdir()] == ["absent.json"]
    assert not run.places.lungs.exists() and not run.places.lungs_table.exists()
    told = capsys.readouterr().out
    assert reason in told and "the run goes on without" in told and told.count("\n") == 1


def test_masks_that_arrive_later_replace_the_note(tmp_path):
    train_lungs(workspace(tmp_path, None))
    run = workspace(tmp_path, write_pictures(tmp_path / "masks", 12), SETTINGS.replace("epochs=12", "epochs=1"))
    assert train_lungs(run)["images"] == 12
    assert not (run.places.lungs_model / "absent.json").exists()


def test_losses_are_counted_in_float32_where_the_network_gives_bf16():
    torch.manual_seed(0)
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 10:50, 10:50] = 1
    logits = (torch.randn(mask.shape) + 4 * mask - 2).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        rough = lung_losses(lambda pixels: logits, {"pixels": mask, "mask": mask})
    exact = lung_losses(lambda pixels: logits.double(), {"pixels": mask, "mask": mask})
    assert set(rough) == {"bce", "dice"}
    assert all(abs(rough[name] - exact[name]) < 1e-5 for name in exact), "bf16 has three digits"


def test_a_perfect_answer_costs_nothing():
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:5] = 1
    losses = lung_losses(lambda pixels: (mask * 2 - 1) * 40, {"pixels": mask, "mask": mask})
    assert all(value.item() == pytest.approx(0, abs=1e-6) for value in losses.values())


def test_overlap_by_hand():
    truth = np.zeros((2, 4, 4), bool)
    truth[:, :2] = True  # eight cells
    found = truth.copy()
    found[1] = False
    found[1, 1:3] = True  # four of them and four others: Dice 8 / 16, Jaccard 4 / 12
    assert overlap_scores(found, truth) == {"dice": 0.75, "jaccard": round((1 + 1 / 3) / 2, 4), "lowest_dice": 0.5}
