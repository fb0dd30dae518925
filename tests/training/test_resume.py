"""A training that is killed goes on after its last epoch, and ends as if nothing had happened."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxr.data.datasets import study_loader
from cxr.data.detection import detection_loader
from cxr.data.lung_batches import lung_loader
from cxr.data.multilabel import multilabel_loader
from cxr.labels import STUDY_CLASSES
from cxr.profiles import ours
from cxr.training import checkpoint
from cxr.training.checkpoint import RESUME, Pace, random_state, read_checkpoint, restore_random_state, save_atomically
from cxr.training.fit import fit
from cxr.training.recipe import Recipe, Stage
from cxr.training.runs import finish_run, is_finished, start_run

SIZE = 32


class Kill(BaseException):
    """Stands for kill -9: nothing catches it."""


class SmallNet(nn.Module):
    """Every kind of state that a training has: weights, running means, dropout's random numbers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(4, 4)

    def forward(self, pixels):
        return self.head(self.body(pixels.float() / 255).mean((2, 3)))


class Losses:
    """Cross entropy; the training is killed at the `last` call, counted from 1."""

    def __init__(self, last=0):
        self.last, self.calls = last, 0

    def __call__(self, network, batch):
        self.calls += 1
        if self.calls == self.last:
            raise Kill
        return {"class": nn.functional.cross_entropy(network(batch["pixels"]).float(), batch["target"])}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(10)], "height": SIZE, "width": SIZE})
    for column, name in enumerate(STUDY_CLASSES):
        images[name] = [float(column == n % 4) for n in range(10)]
    corners = {"x_min": 4.0, "y_min": 4.0, "x_max": 20.0, "y_max": 20.0}
    boxes = pd.DataFrame({"image_id": images["image_id"], "label": "opacity", "score": 1.0, **corners})
    return images, boxes, rng.integers(0, 255, (10, SIZE, SIZE), dtype=np.uint8)


@pytest.fixture(autouse=True)
def after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)


SETTINGS = replace(ours.STUDY, size=SIZE, batch=4, seed=1)
BOXED = replace(ours.FASTER_RCNN, size=SIZE, batch=4, seed=1)
LABELLED = replace(ours.NIH, size=SIZE, batch=4, seed=1)
STAGES = (Stage(2, 1e-2, ("head",)), Stage(4, 1e-2))


def train(data, folder, killed_at=0, **changes):
    """Ten pictures in batches of four, the last two left out: two steps an epoch, and three of validation."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    network = SmallNet()
    loaders = [study_loader(*data, SETTINGS, 8, training) for training in (True, False)]
    recipe = Recipe(**{"stages": STAGES, "seed": 1, "ema": 0.9, "validate_every": 2, **changes})
    return network, fit(network, Losses(killed_at), *loaders, recipe, folder)


def killed(data, folder, killed_at, **changes):
    with pytest.raises(Kill):
        train(data, folder, killed_at, **changes)


def equal(one, other):
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def metrics(folder):
    return pd.read_csv(folder / "metrics.csv").drop(columns="seconds")


# epochs take 2, 2 + 3, 2, 2 + 3, 2 and 2 + 3 calls: they begin at calls 1, 3, 8, 10, 15 and 17
@pytest.mark.parametrize(("killed_at", "epochs"), [(4, 1), (7, 1), (8, 2), (16, 4), (19, 5)])
def test_a_killed_training_ends_equal_to_one_that_was_not(data, tmp_path, capsys, killed_at, epochs):
    whole, record = train(data, tmp_path / "whole")
    assert "resumed_after_epoch" not in record
    killed(data, tmp_path / "killed", killed_at)
    again, resumed = train(data, tmp_path / "killed")
    assert f"goes on after epoch {epochs} of 6" in capsys.readouterr().out
    assert equal(whole, again) and resumed["resumed_after_epoch"] == epochs and resumed["epochs"] == 6
    pd.testing.assert_frame_equal(metrics(tmp_path / "whole"), metrics(tmp_path / "killed"))
    assert pd.read_csv(tmp_path / "killed" / "metrics.csv")["seconds"].is_monotonic_increasing


@pytest.mark.parametrize("changes", [{"ema": 0.0}, {"optimizer": "SGD", "warmup_fraction": 0.3}])
def test_so_does_one_without_average_and_one_with_momentum(data, tmp_path, changes):
    whole, _ = train(data, tmp_path / "whole", **changes)
    killed(data, tmp_path / "killed", 11, **changes)
    killed(data, tmp_path / "killed", 6, **changes)  # twice: the sixth call after the first kill
    assert equal(whole, train(data, tmp_path / "killed", **changes)[0])


def test_checkpoints_change_nothing(data, tmp_path, monkeypatch):
    often, _ = train(data, tmp_path / "often")
    monkeypatch.setattr(checkpoint, "EVERY", 1e9)
    never, _ = train(data, tmp_path / "never")
    assert equal(often, never)
    assert (tmp_path / "often" / RESUME).is_file() and not (tmp_path / "never" / RESUME).is_file()


def test_seconds_before_the_kill_do_not_count_against_the_new_share(data, tmp_path):
    killed(data, tmp_path, 16)
    kept = torch.load(tmp_path / RESUME, weights_only=True)
    kept["rows"][-1]["seconds"] = 5000.0
    save_atomically(kept, tmp_path / RESUME)
    _, record = train(data, tmp_path, max_seconds=60.0)
    assert record["epochs"] == 6 and not record["clock_bound"] and record["seconds"] >= 5000


def test_a_resumed_training_without_time_keeps_what_was_learned(data, tmp_path):
    killed(data, tmp_path, 16)
    _, record = train(data, tmp_path, max_seconds=0.0)
    assert record["clock_bound"] and record["resumed_after_epoch"] == 4 and 4 <= record["epochs"] <= 5


def test_a_checkpoint_of_another_recipe_is_not_used(data, tmp_path, capsys):
    killed(data, tmp_path, 16)
    _, record = train(data, tmp_path, weight_decay=0.5)
    assert "resumed_after_epoch" not in record
    assert "resume.ckpt: the checkpoint is of another training; this one begins at its start" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut off", "flipped", "empty", "no zip"])
def test_a_damaged_checkpoint_is_not_used(data, tmp_path, capsys, damage):
    killed(data, tmp_path / "run", 16)
    path = tmp_path / "run" / RESUME
    bytes_ = bytearray(path.read_bytes())
    if damage == "flipped":
        # the middle of the file lies in the tensors
        bytes_[len(bytes_) // 2] ^= 255
    path.write_bytes({"cut off": bytes_[: len(bytes_) // 2], "empty": b"", "no zip": b"abc"}.get(damage, bytes_))
    again, record = train(data, tmp_path / "run")
    assert "resumed_after_epoch" not in record and record["epochs"] == 6
    assert "the checkpoint is damaged" in capsys.readouterr().out
    assert equal(train(data, tmp_path / "whole")[0], again)


class Stranger:
    def __reduce__(self):
        return (print, ("a pickle ran code",))


def test_a_checkpoint_that_would_run_code_is_not_used(tmp_path, capsys):
    torch.save({"key": "k", "rows": Stranger()}, tmp_path / RESUME)
    assert read_checkpoint(tmp_path / RESUME, "k") is None
    said = capsys.readouterr().out
    assert "the checkpoint is damaged" in said and "a pickle ran code\n" not in said


def test_a_checkpoint_stays_with_its_configuration_and_goes_when_the_run_is_finished(tmp_path):
    start_run(tmp_path, {"epochs": 3})
    save_atomically({"key": "k"}, tmp_path / RESUME)
    start_run(tmp_path, {"epochs": 3})
    assert (tmp_path / RESUME).is_file(), "the same training again: it goes on"
    start_run(tmp_path, {"epochs": 4})
    assert not (tmp_path / RESUME).is_file(), "another one: nothing to go on with"
    save_atomically({"key": "k"}, tmp_path / RESUME)
    finish_run(tmp_path, {"w": torch.ones(1)}, {})
    assert is_finished(tmp_path, {"epochs": 4})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "run.json", "weights.pt"]


def test_every_loader_draws_the_same_numbers_again(data):
    images, boxes, pixels = data
    masks = (pixels > 100).astype(np.uint8)
    make = [
        lambda: study_loader(images, boxes, pixels, SETTINGS, 8, True),
        lambda: detection_loader(images, boxes, pixels, BOXED, True),
        lambda: multilabel_loader(images, pixels, STUDY_CLASSES, LABELLED, True),
        lambda: lung_loader(list(images["image_id"]), pixels, masks, 4, 1, True),
    ]
    for loader in make:
        first, second = loader(), loader()
        list(first)
        state = random_state([first])
        wanted = [(batch["image_id"], batch["pixels"]) for batch in first], np.random.rand(), torch.rand(1)
        restore_random_state(state, [second])
        found = [(batch["image_id"], batch["pixels"]) for batch in second], np.random.rand(), torch.rand(1)
        for (ids, batch), (same_ids, same_batch) in zip(wanted[0], found[0], strict=True):
            assert ids == same_ids and torch.equal(batch, same_batch)
        assert wanted[1:] == found[1:]


def test_a_checkpoint_is_due_after_a_while_and_later_where_writing_is_slow(monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", 0.02)
    time = [0.0]
    pace = Pace(lambda: time[0], every=15.0)

    def slow_write():
        time[0] += 2.0

    time[0] = 14.0
    assert not pace.is_due()
    time[0] = 15.0
    assert pace.is_due()
    pace.save(slow_write)
    time[0] = 17.0 + 99.0
    assert not pace.is_due(), "2 s of writing are 2 % of 100 s"
    time[0] = 17.0 + 100.0
    assert pace.is_due()
