"""Probabilities of a multi-label net on pictures it did not learn from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cxr.data.nih import FINDINGS
from cxr.images.resize import to_cache_size
from cxr.models.classifiers import MultiLabelNet
from cxr.training.runs import load_weights

BATCH = 32


@torch.inference_mode()
def predict_labels(folder: Path, image_ids: list[str], pixels: np.ndarray) -> pd.DataFrame:
    """pixels: uint8 [N x S x S]. Returns image_id and one probability a finding, from the net of a run folder."""
    settings = json.loads((folder / "config.json").read_text())["settings"]
    network = MultiLabelNet(settings["network"], settings["dropout"], len(FINDINGS))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = load_weights(network, folder, "config.json").to(device).eval()
    found = [np.empty((0, len(FINDINGS)))]
    for start in range(0, len(image_ids), BATCH):
        small = np.stack([to_cache_size(image, settings["size"]) for image in pixels[start : start + BATCH]])
        found.append(network(torch.from_numpy(small).to(device)[:, None]).float().sigmoid().cpu().numpy())
    table = pd.DataFrame(np.concatenate(found), columns=list(FINDINGS))
    table.insert(0, "image_id", image_ids)
    return table
