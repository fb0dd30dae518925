"""The lung segmenter: the U-Net of paper 000, table 4.

| | paper 000 | ours |
|---|---|---|
| channels | 32-64-128-256-512 and back | `width` is the first level's, each level doubles it |
| a level | two convolutions with ReLU | 3x3 and padded (the table keeps sizes, and is silent on kernels) |
| normalisation | none stated | batch norm before each ReLU |
| down, up | max pooling, transposed convolution, concatenation | 2x2, stride 2 |
| last layer | one channel, ReLU | 1x1 without ReLU: logits, for losses with a sigmoid of their own |
| input | 512x512x1 | any sides that `2**(depth - 1)` divides, each picture brought to mean 0 and deviation 1 |
"""

import numpy as np
import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.images.resize import to_cache_size

BATCH = 16


class UNet(nn.Module):
    """Pixels uint8 [B x 1 x H x W] to mask logits [B x 1 x H x W].

    width: channels of the first level; depth: number of levels, the table has 5. Raises DataFault when they make no
    U-Net, and in the forward pass when a side cannot be halved depth - 1 times.
    """

    def __init__(self, width: int = 32, depth: int = 5):
        super().__init__()
        if width < 1 or depth < 2:
            raise DataFault(f"a U-Net of width {width} and depth {depth} is none; take at least 1 and 2")
        widths = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(two_convolutions(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * narrow, narrow, kernel_size=2, stride=2) for narrow in reversed(widths[:-1])
        )
        self.join = nn.ModuleList(two_convolutions(2 * narrow, narrow) for narrow in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, 1, kernel_size=1)
        self.pool = nn.MaxPool2d(2)
        self.divisor = 2 ** (depth - 1)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        x, skipped = standardise(pixels).contiguous(memory_format=torch.channels_last), []
        for level in self.down[:-1]:
            x = level(x)
            skipped.append(x)
            x = self.pool(x)
        x = self.down[-1](x)
        for up, join, skip in zip(self.up, self.join, reversed(skipped), strict=True):
            x = join(torch.cat([up(x), skip], 1))
        return self.last(x)


def two_convolutions(channels: int, width: int) -> nn.Sequential:
    """Two 3x3 convolutions that keep the size, each with batch norm and ReLU."""
    layers = []
    for inside in (channels, width):
        layers += [nn.Conv2d(inside, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def standardise(pixels: Tensor) -> Tensor:
    """Each picture [B x 1 x H x W] to mean 0 and deviation 1 as float32; an even one becomes 0."""
    x = pixels.float()
    x = x - x.mean((1, 2, 3), keepdim=True)
    return x / x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1.0)


def check_sides(shape: tuple[int, int], divisor: int) -> None:
    """Raise DataFault unless `divisor` divides both sides."""
    height, width = shape
    if height % divisor or width % divisor:
        fitting = " x ".join(str(-(-side // divisor) * divisor) for side in (height, width))
        raise DataFault(
            f"a picture of {height} x {width} cannot be halved and put together again: each side must be a multiple "
            f"of {divisor}; pad or resize to {fitting}, or take a U-Net with fewer levels"
        )


@torch.inference_mode()
def lung_probabilities(network: nn.Module, pixels: np.ndarray, size: int) -> np.ndarray:
    """Pictures uint8 [N x S x S] to probabilities float32 [N x size x size], on the device where the network is."""
    device, found = next(network.parameters()).device, [np.empty((0, size, size), np.float32)]
    network.eval()
    for start in range(0, len(pixels), BATCH):
        small = np.stack([to_cache_size(picture, size) for picture in pixels[start : start + BATCH]])
        logits = network(torch.from_numpy(small)[:, None].to(device))
        found.append(logits[:, 0].float().sigmoid().cpu().numpy())
    return np.concatenate(found)
