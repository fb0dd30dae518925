"""The U-Net of paper 000, table 4.

| | paper 000 | ours |
|---|---|---|
| channels | 32-64-128-256-512 and back | `width` is the first level's, each level doubles it |
| a level | two convolutions with ReLU | 3x3 and padded (the table keeps sizes, and is silent on kernels) |
| normalisation | none stated | batch norm before each ReLU |
| down, up | max pooling, transposed convolution, concatenation | 2x2, stride 2 |
| last layer | one channel, ReLU | 1x1 without ReLU: logits, for losses with a sigmoid or softmax of their own |
| input | 512x512x1 | any sides that `2**(depth - 1)` divides, each picture brought to mean 0 and deviation 1 |
"""

import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.models.layers import check_sides, convolutions, standardise


class UNet(nn.Module):
    """Pixels uint8 [B x 1 x H x W] to mask logits [B x classes x H x W].

    width: channels of the first level; depth: number of levels, the table has 5. Raises DataFault when they make no
    U-Net, and in the forward pass when a side cannot be halved depth - 1 times.
    """

    def __init__(self, width: int = 32, depth: int = 5, classes: int = 1):
        super().__init__()
        if width < 1 or depth < 2:
            raise DataFault(f"a U-Net of width {width} and depth {depth} is none; take at least 1 and 2")
        widths = [width * 2**level for level in range(depth)]
        self.down = nn.ModuleList(convolutions(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * narrow, narrow, kernel_size=2, stride=2) for narrow in reversed(widths[:-1])
        )
        self.join = nn.ModuleList(convolutions(2 * narrow, narrow) for narrow in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, classes, kernel_size=1)
        self.pool = nn.MaxPool2d(2)
        self.divisor = 2 ** (depth - 1)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        x, skipped = standardise(pixels), []
        for level in self.down[:-1]:
            x = level(x)
            skipped.append(x)
            x = self.pool(x)
        x = self.down[-1](x)
        for up, join, skip in zip(self.up, self.join, reversed(skipped), strict=True):
            x = join(torch.cat([up(x), skip], 1))
        return self.last(x)
