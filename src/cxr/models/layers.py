"""What the segmenters share: how a picture enters, which sides fit, and blocks that more than one of them has."""

import torch
from torch import Tensor, nn

from cxr.faults import DataFault


def standardise(pixels: Tensor) -> Tensor:
    """Each picture [B x 1 x H x W] to mean 0 and deviation 1 as float32, channels last; an even one becomes 0.

    Raises DataFault for another shape.
    """
    if pixels.ndim != 4 or pixels.shape[1] != 1:
        raise DataFault(
            f"pixels of shape {' x '.join(map(str, pixels.shape))} are no gray pictures; a segmenter takes "
            "B x 1 x H x W: keep one channel and put the pictures in a batch"
        )
    x = pixels.float()
    x = x - x.mean((1, 2, 3), keepdim=True)
    x = x / x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1.0)
    return x.contiguous(memory_format=torch.channels_last)


def check_sides(shape: tuple[int, int], divisor: int) -> None:
    """Raise DataFault unless `divisor` divides both sides."""
    height, width = shape
    if height % divisor or width % divisor:
        fitting = " x ".join(str(-(-side // divisor) * divisor) for side in (height, width))
        raise DataFault(
            f"a picture of {height} x {width} cannot be halved and put together again: each side must be a multiple "
            f"of {divisor}; pad or resize to {fitting}, or take a U-Net with fewer levels"
        )


def convolutions(channels: int, width: int, count: int = 2) -> nn.Sequential:
    """3x3 convolutions that keep the size, each with batch norm and ReLU."""
    layers = []
    for inside in (channels, *[width] * (count - 1)):
        layers += [nn.Conv2d(inside, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def activated(channels: int, width: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Batch norm and ReLU before a convolution that keeps the size, or divides it by its stride (pre-activation)."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(channels, width, kernel, stride, padding, dilation)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), convolution)
