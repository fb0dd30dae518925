"""ResUNet-a d6 (Diakogiannis et al. 2020, figure 1 and table 1), one task, which paper 003 compares with.

A unit adds parallel branches of two 3x3 convolutions behind batch norm and ReLU, one branch a dilation; dilations grow
fewer as pictures shrink: (1, 3, 15, 31), (1, 3, 15, 31), (1, 3, 15), (1, 3, 15), (1), (1). Down: a 1x1 convolution of
stride 2. Between encoder and decoder, and before the last layer, pyramid pooling over grids of 1, 2, 4 and 8 cells. Up:
enlargement, concatenation and a 1x1 convolution. The paper's conditioned multi-task head (edges, distances, colours)
has no counterpart here: lungs have one task.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.faults import DataFault
from cxr.models.layers import activated, check_sides, standardise

DILATIONS = ((1, 3, 15, 31), (1, 3, 15, 31), (1, 3, 15), (1, 3, 15), (1,), (1,))
GRIDS = (1, 2, 4, 8)


class AtrousUnit(nn.Module):
    """[B x C x H x W] plus its branches, same shape."""

    def __init__(self, channels: int, dilations: tuple[int, ...]):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(activated(channels, channels, dilation=rate), activated(channels, channels, dilation=rate))
            for rate in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + sum(branch(x) for branch in self.branches)


class PyramidPooling(nn.Module):
    """Means over grids of 1 to 8 cells, each through a 1x1 convolution and enlarged, beside the input: same shape."""

    def __init__(self, channels: int):
        super().__init__()
        narrow = max(1, channels // len(GRIDS))
        self.parts = nn.ModuleList(nn.Conv2d(channels, narrow, 1) for _ in GRIDS)
        self.join = nn.Sequential(
            nn.Conv2d(channels + narrow * len(GRIDS), channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [
            F.interpolate(part(F.adaptive_avg_pool2d(x, grid)), size=x.shape[2:], mode="nearest")
            for part, grid in zip(self.parts, GRIDS, strict=True)
        ]
        return self.join(torch.cat([x, *found], 1))


class ResUNetA(nn.Module):
    """Pixels uint8 [B x 1 x H x W] to mask logits [B x classes x H x W]; sides are multiples of 2**(depth - 1).

    width: channels of the first level, each level doubles it; depth: at most six levels.
    """

    def __init__(self, width: int = 32, depth: int = 6, classes: int = 1):
        super().__init__()
        if width < 1 or not 2 <= depth <= len(DILATIONS):
            raise DataFault(f"a ResUNet-a of width {width} and depth {depth} is none; take at least 1 and 2 to 6")
        widths = [width * 2**level for level in range(depth)]
        self.first = nn.Conv2d(1, width, 1)
        self.units = nn.ModuleList(AtrousUnit(w, d) for w, d in zip(widths, DILATIONS, strict=False))
        self.down = nn.ModuleList(nn.Conv2d(w, 2 * w, 1, stride=2) for w in widths[:-1])
        self.middle, self.end = PyramidPooling(widths[-1]), PyramidPooling(width)
        self.join = nn.ModuleList(_narrowed(3 * w, w) for w in reversed(widths[:-1]))
        self.back = nn.ModuleList(AtrousUnit(w, d) for w, d in list(zip(widths[:-1], DILATIONS, strict=False))[::-1])
        self.merge, self.last = _narrowed(2 * width, width), nn.Conv2d(width, classes, 1)
        self.divisor = 2 ** (depth - 1)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        x = first = self.first(standardise(pixels))
        skipped = []
        for number, unit in enumerate(self.units):
            x = unit(x)
            skipped.append(x)
            x = self.down[number](x) if number < len(self.down) else x
        x = F.relu(self.middle(x))
        for join, unit, skip in zip(self.join, self.back, reversed(skipped[:-1]), strict=True):
            x = unit(join(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1)))
        return self.last(F.relu(self.end(self.merge(torch.cat([x, first], 1)))))


def _narrowed(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
