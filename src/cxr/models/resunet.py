"""ResUNet (Zhang, Liu, Wang 2018, figure 2 and table 1), the lung segmenter of paper 003: seven levels.

Three encoding units, a bridge and three decoding units of 64-128-256-512-256-128-64 channels. A unit is two 3x3
convolutions, each behind batch norm and ReLU, and a 1x1 shortcut; there is no pooling, the first convolution of levels
2 to 4 has stride 2. The way up is nearest-neighbour enlargement and concatenation. Paper 003 feeds it 256x256; the
sigmoid behind its last 1x1 convolution is the loss's here.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.faults import DataFault
from cxr.models.layers import activated, check_sides, standardise


class ResidualUnit(nn.Module):
    """[B x C x H x W] to [B x width x H/stride x W/stride]; `first`: the picture enters without norm and ReLU."""

    def __init__(self, channels: int, width: int, stride: int = 1, first: bool = False):
        super().__init__()
        opening = (
            nn.Conv2d(channels, width, 3, stride, padding=1) if first else activated(channels, width, stride=stride)
        )
        self.layers = nn.Sequential(opening, activated(width, width))
        self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.shortcut(x)


class ResUNet(nn.Module):
    """Pixels uint8 [B x 1 x H x W] to mask logits [B x classes x H x W]; sides are multiples of 2**(depth - 1).

    depth: levels from the picture to the bridge; the seven of the paper are depth 4, up and down.
    """

    def __init__(self, width: int = 64, depth: int = 4, classes: int = 1):
        super().__init__()
        if width < 1 or depth < 2:
            raise DataFault(f"a ResUNet of width {width} and depth {depth} is none; take at least 1 and 2")
        widths = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(
            ResidualUnit(a, b, 1 if first else 2, first)
            for first, a, b in zip((True, *[False] * (depth - 1)), [1, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(ResidualUnit(3 * narrow, narrow) for narrow in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, classes, 1)
        self.divisor = 2 ** (depth - 1)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        x, skipped = standardise(pixels), []
        for unit in self.down:
            x = unit(x)
            skipped.append(x)
        for unit, skip in zip(self.up, reversed(skipped[:-1]), strict=True):
            x = unit(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        return self.last(x)
