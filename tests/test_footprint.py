"""What a run will take: sizes that follow from the profile are those of the files, and what does not fit is said."""

import argparse
import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxr.data.yolo_labels import PNG_FLAGS
from cxr.footprint import disk, disk_notes, memory, peak_bytes
from cxr.footprint.command import add_arguments, main
from cxr.footprint.counts import Counts, trainings
from cxr.footprint.in_memory import KAGGLE_GPU, KAGGLE_MEMORY, OWN, PAGES, gpu, memory_by_stage
from cxr.footprint.networks import LiveBytes, Step, _line, build, made_up_batch, training_step, weight_bytes
from cxr.footprint.on_disk import YOLO_PNG, bytes_by_stage
from cxr.footprint.room import KAGGLE_DISK
from cxr.images.outputs import CacheWriter
from cxr.images.resize import to_cache_size
from cxr.phantom.pictures import draw_picture
from cxr.profiles import PROFILES, load_profile
from cxr.stamps import reached_modules
from cxr.workspace import open_workspace, write_json

DEMO, KAGGLE = PROFILES["demo"], PROFILES["kaggle"]
ALL = Counts(test=6334)  # the hidden test set is about as large as the training set
NETWORKS = ("nih", "lungs", "yolo", "faster_rcnn", "study")
HEADER = 128  # bytes of an .npy file


def weightless(_):
    return 0.0


def size_of(table, what):
    return int(table.loc[table["what"] == what, "bytes"].iloc[0])


def test_limits_of_the_profile_hold_and_never_more_is_taken_than_there_is():
    drawn = Counts().drawn(KAGGLE)
    # 6012 with a box, and half as many without; 40 000 of NIH; no limit on the training images
    assert (drawn.rsna, drawn.nih, drawn.train) == (6012 + 3006, 40_000, 6334)
    few = Counts(train=100, nih=50, rsna=40, rsna_boxed=30).drawn(DEMO)
    assert (few.train, few.nih, few.rsna) == (100, 50, 30 + 10), "only ten are without a box"
    assert Counts().drawn(load_profile("kaggle", "nih.use=no rsna.use=no"))[2:4] == (0, 0)


def test_a_training_without_epochs_or_pictures_is_not_planned():
    names = [training.name for training in trainings(PROFILES["paper"], Counts(lungs=0))]
    assert names == ["pretrain_nih", "pretrain_rsna_yolo", "yolo", "faster_rcnn", "studies"]


def test_further_detectors_and_best_weights_take_room():
    full = PROFILES["full"]
    names = [training.name for training in trainings(full, Counts())]
    assert names[2:4] == ["pretrain_rsna_faster_rcnn", "pretrain_rsna_retinanet"] and names[-2] == "retinanet"
    table = disk(full, Counts(), lambda _: 1000)
    assert size_of(table, "retinanet, best") == 5 * 1000 and "yolo, best" not in set(table["what"])
    assert "studies, best" not in set(disk(KAGGLE, Counts(), lambda _: 1000)["what"])
    # pictures before the centre crop, of both parts
    paper = disk(PROFILES["paper"], Counts(), weightless)
    assert size_of(paper, "NIH test cache") / size_of(paper, "NIH cache") == pytest.approx(25_596 / 86_524)


def test_a_cache_has_the_size_of_its_pictures(tmp_path):
    path = tmp_path / "train_320.npy"
    with CacheWriter(path, 320) as cache:
        for _ in range(3):
            cache.append(np.zeros((320, 320), np.uint8))
    table = disk(DEMO, Counts(train=3), weightless)
    assert size_of(table, "training cache") == 3 * 320 * 320 == path.stat().st_size - HEADER


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_have_the_size_of_their_file(name, tmp_path):
    section, path = getattr(DEMO, name), tmp_path / "weights.pt"
    torch.save(build(section).state_dict(), path)
    assert weight_bytes(section) == pytest.approx(path.stat().st_size, rel=0.02), "names and shapes stand there too"


def test_a_png_of_a_radiograph_has_the_bytes_a_pixel_that_are_counted():
    picture = draw_picture(0, "footprint", (0, 0, 0, 0), "typical", None, (900, 800)).pixels
    small = to_cache_size(np.uint8(255 * picture), 256)
    assert len(cv2.imencode(".png", small, PNG_FLAGS)[1]) / 256**2 == pytest.approx(YOLO_PNG, rel=0.3)


def test_the_peak_is_the_stage_in_which_most_lies_there():
    rows = [("a", "x", 5, "01", ""), ("b", "x", 7, "04", "04"), ("c", "x", 3, "05", "05"), ("d", "x", 1, "05", "")]
    table = pd.DataFrame(rows, columns=["what", "where", "bytes", "first", "last"])
    stages = bytes_by_stage(table)
    # 04: 5 + 7; 05: 5 + 3 + 1; afterwards 5 + 1
    assert [stages[name] for name in ("00", "01", "04", "05", "12")] == [0, 5, 12, 9, 6] and peak_bytes(table) == 12


def test_without_keeping_caches_they_are_gone_after_their_stage():
    kept, dropped = (
        disk(load_profile("kaggle", f"images.keep_caches={word}"), weigh=weightless) for word in ("yes", "no")
    )
    gone = {"NIH cache", "RSNA cache", "YOLO folder of RSNA"}
    assert gone <= set(kept.loc[kept["last"] == "", "what"]) and not gone & set(
        dropped.loc[dropped["last"] == "", "what"]
    )
    assert size_of(kept, "YOLO folders, 5") == pytest.approx(5 * size_of(dropped, "YOLO folders, 1"))
    assert peak_bytes(dropped) < peak_bytes(kept)


def test_the_profile_kaggle_fits_a_session_with_the_real_data():
    assert peak_bytes(disk(KAGGLE, ALL)) < KAGGLE_DISK / 2, "room for what a user adds"
    assert memory_by_stage(memory(KAGGLE, ALL)).max() < KAGGLE_MEMORY


def test_a_checkpoint_holds_weights_optimiser_and_average_twice():
    table = disk(KAGGLE, ALL, lambda _: 1000)
    # AdamW keeps two tensors a parameter, SGD one; studies and YOLO have an average, Faster R-CNN has none
    assert size_of(table, "studies, checkpoint") == 2 * 1000 * (1 + 2 + 1)
    assert size_of(table, "yolo, checkpoint") == 2 * 1000 * (1 + 1 + 1)
    assert size_of(table, "faster_rcnn, checkpoint") == 2 * 1000 * (1 + 2)
    assert "yolo, checkpoint" not in set(disk(DEMO, ALL, lambda _: 1000)["what"]), "it begins again"


def test_ultralytics_keeps_its_pictures_in_three_colours_beside_ours():
    table = memory(KAGGLE, ALL)
    rows = table[table["stage"] == "07"].set_index("what")
    assert rows.loc["ultralytics' pictures in colour", "bytes"] == 3 * 6334 * 512**2
    assert rows.loc["pictures at YOLO's size", "bytes"] == 6334 * 512**2, "the cache has that size: no second copy"
    assert rows.loc["training cache", "kind"] == PAGES
    own = table[(table["stage"] == "07") & (table["kind"] == OWN)]["bytes"].sum()
    assert memory_by_stage(table)["07"] == own


def test_live_bytes_are_those_between_birth_and_end():
    given = torch.ones(1000)
    with LiveBytes([given]) as counter:
        kept = given * 2  # 4000 bytes
        view = kept[:10]  # no new memory
        for _ in range(3):
            passing = kept.exp()  # 4000 more, then freed
            del passing
        half = kept.to(torch.bfloat16)  # 2000
    assert counter.peak == 8000 and counter.live == 6000 and view.numel() + half.numel() == 1010


def test_two_batches_give_a_line():
    assert _line(DEMO.lungs, lambda network, section, count: 100 + 7 * count) == Step(100, 7)


def test_activations_are_those_that_a_layer_keeps(monkeypatch):
    monkeypatch.setattr("cxr.footprint.networks.build", lambda _: nn.Conv2d(1, 8, 1))
    monkeypatch.setattr(
        "cxr.footprint.networks.losses_of",
        lambda _: lambda net, batch: {"a": net(batch["pixels"].float()).float().sum()},
    )
    section, pixels = dataclasses.replace(DEMO.lungs, seed=99), 96 * 96
    # of a picture: the input in bfloat16 (its float32 is gone by then), eight channels in bfloat16 and in float32
    assert training_step(section).a_picture == pixels * (2 + 8 * 2 + 8 * 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_a_profile_can_be_measured(name):
    section = dataclasses.replace(getattr(DEMO, name), size=64)
    step, pixels = training_step(section), made_up_batch(section, 1)["pixels"].numel()
    assert step.a_picture > 20 * pixels, "activations are many times the picture"
    assert step.of(4) - step.of(2) == pytest.approx(2 * step.a_picture)


@pytest.mark.slow
def test_the_profile_kaggle_fits_one_gpu():
    table = gpu(KAGGLE, ALL)
    # in the order of the stages; the pretrainings of 05 have the networks of 07 and 08
    sections = ["nih", "yolo", "faster_rcnn", "lungs", "study"]
    assert list(table["batch"]) == [*(getattr(KAGGLE, name).batch for name in sections), KAGGLE.prediction.batch]
    assert table["training"].iloc[-1] == "prediction" and (table["sum"] < KAGGLE_GPU).all()


@pytest.fixture
def run(tmp_path):
    workspace = open_workspace("demo", "", str(tmp_path / "input"), str(tmp_path), str(tmp_path / "submissions"))
    found = {"train_images": 437, "test_images": 147, "companions": {}, "data": "phantom"}
    write_json(found, workspace.places.inputs)
    return workspace


def with_free(monkeypatch, count):
    monkeypatch.setattr("cxr.footprint.room.shutil.disk_usage", lambda _: argparse.Namespace(free=count))


def test_too_little_room_is_said_with_the_way_out(run, monkeypatch):
    with_free(monkeypatch, 50e6)
    (line,) = disk_notes(run)
    assert line.startswith(f"{run.places.working}: 0.1 GB of room, but in stage ")
    assert 'SET="images.png=no images.keep_caches=no"' in line and "\n" not in line


def test_enough_room_is_not_mentioned_and_networks_are_not_built(run, monkeypatch):
    with_free(monkeypatch, 500e9)
    built = []
    monkeypatch.setattr("cxr.footprint.networks.weight_bytes", built.append)
    assert disk_notes(run) == [] and not built


def test_what_the_run_left_before_counts_as_room(run, monkeypatch):
    need = peak_bytes(disk(run.profile, Counts(train=437, test=147, nih=0, rsna=0, rsna_boxed=0, lungs=0)))
    with_free(monkeypatch, need - 1_000_000)
    assert len(disk_notes(run)) == 1
    (run.places.root / "half").write_bytes(bytes(1_000_001))
    assert disk_notes(run) == []


def test_on_kaggle_no_more_counts_than_a_session_keeps(run, monkeypatch):
    write_json({**run.inputs, "train_images": 10**6}, run.places.inputs)
    profile = load_profile("demo", "images.train_limit=0")
    with_free(monkeypatch, 500e12)
    workspace = dataclasses.replace(run, profile=profile)
    assert disk_notes(workspace) == []
    monkeypatch.setattr("cxr.footprint.room.on_kaggle", lambda: True)
    assert "20.0 GB of room" in disk_notes(workspace)[0]


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--train", "9000000"], 1)])
def test_the_command_tells_whether_it_fits(words, code, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert main(parser.parse_args(["--profile", "demo", "--set", "images.train_limit=0 images.png=no", *words])) == code
    told = capsys.readouterr().out
    assert "peak of disk" in told and ("TOO MUCH" in told) == bool(code) and "training cache" in told


def test_stage_00_may_ask_for_room_without_depending_on_networks():
    reached = reached_modules({"cxr.footprint.room"})
    assert not [name for name in reached if name.startswith(("cxr.models", "cxr.training", "cxr.footprint.networks"))]
