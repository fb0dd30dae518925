"""What our trainings are measured against: ultralytics as its documentation begins, with COCO weights."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cxr.training import yolo
from cxr.training.start import Start
from cxr.workspace import write_json


@dataclass(frozen=True)
class PlainYolo:
    """`YOLO("yolo11n.pt").train(imgsz=320, epochs=20)`; AdamW at .002 is what its `auto` takes for so few images.

    The rest is ultralytics' own: batch 16, mosaic, colours, validation after every epoch, and the best epoch's weights,
    which are chosen on the very fold that they are scored on. That is in its favour.
    """

    seed: int
    model: str = "yolo11n"
    weights: str = "yolo11n"
    size: int = 320  # px
    epochs: int = 20
    optimizer: str = "AdamW"
    lr: float = 0.002
    # of the prediction: scores from .001 on, as average precision wants; the usual suppression of ours
    confidence: float = 0.001
    nms_iou: float = 0.5
    max_boxes: int = 30


def train_plain(settings: PlainYolo, data_yaml: Path, folder: Path, start: Start) -> tuple[dict[str, Tensor], dict]:
    """Train one; leaves `model.json` and `metrics.csv`, and no pictures. Returns its state dict and what to record."""
    yolo.check_prepared()
    from ultralytics import YOLO

    s = settings
    model = YOLO(f"{s.model}.yaml")
    model.model = yolo.build_detector({**model.model.yaml, "nc": 1})
    taken, scratch = yolo.take_weights(model, start), folder / "ultralytics"
    shutil.rmtree(scratch, ignore_errors=True)
    places = {"data": str(data_yaml), "project": str(folder), "name": scratch.name, "exist_ok": True}
    own = {"imgsz": s.size, "epochs": s.epochs, "optimizer": s.optimizer, "lr0": s.lr, "momentum": 0.9, "seed": s.seed}
    began = time.monotonic()
    # nothing of these changes what is learned
    model.train(**places, **own, plots=False, verbose=False, workers=0, device=yolo.device_words(), amp=False)
    write_json({"model": s.model, "yaml": model.trainer.ema.ema.yaml}, folder / "model.json")
    epochs = yolo.keep_metrics(scratch / "results.csv", folder / "metrics.csv")
    state = yolo.read_checkpoint(scratch / "weights" / "best.pt")
    seconds = round(time.monotonic() - began, 1)
    for folder_done in (scratch, data_yaml.parent):
        shutil.rmtree(folder_done)
    return state, {"epochs": epochs, "seconds": seconds, "clock_bound": False, "tensors_from_weights": taken}
