"""The half precision that a machine computes in: one rule for trainings and predictions."""

import torch


def half_type(device: torch.device) -> torch.dtype:
    """bfloat16 on GPUs from Ampere on and on CPUs with AVX512-BF16 or AMX, float16 on older GPUs (T4), else float32:
    without the instructions PyTorch emulates bfloat16, slower than that."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def best_device() -> torch.device:
    """The GPU of this process, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
