"""What Grad-CAM and LIME ask of a network: logits, whatever else it says, and pictures in batches."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

BATCH = 8


class Logits(nn.Module):
    """A classifier of ours as pixels to logits [B x C]: those of the classes, where it gives several things."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        found = self.network(pixels)
        return (found["classes"] if isinstance(found, dict) else found).float()


@contextmanager
def at_rest(network: nn.Module) -> Iterator[torch.device]:
    """The network in evaluation mode, on its device; its mode comes back and no gradient is left behind."""
    was_training = network.training
    network.eval()
    try:
        yield next(network.parameters()).device
    finally:
        network.train(was_training)
        network.zero_grad(set_to_none=True)


def batches(pixels: np.ndarray, targets: int | np.ndarray, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels float [B x 1 x S x S] in 0..255 and target classes int [B]; pixels: uint8 [N x S x S]."""
    wanted = np.broadcast_to(np.asarray(targets), (len(pixels),))
    for start in range(0, len(pixels), BATCH):
        rows = slice(start, start + BATCH)
        yield (
            torch.from_numpy(np.stack(list(pixels[rows]))).to(device)[:, None].float(),
            torch.from_numpy(wanted[rows].copy()).to(device),
        )


def to_unit(heat: np.ndarray) -> np.ndarray:
    """float32 [N x ...]: what speaks for the class, each picture by its own maximum in 0..1; 0 where nothing does."""
    heat = np.maximum(np.nan_to_num(heat.astype(np.float32)), 0)
    highest = heat.reshape(len(heat), -1).max(1, initial=0).reshape(-1, *[1] * (heat.ndim - 1))
    return np.divide(heat, highest, out=np.zeros_like(heat), where=highest > 0)
