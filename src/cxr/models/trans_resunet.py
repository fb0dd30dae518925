"""TransResUNet (Reza, Amin, Hashem 2020), which paper 003 compares with: a U-Net with residual units in its skips.

As its abstract has it: the encoder is the first part of an ImageNet VGG-11 (seven convolutions, 64 to 512 channels),
each skip goes through a chain of residual convolutions that is the longer the earlier it starts, so that early features
meet late ones half-way, and the way up is transposed convolution. Batch norm, the lengths of the chains (level k of n
has n - k units) and the decoder's widths are ours: only the abstract was at hand. Weights are random here.
"""

import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.models.layers import check_sides, convolutions, standardise

COUNTS = (1, 1, 2, 2, 1)  # convolutions of VGG-11 at each size: 64, 128, 256, 512, and a bridge


class ResidualPath(nn.Module):
    """So many 3x3 convolutions with a 1x1 shortcut each (as MultiResUNet's paths): same shape."""

    def __init__(self, channels: int, units: int):
        super().__init__()
        self.units = nn.ModuleList(convolutions(channels, channels, 1) for _ in range(units))
        self.shortcuts = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(units))

    def forward(self, x: Tensor) -> Tensor:
        for unit, shortcut in zip(self.units, self.shortcuts, strict=True):
            x = torch.relu(unit(x) + shortcut(x))
        return x


class TransResUNet(nn.Module):
    """Pixels uint8 [B x 1 x H x W] to mask logits [B x classes x H x W]; sides are multiples of 2**(depth - 1)."""

    def __init__(self, width: int = 64, depth: int = 5, classes: int = 1):
        super().__init__()
        if width < 1 or not 2 <= depth <= len(COUNTS):
            raise DataFault(f"a TransResUNet of width {width} and depth {depth} is none; take at least 1 and 2 to 5")
        widths = [min(width * 2**level, 8 * width) for level in range(depth)]
        self.down = nn.ModuleList(
            convolutions(a, b, count) for a, b, count in zip([1, *widths], widths, COUNTS, strict=False)
        )
        self.paths = nn.ModuleList(ResidualPath(w, depth - 1 - level) for level, w in enumerate(widths[:-1]))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, w, 2, stride=2)
            for w, below in zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True)
        )
        self.join = nn.ModuleList(convolutions(2 * w, w) for w in reversed(widths[:-1]))
        self.pool, self.last = nn.MaxPool2d(2), nn.Conv2d(width, classes, 1)
        self.divisor = 2 ** (depth - 1)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        x, skipped = standardise(pixels), []
        for level, path in zip(self.down[:-1], self.paths, strict=True):
            x = level(x)
            skipped.append(path(x))
            x = self.pool(x)
        x = self.down[-1](x)
        for up, join, skip in zip(self.up, self.join, reversed(skipped), strict=True):
            x = join(torch.cat([up(x), skip], 1))
        return self.last(x)
