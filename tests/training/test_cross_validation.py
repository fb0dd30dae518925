"""The bookkeeping around a training: what is kept, what is told, what is cleaned up."""

import csv

import pytest
import torch

from cxr.training.checkpoint import RESUME, save_atomically
from cxr.training.cross_validation import run_once
from cxr.training.pretraining import _drop_cache
from cxr.training.start import Start
from cxr.workspace import open_workspace, write_json

CONFIG = {"settings": {"seed": 1}}
NOTHING = Start(None, None, ())
RECORD = {"epochs": 6, "seconds": 1.0, "clock_bound": False}


@pytest.fixture
def workspace(tmp_path):
    run = open_workspace("demo", "", "", str(tmp_path), str(tmp_path / "submissions"))
    write_json({"data": "phantom"}, run.places.inputs)
    return run


def train(workspace, record=RECORD, config=CONFIG):
    folder = workspace.places.model("studies", 0)
    return folder, run_once(workspace, folder, config, NOTHING, [], lambda: ({"w": torch.ones(1)}, record))


def events(workspace):
    path = workspace.places.timeline
    return [row["text"] for row in csv.DictReader(path.open()) if row["kind"] == "training"] if path.is_file() else []


def test_a_training_that_went_through_is_no_event(workspace):
    train(workspace)
    assert events(workspace) == []


def test_a_training_that_was_cut_short_or_resumed_stands_on_the_time_line(workspace):
    train(workspace, {**RECORD, "clock_bound": True, "resumed_after_epoch": 4})
    assert events(workspace) == [
        "models/studies/fold_0: was interrupted, went on after epoch 4",
        "models/studies/fold_0: cut short by the clock in epoch 6",
    ]


def test_a_finished_training_is_kept_and_a_checkpoint_that_it_left_goes(workspace):
    folder, trained = train(workspace)
    assert trained
    save_atomically({}, folder / RESUME)  # killed between run.json and here
    assert train(workspace)[1] is False and not (folder / RESUME).exists()
    assert train(workspace, config={"settings": {"seed": 2}})[1] is True


@pytest.mark.parametrize("keep", [True, False])
def test_pictures_of_a_pretraining_go_where_the_profile_keeps_none(tmp_path, keep):
    run = open_workspace("demo", f"images.keep_caches={'yes' if keep else 'no'}", "", str(tmp_path))
    cache = run.places.companion_cache("nih", 160)
    cache.parent.mkdir(parents=True)
    for path in (cache, cache.with_suffix(".json"), cache.with_name("rsna_160.npy")):
        path.write_bytes(b"")
    _drop_cache(run, "nih", 160)
    _drop_cache(run, "nih", 160)
    left = {path.name for path in cache.parent.iterdir()}
    assert left == ({"nih_160.npy", "nih_160.json", "rsna_160.npy"} if keep else {"rsna_160.npy"})
