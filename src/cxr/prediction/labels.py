"""Probabilities of a multi-label net on pictures it did not learn from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cxr.data.nih import FINDINGS
from cxr.images.centre import centre_window, see_centre
from cxr.models.classifiers import MultiLabelNet
from cxr.training.runs import load_weights

BATCH = 32


@torch.inference_mode()
def predict_labels(folder: Path, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
    """images: image_id, height, width; pixels: uint8 [N x S x S], same rows. Returns image_id and one probability a
    finding, from the net of a run folder."""
    settings = json.loads((folder / "config.json").read_text())["settings"]
    network = MultiLabelNet(settings["network"], settings["dropout"], len(FINDINGS))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = load_weights(network, folder, "config.json").to(device).eval()
    found = [np.empty((0, len(FINDINGS)))]
    windows = [
        centre_window(row.height, row.width, settings["size"], settings["resize"]) for row in images.itertuples()
    ]
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        seen = zip(pixels[rows], windows[rows], strict=True)
        small = np.stack([see_centre(picture, window, settings["size"]) for picture, window in seen])
        found.append(network(torch.from_numpy(small).to(device)[:, None]).float().sigmoid().cpu().numpy())
    table = pd.DataFrame(np.concatenate(found), columns=list(FINDINGS))
    table.insert(0, "image_id", list(images["image_id"]))
    return table
