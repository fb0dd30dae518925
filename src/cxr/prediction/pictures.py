"""What a paper's classifier says of pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cxr.data.picture_batches import See, seen_pixels
from cxr.data.tasks import Pictures
from cxr.models.precision import best_device
from cxr.prediction.half import autocast, ready
from cxr.training.runs import load_weights

BATCH = 32


def classes_of(folder: Path) -> list[str]:
    """What a run folder's network tells apart."""
    return json.loads((folder / "config.json").read_text())["classes"]


def load_network(folder: Path, build: Callable[[int], nn.Module]) -> nn.Module:
    """The trained network of a run folder, at rest on the best device; as its layers are, for heat maps too."""
    network = load_weights(build(len(classes_of(folder))), folder, "config.json")
    return network.to(best_device()).eval()


def chances(network: nn.Module, pictures: Pictures, see: See, half: bool = False, batch: int = BATCH) -> np.ndarray:
    """Probabilities float32 [N x classes]. The network's batch norms are folded: it learns no more."""
    device, found = best_device(), []
    network = ready(network, device)
    for start in range(0, len(pictures), batch):
        some = pictures.take(np.arange(start, min(start + batch, len(pictures))))
        found.append(_ask(network, torch.from_numpy(seen_pixels(some, see)).to(device), half))
    return np.concatenate(found) if found else np.empty((0, 0), np.float32)


@torch.inference_mode()
def _ask(network: nn.Module, pixels: torch.Tensor, half: bool) -> np.ndarray:
    with autocast(pixels.device, half):
        logits = network(pixels)
    return logits.float().softmax(1).cpu().numpy()


def patch_chances(network: nn.Module, patches: np.ndarray, half: bool = False, batch: int = 256) -> np.ndarray:
    """Probabilities float32 [K x classes] of patches uint8 [K x p x p], many in one pass. The network must be ready."""
    device = best_device()
    parts = [torch.from_numpy(patches[start : start + batch])[:, None] for start in range(0, len(patches), batch)]
    return np.concatenate([_ask(network, part.to(device), half) for part in parts])
