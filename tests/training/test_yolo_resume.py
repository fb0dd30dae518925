"""A YOLO training that is killed goes on after its last epoch where the profile says so, and begins again elsewhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cxr.data.yolo_labels import write_yolo
from cxr.profiles import Yolo
from cxr.training import checkpoint, yolo
from cxr.training.checkpoint import RESUME
from cxr.training.start import Start
from cxr.training.yolo_resume import YoloCheckpoints

pytestmark = pytest.mark.slow  # each training takes seconds to begin and to end
SETTINGS = Yolo(
    model="yolo11n", size=64, epochs=5, batch=2, nominal_batch=2, optimizer="AdamW", lr=0.001, mosaic=0.5, mixup=0.0
)
PROGRAM = """
import json, sys
from pathlib import Path
from cxr.profiles import Yolo
from cxr.training import checkpoint, yolo
from cxr.training.start import Start
checkpoint.EVERY = 0.0
root = Path(sys.argv[1])
yolo.prepare(root / "config")
settings = Yolo(**json.loads(sys.argv[2]))
yolo.train_yolo(settings, root / "data" / "data.yaml", root / sys.argv[3], Start(None, None, ()), 600, "test")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Eight pictures as a YOLO data set, half of them to learn from."""
    root = tmp_path_factory.mktemp("yolo")
    yolo.prepare(root / "config")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (8, 64, 64), dtype=np.uint8)
    pixels[:, 16:48, 16:48] += 150
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(8)], "height": 64, "width": 64})
    corners = {"x_min": 16.0, "y_min": 16.0, "x_max": 48.0, "y_max": 48.0}
    boxes = pd.DataFrame({"image_id": images["image_id"], "label": "opacity", "score": 1.0, **corners})
    write_yolo(root / "data", images, boxes, pixels, list(images["image_id"][:4]), list(images["image_id"][4:]))
    return root


@pytest.fixture(autouse=True)
def after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)


def train(root, name, settings=SETTINGS, **more):
    (root / name).mkdir(exist_ok=True)
    return yolo.train_yolo(settings, root / "data" / "data.yaml", root / name, Start(None, None, ()), 600, name, **more)


@pytest.fixture(scope="module")
def whole(root):
    return train(root, "whole", replace(SETTINGS, resume=False))


class Kill(BaseException):
    """Stands for kill -9: nothing catches it."""


def kill_after(root: Path, name: str, epoch: int) -> None:
    """Train in a process of its own, and kill -9 it in the epoch after `epoch`."""
    (root / name).mkdir()
    command = [sys.executable, "-c", PROGRAM, str(root), json.dumps(asdict(SETTINGS)), name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    for line in process.stdout:
        # said when its batches have been seen, before it is saved
        if f"epoch {epoch + 1:2d}/" in line:
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def same_metrics(one, other):
    tables = [pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (one, other)]
    pd.testing.assert_frame_equal(*tables)


def test_checkpoints_change_nothing(root, whole):
    state, record = train(root, "often")
    assert equal(whole[0], state) and "resumed_after_epoch" not in record
    assert (root / "often" / RESUME).is_file() and not (root / "whole" / RESUME).is_file()


def test_a_killed_training_goes_on_by_epoch(root, whole, capsys):
    kill_after(root, "killed", 2)
    kept = torch.load(root / "killed" / RESUME, weights_only=True)["epoch"]
    state, record = train(root, "killed")
    said = capsys.readouterr().out
    assert f"goes on after epoch {kept} of 5" in said and f"epoch {kept + 1:2d}/5" in said
    assert f"epoch {kept:2d}/5" not in said, "what was done is not done again"
    assert kept in (2, 3) and record["resumed_after_epoch"] == kept and record["epochs"] == 5
    assert pd.read_csv(root / "killed" / "metrics.csv")["seconds"].is_monotonic_increasing
    same_metrics(root / "killed", root / "whole")
    assert equal(whole[0], state), "one process, and batches that are not accumulated: the same random numbers"


# mosaic ends after the sixth of eight epochs; three in a batch leave a last one of one, two leave none
@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("epoch", [4, 6, 7])
def test_a_resumed_training_draws_the_same_numbers(root, monkeypatch, batch, epoch):
    settings = replace(SETTINGS, epochs=8, batch=batch, nominal_batch=batch)
    kept, folder = root / f"whole-{batch}", root / f"killed-{batch}-{epoch}"
    if not kept.exists():
        torch.save(train(root, kept.name, settings)[0], kept / "state.pt")
    save = YoloCheckpoints.save

    def save_and_die(self, trainer):
        save(self, trainer)
        if trainer.epoch + 1 == epoch:
            raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(YoloCheckpoints, "save", save_and_die)
        with pytest.raises(Kill):
            train(root, folder.name, settings)
    state, record = train(root, folder.name, settings)
    assert record["resumed_after_epoch"] == epoch
    assert equal(torch.load(kept / "state.pt", weights_only=True), state)
    same_metrics(folder, kept)


def test_without_resume_it_begins_again(root, whole, capsys):
    (root / "again").mkdir()
    (root / "again" / RESUME).write_bytes(b"from a run with other settings")
    state, record = train(root, "again", replace(SETTINGS, resume=False))
    assert equal(whole[0], state) and "resumed_after_epoch" not in record and "epoch  1/5" in capsys.readouterr().out


def test_pictures_go_after_the_training_where_caches_are_not_kept(root, tmp_path):
    shutil.copytree(root / "data", tmp_path / "data")
    text = (tmp_path / "data" / "data.yaml").read_text().replace(str(root), str(tmp_path))
    (tmp_path / "data" / "data.yaml").write_text(text)
    train(tmp_path, "run", replace(SETTINGS, epochs=1), keep_data=False)
    assert not (tmp_path / "data").exists() and (tmp_path / "run" / "metrics.csv").is_file()
