"""Half precision in prediction, where the machine computes in it: two to four times as fast for large networks.

bfloat16 on GPUs from Ampere on and on CPUs with AVX512-BF16 or AMX; float16 on older GPUs (T4); else float32, since
PyTorch would emulate the rest slower than that. Scores leave the networks as float32; AP moves by less than .002
(`make bench PARTS=inference`).
"""

import torch
from torch import nn


def inference_type(device: torch.device, half: bool) -> torch.dtype:
    """What a network computes in on this device; `half`: the profile allows it."""
    if not half:
        return torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def ready(network: nn.Module, device: torch.device) -> nn.Module:
    """A network on its device, at rest, laid out as its convolutions are fastest."""
    return network.to(device, memory_format=torch.channels_last).eval()


def autocast(device: torch.device, half: bool) -> torch.autocast:
    """The context in which a network is asked."""
    kind = inference_type(device, half)
    return torch.autocast(device.type, kind, enabled=kind != torch.float32)
