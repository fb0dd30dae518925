"""What Grad-CAM and LIME ask of a network: logits, whatever else it says, and pictures in batches."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from cxr.faults import DataFault

BATCH = 8


class Logits(nn.Module):
    """A classifier of ours as pixels to logits [B x C]: those of the classes, where it gives several things.

    Raises DataFault where a logit is no finite number, and where the network has no class of a wanted number.
    """

    def __init__(self, network: nn.Module, targets: int | np.ndarray):
        super().__init__()
        self.network = network
        self.lowest, self.highest = (int(end(targets)) if np.size(targets) else 0 for end in (np.min, np.max))

    def forward(self, pixels: Tensor) -> Tensor:
        found = self.network(pixels)
        logits = (found["classes"] if isinstance(found, dict) else found).float()
        classes = logits.shape[1]
        if self.lowest < 0 or self.highest >= classes:
            raise DataFault(
                f"heat of class {self.lowest if self.lowest < 0 else self.highest} was asked for; this network has "
                f"{classes} classes: take 0 to {classes - 1}"
            )
        if not torch.isfinite(logits).all():
            raise DataFault("a score of the network is not finite, so nothing speaks for it; train the network again")
        return logits


@contextmanager
def at_rest(network: nn.Module) -> Iterator[torch.device]:
    """The network in evaluation mode, on its device; then every layer has its own mode again, frozen ones theirs.

    captum asks for the gradients of activations alone: none is left with a parameter.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield next(network.parameters()).device
    finally:
        for module, mode in modes:
            module.training = mode


def batches(pixels: np.ndarray, targets: int | np.ndarray, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels float [B x 1 x S x S] in 0..255 and target classes int [B]; pixels: uint8 [N x S x S].

    Of pictures of several channels, uint8 [N x C x S x S], come [B x C x S x S].

    Raises DataFault unless there is one class, or one for each picture.
    """
    if np.size(targets) not in (1, len(pixels)):
        raise DataFault(f"{np.size(targets)} classes for {len(pixels)} pictures; give one, or one a picture")
    wanted = np.broadcast_to(np.asarray(targets), (len(pixels),))
    for start in range(0, len(pixels), BATCH):
        rows = slice(start, start + BATCH)
        batch = torch.from_numpy(np.stack(list(pixels[rows]))).to(device)
        yield (
            (batch[:, None] if batch.ndim == 3 else batch).float(),
            torch.from_numpy(wanted[rows].copy()).to(device),
        )


def to_unit(heat: np.ndarray) -> np.ndarray:
    """float32 [N x ...]: what speaks for the class, each picture by its own maximum in 0..1; 0 where nothing does."""
    heat = np.maximum(heat.astype(np.float32), 0)
    highest = heat.reshape(len(heat), -1).max(1, initial=0).reshape(-1, *[1] * (heat.ndim - 1))
    return np.divide(heat, highest, out=np.zeros_like(heat), where=highest > 0)
