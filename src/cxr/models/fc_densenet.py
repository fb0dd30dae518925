"""FC-DenseNet67 and 103 (Jégou et al. 2017, "The one hundred layers tiramisu", table 2), which paper 002 segments with.

A layer is batch norm, ReLU, 3x3 convolution of `growth` channels, dropout .2; each sees all layers of its block before
it. Down: batch norm, ReLU, 1x1 convolution, dropout, 2x2 max pooling. Up: a 3x3 transposed convolution of stride 2 on
what the last block added, without its input. First convolution: 48 channels of 3x3. With three colours in and eleven
classes out the paper counts 3.5 M (67 layers) and 9.4 M parameters (103); here they are 3.46 and 9.32 M.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.models.layers import activated, check_sides, standardise

FIRST, DROPOUT = 48, 0.2
BLOCKS = {67: (5,) * 6, 103: (4, 5, 7, 10, 12, 15)}  # layers of the blocks on the way down, the last is the bottleneck
GROWTH = 16


class DenseBlock(nn.Module):
    """[B x C x H x W] to what its layers add, [B x layers * growth x H x W], and with `whole` its input before that."""

    def __init__(self, channels: int, layers: int, growth: int):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(activated(channels + number * growth, growth), nn.Dropout(DROPOUT))
            for number in range(layers)
        )

    def forward(self, x: Tensor, whole: bool) -> Tensor:
        added = []
        for layer in self.layers:
            added.append(layer(torch.cat([x, *added], 1)))
        return torch.cat([x, *added] if whole else added, 1)


class FCDenseNet(nn.Module):
    """Pixels uint8 [B x 1 x H x W] to mask logits [B x classes x H x W]; sides are multiples of 32.

    width: channels of the first convolution, 48 in the paper; the growth rate is a third of it. layers: of the blocks
    down to the bottleneck. channels: 1 for radiographs, 3 as published.
    """

    def __init__(self, layers: Sequence[int], width: int = FIRST, classes: int = 1, channels: int = 1):
        super().__init__()
        if width < 3 or len(layers) < 2:
            raise DataFault(f"an FC-DenseNet of width {width} and {len(layers)} blocks is none; take at least 3 and 2")
        growth = max(1, round(width * GROWTH / FIRST))
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks, self.down, sizes = nn.ModuleList(), nn.ModuleList(), []
        for count in layers[:-1]:
            self.blocks.append(DenseBlock(width, count, growth))
            width += count * growth
            sizes.append(width)
            self.down.append(nn.Sequential(activated(width, width, 1), nn.Dropout(DROPOUT), nn.MaxPool2d(2)))
        self.bottleneck = DenseBlock(width, layers[-1], growth)
        self.up, self.joined, added = nn.ModuleList(), nn.ModuleList(), layers[-1] * growth
        for count, skipped in zip(reversed(layers[:-1]), reversed(sizes), strict=True):
            self.up.append(nn.ConvTranspose2d(added, added, 3, stride=2, padding=1, output_padding=1))
            self.joined.append(DenseBlock(added + skipped, count, growth))
            width, added = added + skipped + count * growth, count * growth
        self.last = nn.Conv2d(width, classes, 1)
        self.divisor = 2 ** (len(layers) - 1)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        x, skipped = self.first(standardise(pixels)), []
        for block, down in zip(self.blocks, self.down, strict=True):
            x = block(x, whole=True)
            skipped.append(x)
            x = down(x)
        x = self.bottleneck(x, whole=False)
        last = len(self.up) - 1
        for number, (up, block, skip) in enumerate(zip(self.up, self.joined, reversed(skipped), strict=True)):
            # only the last block hands its input on: elsewhere the way up would grow too wide
            x = block(torch.cat([up(x), skip], 1), whole=number == last)
        return self.last(x)
