"""Which sizes a network's layers give, without computing anything."""

import torch
from torch import nn


def output_shapes(network: nn.Module, kinds: tuple[type, ...], side: int) -> list[tuple[int, ...]]:
    """(height, width, channels) of each layer of these kinds in the order they run, for a picture of side x side.

    The network must have been built on the meta device.
    """
    seen = []

    def note(layer, given, result):
        seen.append((*result.shape[2:], result.shape[1]))

    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(note)
    network(torch.zeros(1, 1, side, side, dtype=torch.uint8, device="meta"))
    return seen
