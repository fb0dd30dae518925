"""Train one Faster R-CNN through the engine; read one back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxr.data.detection import detection_loader
from cxr.models.backbones import load_backbone
from cxr.models.detectors import FasterRcnnNet
from cxr.profiles import FasterRcnn
from cxr.training.fit import Recipe, fit, stages_of
from cxr.training.losses import detection_losses
from cxr.training.runs import load_state, load_weights
from cxr.training.start import Start

Part = tuple[pd.DataFrame, pd.DataFrame, np.ndarray]  # images, boxes, pixels


def train_faster_rcnn(
    settings: FasterRcnn, training: Part, held_out: Part | None, start: Start, folder: Path, seconds: float
) -> tuple[dict[str, Tensor], dict]:
    """Train one detector and write `metrics.csv`; returns its state dict and what to record.

    Without a box on any training image it learns that there is nothing to find, which is said.
    """
    images, boxes, _ = training
    if not boxes["image_id"].isin(images["image_id"]).any():
        print(f"note: {folder.name}: none of {len(images)} training images has a box, so it learns to find nothing")
    s = settings
    network = build_faster_rcnn(s, start)
    recipe = Recipe(
        stages_of(s, s.lr_random if start.began_random else s.lr, network.HEAD),
        s.seed,
        s.optimizer,
        s.weight_decay,
        s.warmup_fraction,
        ema=s.ema,
        max_seconds=seconds,
        validate_every=s.validate_every,
    )
    loaders = [
        detection_loader(*part, s.size, s.batch, s.seed, part is training) if part else None
        for part in (training, held_out)
    ]
    record = fit(network, detection_losses, *loaders, recipe, folder)
    return network.state_dict(), record


def build_faster_rcnn(settings: FasterRcnn, start: Start) -> FasterRcnnNet:
    """The network with random weights drawn from its seed, a pretrained backbone, or all of a pretrained detector."""
    torch.manual_seed(settings.seed)
    network = FasterRcnnNet(settings)
    if start.folder and start.folder.name.endswith("faster_rcnn"):
        return load_weights(network, start.folder, "faster_rcnn")
    if not start.is_random:
        file = start.folder / "weights.pt" if start.folder else start.file
        load_backbone(network.features, load_state(file), str(file))
    return network


def load_faster_rcnn(folder: Path) -> tuple[FasterRcnnNet, FasterRcnn]:
    """The network of a run folder, ready for prediction, and the settings that it was trained with."""
    settings = FasterRcnn(**json.loads((folder / "config.json").read_text())["settings"])
    return load_weights(FasterRcnnNet(settings), folder, "config.json").eval(), settings
