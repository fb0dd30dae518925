"""Train one torchvision detector through the engine; read one back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxr.data.detection import detection_loader, note_without_boxes
from cxr.models.architectures import build_detector
from cxr.models.backbones import load_backbone
from cxr.models.detectors import DetectorNet
from cxr.profiles import FasterRcnn
from cxr.training.aside import set_aside
from cxr.training.fit import fit
from cxr.training.losses import detection_losses
from cxr.training.recipe import recipe_of, stages_of
from cxr.training.runs import load_state, load_weights
from cxr.training.start import Start

Part = tuple[pd.DataFrame, pd.DataFrame, np.ndarray]  # images, boxes, pixels


def train_detector(
    architecture: str,
    settings: FasterRcnn,
    training: Part,
    held_out: Part | None,
    start: Start,
    folder: Path,
    seconds: float,
) -> tuple[dict[str, Tensor], dict]:
    """Train one detector and write `metrics.csv`; returns its state dict and what to record.

    Without a box on any training image it learns that there is nothing to find, which is said. With `patience` a tenth
    of the training patients shows in `metrics.csv` in place of `held_out`.
    """
    s = settings
    if s.patience:
        training, held_out = set_aside(training, f"{architecture}.patience")
    note_without_boxes(folder.name, *training[:2])
    network = start_detector(architecture, s, start)
    stages = stages_of(s, s.lr_random if start.began_random else s.lr, network.HEAD)
    recipe = recipe_of(s, stages, seconds, validate_every=s.validate_every, patience=s.patience)
    loaders = [detection_loader(*part, s, part is training) if part else None for part in (training, held_out)]
    record = fit(network, detection_losses, *loaders, recipe, folder)
    return network.state_dict(), {**record, "architecture": architecture}


def start_detector(architecture: str, settings: FasterRcnn, start: Start) -> DetectorNet:
    """The network with random weights drawn from its seed, a pretrained backbone, or all of a pretrained detector."""
    torch.manual_seed(settings.seed)
    network = build_detector(architecture, settings)
    if start.folder and start.folder.name.endswith(architecture):
        return load_weights(network, start.folder, architecture)
    if not start.is_random:
        file = start.folder / "weights.pt" if start.folder else start.file
        load_backbone(network.features, load_state(file), str(file))
    return network


def load_detector(folder: Path) -> tuple[DetectorNet, FasterRcnn]:
    """The network of a run folder, ready for prediction, and the settings that it was trained with."""
    settings = FasterRcnn(**json.loads((folder / "config.json").read_text())["settings"])
    architecture = json.loads((folder / "run.json").read_text())["architecture"]
    return load_weights(build_detector(architecture, settings), folder, "config.json").eval(), settings
