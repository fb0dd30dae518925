import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from cxr.faults import DataFault
from cxr.models.unet import UNet
from cxr.prediction.segment import LungSegmenter
from cxr.profiles import Lungs
from cxr.training import segmentation
from cxr.training.losses import class_weights, lung_losses, structure_losses
from cxr.training.lung_recipes import PAPERS
from cxr.training.runs import load_state
from cxr.training.segmentation import LungPictures, score_words, segment, train_lungs, train_segmenter
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
    assert "note: lung masks: 1 of 12 pictures repeat the competition (0 train, 1 test)" in capsys.readouterr().out
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
    assert record["images"] == 30 and record["held_out"] == 6 and record["training_sources"] == ["lung masks, other"]
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


def test_pixels_that_nobody_annotated_count_for_nothing():
    mask = torch.zeros(1, 1, 4, 4)
    mask[:, :, :2], mask[:, :, 3] = 1, 255
    good = (torch.tensor([[[[1.0], [1.0], [-1.0], [0.0]]]]) * 40).expand_as(mask)
    wrong = good.clone()
    wrong[:, :, 3] = 40.0
    for logits in (good, wrong):
        losses = lung_losses(lambda pixels, logits=logits: logits, {"pixels": mask, "mask": mask})
        assert all(value.item() == pytest.approx(0, abs=1e-6) for value in losses.values())


def test_structures_are_weighted_by_how_rare_they_are():
    maps = np.zeros((1, 4, 4), np.uint8)
    maps[0, 0], maps[0, 1, :2], maps[0, 3] = 2, 3, 255
    # 6 of background, none of the heart, 4 and 2 of the lungs: 1/6, -, 1/4, 1/2, of which the heart gets the mean
    expected = np.array([1 / 6, (1 / 6 + 1 / 4 + 1 / 2) / 3, 1 / 4, 1 / 2])
    assert np.allclose(class_weights(maps, 4), expected / expected.mean())


def test_losses_of_structures_by_hand():
    target = torch.tensor([[0.0, 0.0], [2.0, 255.0]])[None, None]
    logits = torch.zeros(1, 4, 2, 2)
    losses = structure_losses(torch.tensor([1.0, 1.0, 2.0, 1.0]))(
        lambda pixels: logits, {"pixels": target, "mask": target}
    )
    assert losses["entropy"].item() == pytest.approx(np.log(4)), "a quarter for each class, whatever the weights"
    # of the structures only number 2 is drawn: 2 * .25 over three known pixels of .25^2, and 1
    assert losses["dice"].item() == pytest.approx((1 - 0.5 / (3 / 16 + 1)) / 3)
    perfect = torch.nn.functional.one_hot(target[:, 0].long().clamp(max=3), 4).movedim(-1, 1) * 80.0
    losses = structure_losses(torch.ones(4))(lambda pixels: perfect, {"pixels": target, "mask": target})
    assert losses["entropy"].item() < 1e-6 and losses["dice"].item() < 1e-6


def pictures_of(masks):
    pairs = pd.DataFrame({"image_id": [str(n) for n in range(len(masks))], "source": ["a"] * (len(masks) - 1) + ["b"]})
    return LungPictures(pairs, np.zeros_like(masks), masks)


def test_overlap_by_hand():
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[:, :2] = 1  # eight cells
    found = truth.copy()
    found[1] = 0
    found[1, 1:3] = 1  # four of them and four others: Dice 8 / 16, Jaccard 4 / 12
    words = score_words(found, pictures_of(truth))
    assert words == {
        "dice": 0.75,
        "jaccard": round((1 + 1 / 3) / 2, 4),
        "lowest_dice": 0.5,
        "dice_cleaned": 0.75,
        "under_segmented": 1,
        "dice_by_source": {"a": 1.0, "b": 0.5},
        "tested_by_source": {"a": 1, "b": 1},
    }
    truth[1, 2] = 255  # nobody knows whether the four others are lung
    assert score_words(found, pictures_of(truth))["lowest_dice"] == round(2 * 4 / (8 + 4), 4)


def test_a_speck_counts_until_masks_are_cleaned_up():
    truth = np.zeros((1, 12, 12), np.uint8)
    truth[0, 1:9, 1:4] = truth[0, 1:9, 7:10] = 1  # two lungs of 24 cells
    found = truth.copy()
    found[0, 11, 11] = 1
    words = score_words(found, pictures_of(truth))
    assert words["dice"] == round(2 * 48 / (48 + 49), 4) and words["dice_cleaned"] == 1.0


def some_pictures(count):
    rng = np.random.default_rng(0)
    masks = np.zeros((count, 32, 32), np.uint8)
    masks[:, 8:24, 6:13] = masks[:, 8:24, 19:26] = 1
    names = [f"p{n}" for n in range(count)]
    pairs = pd.DataFrame({"image_id": names, "patient_id": names, "source": "a"})
    return LungPictures(pairs, (rng.integers(120, 200, masks.shape) - 80 * masks).astype(np.uint8), masks)


def test_patience_looks_for_the_best_epoch_on_patients_set_aside(tmp_path, monkeypatch):
    seen = []
    real = segmentation.lung_loader
    monkeypatch.setattr(segmentation, "lung_loader", lambda ids, *rest: seen.append(ids) or real(ids, *rest))
    s = Lungs(width=4, depth=3, size=32, epochs=3, batch=4, lr=0.01, patience=3)
    _, record = train_segmenter(s, some_pictures(20), some_pictures(2), tmp_path, np.inf)
    assert [len(ids) for ids in seen] == [18, 2] and not set(seen[0]) & set(seen[1]), "a tenth of 20 patients"
    assert 1 <= record["best_epoch"] <= 3 and "val_total" in pd.read_csv(tmp_path / "metrics.csv")
    with pytest.raises(DataFault, match="lungs.patience=3: one patient cannot be learned from and validated on"):
        train_segmenter(s, some_pictures(1), None, tmp_path, np.inf)


@pytest.mark.parametrize("paper", PAPERS)
def test_the_papers_train_as_they_say(tmp_path, paper):
    pictures = some_pictures(12)
    if PAPERS[paper].structures:
        pictures.masks[:, :, 16:] *= 3
        pictures.masks[:, :, :16] *= 2
    s = replace(PAPERS[paper], width=4, size=32, epochs=2, batch=4)
    network, record = train_segmenter(s, pictures, None, tmp_path, np.inf)
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert record["epochs"] == 2 and segment(network, s, pictures.pixels).shape == (12, 32, 32)
    if paper == "unet_hrnet":  # Dice alone, at one rate
        assert np.allclose(table["train_total"], table["train_dice"], atol=1e-4) and set(table["lr"]) == {0.005}
    if paper == "patch_vote":  # cross entropy alone
        assert np.allclose(table["train_total"], table["train_entropy"], atol=1e-4) and set(table["lr"]) == {1e-4}


def test_each_structure_has_a_score_of_its_own():
    truth = np.zeros((1, 4, 8), np.uint8)
    truth[0, :, :2], truth[0, :, 3:5], truth[0, :, 6:] = 2, 1, 3
    found = truth.copy()
    found[0, :, 3] = 0  # half of the heart
    words = score_words(found, pictures_of(truth))
    assert words["dice"] == words["dice_right"] == words["dice_left"] == 1.0
    assert words["dice_heart"] == round(2 * 4 / (4 + 8), 4) and words["jaccard_heart"] == 4 / 8
    none = np.where(truth == 1, 0, truth)
    both = score_words(np.concatenate([found, found]), pictures_of(np.concatenate([truth, none])))
    assert both["tested_heart"] == 2 and both["dice_heart"] == round(2 / 3 / 2, 4), "a heart that is not there is wrong"
    assert both["tested_right"] == 2 and both["tested_by_source"] == {"a": 1, "b": 1}


def write_structures(folder, count):
    """JSRT pictures with SCR masks: two dark ellipses and a bright one between them, the heart over the left one."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        masks = {}
        for name, place, axes in (
            ("right lung", (15, 24), (6, 12)),
            ("left lung", (33, 24), (6, 12)),
            ("heart", (26, 30), (5, 5)),
        ):
            masks[name] = np.zeros((48, 48), np.uint8)
            cv2.ellipse(masks[name], place, axes, 0, 0, 360, 255, -1)
            path = folder / "scr" / "fold1" / "masks" / name / f"JPCLN{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), masks[name])
        dark = (masks["right lung"] | masks["left lung"]) > 0
        pixels = rng.integers(120, 160, dark.shape) - dark * 80 + (masks["heart"] > 0) * 90
        assert cv2.imwrite(str(folder / "images" / f"JPCLN{number:03d}.png"), pixels.clip(0, 255).astype(np.uint8))
    return folder


def test_heart_and_lungs_are_learned_apart(tmp_path):
    settings = SETTINGS.replace("epochs=12", "epochs=30") + " lungs.structures=yes lungs.network=resunet"
    run = workspace(tmp_path, None, settings)
    found = json.loads(run.places.inputs.read_text())
    found["companions"] = {"jsrt": str(write_structures(tmp_path / "jsrt", 30))}
    write_json(found, run.places.inputs)
    record = train_lungs(run)
    assert record["training_sources"] == ["lung masks, jsrt"]
    assert min(record[f"dice_{name}"] for name in ("right", "left", "heart")) > 0.7 and record["dice"] > 0.8
    masks = LungSegmenter(run.places.lungs_model).predict(
        cv2.imread(str(tmp_path / "jsrt/images/JPCLN000.png"), 0)[None]
    )
    assert masks.dtype == bool and masks[0, 24, 15] and masks[0, 20, 34] and not masks[0, 4, 4]


def test_structures_need_sets_that_tell_them_apart(tmp_path, capsys):
    run = workspace(tmp_path, write_pictures(tmp_path / "masks", 12), f"{SETTINGS} lungs.structures=yes")
    assert train_lungs(run) is None
    assert "0 usable pictures with a lung mask of right and left apart, which lungs.structures needs, 5 are needed" in (
        capsys.readouterr().out
    )
