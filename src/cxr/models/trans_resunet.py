"""TransResUNet (beside paper 003's ResUNet): Reza, Amin and Hashem, TENSYMP 2020.

The name promises transposed convolutions and has none: "Trans" is transfer learning. The encoder is VGG-16 up to the
third convolution of its third block, the skip connections are paths of residual blocks, the way up is nearest neighbour
and two convolutions. The four-page paper shows it as a figure; channels, kernels and the number of blocks of a path are
taken from the notebook that its authors published, whose 5 869 383 parameters are met exactly.

| | the authors | ours |
|---|---|---|
| encoder | 64-128-256 channels, ImageNet weights | `width` is the first level's; random weights, see `encoder` |
| gray to three channels | 1x1 convolution | the same |
| lowest level | the pooled third block, up again by 512 and 256 channels | the same |
| path of level 1, 2, 3 | 3, 2, 1 blocks of 32, 64, 128 channels | the same |
| a block of a path | 3x3 and 1x1 convolution side by side, ReLU each, added | the same |
| normalisation | none | none |
| initial weights | He on the way up, the framework's own in the paths | He, normal, everywhere |
| last layer | 1x1, sigmoid | logits |
| input | 512 px | any sides that 8 divides |
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import make_layers

from cxr.faults import DataFault
from cxr.models.layers import check_sides, standardise

DEPTH = 4
BLOCKS = (3, 2, 1)  # of the paths, from the finest level


class TransResUNet(nn.Module):
    """Pixels [B x 1 x H x W] in 0..255 to logits [B x classes x H x W].

    width: channels of the first level, even numbers keep the published proportions; depth: 4, where the encoder is cut.
    `encoder` has the names of torchvision's `vgg16().features`, so that `backbones.load_backbone` can fill it at width
    64. Raises DataFault for another depth, and in the forward pass when 8 does not divide a side.
    """

    def __init__(self, width: int = 64, depth: int = DEPTH, classes: int = 1):
        super().__init__()
        if width < 2 or depth != DEPTH:
            raise DataFault(f"a TransResUNet of width {width} and depth {depth} is none; take at least 2, and {DEPTH}")
        half, w = width // 2, width
        self.colour = nn.Conv2d(1, 3, kernel_size=1)
        self.encoder = make_layers([w, w, "M", 2 * w, 2 * w, "M", 4 * w, 4 * w, 4 * w, "M"])
        self.paths = nn.ModuleList(
            residual_path(channels, narrow, blocks)
            for channels, narrow, blocks in zip((w, 2 * w, 4 * w), (half, w, 2 * w), BLOCKS, strict=True)
        )
        self.up = nn.ModuleList(
            _convolutions(*channels) for channels in ((4 * w, 8 * w, 4 * w), (6 * w, 4 * w, w), (2 * w, 2 * w, w))
        )
        self.join = _convolutions(half + w, half)
        self.last = nn.Conv2d(half, classes, kernel_size=1)
        self.divisor = 2 ** (DEPTH - 1)
        self.apply(_he_normal)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        x, levels = self.colour(standardise(pixels)), []
        for layer in self.encoder:
            if isinstance(layer, nn.MaxPool2d):
                levels.append(x)
            x = layer(x)
        for up, path in zip(self.up, reversed(self.paths), strict=True):
            x = up(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = torch.cat([path(levels.pop()), x], 1)
        return self.last(self.join(x))


def residual_path(channels: int, width: int, blocks: int) -> nn.Sequential:
    """[B x channels x H x W] to [B x width x H x W] through so many residual blocks."""
    return nn.Sequential(*(PathBlock(channels if block == 0 else width, width) for block in range(blocks)))


class PathBlock(nn.Module):
    """A 3x3 and a 1x1 convolution side by side, each with ReLU, added."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.wide = nn.Conv2d(channels, width, 3, padding=1)
        self.point = nn.Conv2d(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.wide(x)) + F.relu(self.point(x))


def _convolutions(*channels: int) -> nn.Sequential:
    """3x3 convolutions with ReLU from the first number of channels through all the others."""
    layers = []
    for inside, outside in pairwise(channels):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _he_normal(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)
