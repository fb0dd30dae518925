"""ResUNet-a d6 (beside paper 003's ResUNet): Diakogiannis et al. 2020, for one task.

A U-Net of six levels whose blocks look at several distances at once (atrous convolutions side by side), with pyramid
pooling at the bottom and at the end. The distances are those for pictures of 256 px, which paper 003 uses.

| | the authors' d6 | ours |
|---|---|---|
| channels | 32-64-128-256-512-1024 and back | `width` is the first level's |
| dilations, down | 1 3 15 31; 1 3 15 31; 1 3 15; 1 3 5; 1; 1 | the same |
| dilations, up from level 5 to 1 | 1 3 5; 1 3 15; 1 3 15 31 three times | the same |
| a branch of a block | batch norm, ReLU, convolution, twice; all branches are added to the input | the same |
| down | convolution of stride 2: 1x1 in the paper, 3x3 in the code that followed | 3x3 |
| up | nearest neighbour, 1x1 with batch norm and ReLU to half the level's channels, concatenation, 1x1 | the same |
| pyramid pooling | greatest value of 1, 4, 16, 64 equal parts of the picture | the same, see `PyramidPooling` |
| outputs | mask, boundary, distance, colour, each helping the next | the mask alone, by the same two 3x3 and a 1x1 |
| input | 256 px | any sides that `2**(depth - 1)` divides |
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.faults import DataFault
from cxr.models.layers import check_sides, standardise

FAR, MIDDLE, NEAR = (1, 3, 15, 31), (1, 3, 15), (1, 3, 5)
DOWN = (FAR, FAR, MIDDLE, NEAR, (1,), (1,))  # dilations of each level, from fine to coarse
UP = (FAR, FAR, FAR, MIDDLE, NEAR)
PARTS = (1, 2, 4, 8)  # each way, of the pyramid


class ResUNetA(nn.Module):
    """Pixels [B x 1 x H x W] in 0..255 to logits [B x classes x H x W].

    width: channels of the first level, at least 4 (one for each pyramid stage); depth: levels, 6 as published, fewer
    leave out the coarsest. Raises DataFault when they make no network, and in the forward pass when a side cannot be
    halved depth - 1 times.
    """

    def __init__(self, width: int = 32, depth: int = 6, classes: int = 1):
        super().__init__()
        if width < len(PARTS) or not 2 <= depth <= len(DOWN):
            raise DataFault(
                f"a ResUNet-a of width {width} and depth {depth} is none; "
                f"take at least {len(PARTS)} and 2 to {len(DOWN)}"
            )
        widths = [width * 2**level for level in range(depth)]
        self.first = normed(1, width, 1)
        self.blocks = nn.ModuleList(AtrousBlock(wide, rates) for wide, rates in zip(widths, DOWN, strict=False))
        self.lower = nn.ModuleList(
            nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1, bias=False) for wide in widths[:-1]
        )
        self.middle = PyramidPooling(widths[-1], widths[-1])
        upwards = list(zip(widths[:-1], UP, strict=False))[::-1]
        self.raise_up = nn.ModuleList(normed(2 * narrow, narrow // 2, 1) for narrow, _ in upwards)
        self.join = nn.ModuleList(normed(narrow // 2 + narrow, narrow, 1) for narrow, _ in upwards)
        self.up = nn.ModuleList(AtrousBlock(narrow, rates) for narrow, rates in upwards)
        self.end = PyramidPooling(2 * width, width)
        head = [normed(width, width, 3), nn.ReLU(inplace=True)]
        self.last = nn.Sequential(*head, normed(width, width, 3), nn.ReLU(inplace=True), nn.Conv2d(width, classes, 1))
        self.divisor = 2 ** (depth - 1)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        first = F.relu(self.first(standardise(pixels)))
        levels = [self.blocks[0](first)]
        for lower, block in zip(self.lower, self.blocks[1:], strict=True):
            levels.append(block(lower(levels[-1])))
        x = F.relu(self.middle(levels.pop()))
        for raise_up, join, block in zip(self.raise_up, self.join, self.up, strict=True):
            above = F.relu(raise_up(F.interpolate(x, scale_factor=2.0, mode="nearest")))
            x = block(join(torch.cat([above, levels.pop()], 1)))
        return self.last(F.relu(self.end(torch.cat([first, x], 1))))


class AtrousBlock(nn.Module):
    """The input plus one branch for each dilation; keeps the shape [B x width x H x W]."""

    def __init__(self, width: int, rates: tuple[int, ...]):
        super().__init__()
        self.branches = nn.ModuleList(_branch(width, rate) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        return x + sum(branch(x) for branch in self.branches)


def _branch(width: int, rate: int) -> nn.Sequential:
    layers = []
    for bias in (False, True):  # the second is followed by no batch norm that would make a bias idle
        convolution = nn.Conv2d(width, width, 3, padding=rate, dilation=rate, bias=bias)
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), convolution]
    return nn.Sequential(*layers)


class PyramidPooling(nn.Module):
    """[B x channels x H x W] to [B x width x H x W]: each pixel beside the greatest values of the parts it lies in.

    Where a side cannot be parted evenly, the parts are larger, and fewer or the last one smaller; at 256 px, for which
    the authors chose them, that never happens.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        share = width // len(PARTS)
        self.stages = nn.ModuleList(normed(channels, share, 1) for _ in PARTS)
        self.mix = normed(channels + share * len(PARTS), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [stage(greatest_of_parts(x, parts)) for stage, parts in zip(self.stages, PARTS, strict=True)]
        return self.mix(torch.cat([x, *pooled], 1))


def greatest_of_parts(x: Tensor, parts: int) -> Tensor:
    """Each pixel of [B x C x H x W] replaced by the greatest value of its part, `parts` each way."""
    height, width = x.shape[-2:]
    # not adaptive pooling: its gradient is not reproducible on a GPU
    cell = (-(-height // parts), -(-width // parts))
    pooled = F.max_pool2d(x, cell, ceil_mode=True)
    # exact: plain "nearest" multiplies by a rounded inverse of the cell
    large = F.interpolate(pooled, scale_factor=(float(cell[0]), float(cell[1])), mode="nearest-exact")
    return large[..., :height, :width]


def normed(channels: int, width: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, with batch norm."""
    convolution = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))
