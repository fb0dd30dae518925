"""Half precision in prediction, where the machine computes in it: two to three times as fast for large ones on a CPU.

Scores and boxes leave the networks as float32. `make bench PARTS=inference` shows speed and what AP loses.
"""

import torch
from torch import nn

from cxr.models.folding import fold_batch_norms
from cxr.models.precision import half_type


def inference_type(device: torch.device, half: bool) -> torch.dtype:
    """What a network computes in on this device; `half`: the profile allows half precision."""
    return half_type(device) if half else torch.float32


def ready(network: nn.Module, device: torch.device) -> nn.Module:
    """A network on its device, at rest, its batch norms folded, laid out as its convolutions are fastest."""
    fold_batch_norms(network.eval())
    return network.to(device, memory_format=torch.channels_last)


def autocast(device: torch.device, half: bool) -> torch.autocast:
    """The context in which a network is asked."""
    kind = inference_type(device, half)
    return torch.autocast(device.type, kind, enabled=kind != torch.float32)
