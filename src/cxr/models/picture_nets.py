"""The classifiers of papers 000 to 003: a library's network, or paper 001's base model, with a head of the paper's.

All give two-sided logits [B x C], whose softmax are the probabilities. With two classes the papers have one output z
with a sigmoid: here its logits are -z/2 and z/2, of which softmax is that very sigmoid, and cross entropy the binary
one. So nothing behind a network needs to know how many outputs it has.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.models.backbones import normalise, trunk
from cxr.models.classifiers import class_head
from cxr.models.layers import standardise

BASE = "base"  # the name of paper 001's own small network


class PictureNet(nn.Module):
    """Pixels uint8 [B x 1 or 3 x S x S] to logits [B x classes].

    network: of torchvision, or of timm behind `tu-`; hidden: width of a layer between features and output, 0 for none;
    standardised: each picture by its own mean and deviation (paper 003, section 3.3), not by ImageNet's.
    """

    HEAD = ("classifier",)

    def __init__(self, network: str, classes: int, hidden: int = 0, dropout: float = 0.0, standardised: bool = False):
        super().__init__()
        self.features = trunk(network)
        self.classifier = class_head(self.features.widths[-1], hidden, dropout, outputs(classes))
        self.enter = three_alike if standardised else normalise

    def forward(self, pixels: Tensor) -> Tensor:
        return two_sided(self.classifier(self.features(self.enter(pixels)).mean((2, 3))))


class BaseNet(nn.Module):
    """The base model of paper 001 (section 4.1, figure 5): five 3x3 convolutions of 32 filters, no pooling and no batch
    norm, flattened into layers of 10, 10 and the output. Convolutions without padding, as Keras has them by default.

    size: px, which the flattened layer is made for.
    """

    HEAD = ("classifier",)
    FILTERS, LAYERS, DENSE = 32, 5, 10

    def __init__(self, size: int, classes: int, channels: int = 3):
        super().__init__()
        left = size - 2 * self.LAYERS
        if left < 1:
            raise DataFault(f"size={size}: five convolutions leave nothing of it; take more than {2 * self.LAYERS} px")
        widths = [channels, *[self.FILTERS] * self.LAYERS]
        pairs = pairwise(widths)
        self.features = Stack(*(nn.Sequential(nn.Conv2d(a, b, 3), nn.ReLU()) for a, b in pairs))
        self.size, self.channels, dense = size, channels, self.DENSE
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(self.FILTERS * left**2, dense),
            nn.ReLU(),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Linear(dense, outputs(classes)),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.shape[-1] != self.size:
            raise DataFault(f"pictures of {pixels.shape[-1]} px for a base model of {self.size}; resize them")
        return two_sided(self.classifier(self.features(pixels.float().expand(-1, self.channels, -1, -1) / 255)))


class Stack(nn.Sequential):
    """Layers, the last of which gives the map to look at."""

    @property
    def last(self) -> nn.Module:
        return self[-1]


def build_picture_net(
    network: str, classes: int, size: int, hidden: int, dropout: float, standardised: bool = False
) -> PictureNet | BaseNet:
    """One of both, by name."""
    return BaseNet(size, classes) if network == BASE else PictureNet(network, classes, hidden, dropout, standardised)


def outputs(classes: int) -> int:
    """Neurons for so many classes: one says enough of two."""
    return 1 if classes == 2 else classes


def two_sided(logits: Tensor) -> Tensor:
    """Logits [B x 1] to [B x 2], see above; more stay as they are."""
    return torch.cat([-logits, logits], 1) / 2 if logits.shape[1] == 1 else logits


def three_alike(pixels: Tensor) -> Tensor:
    """Gray pixels [B x 1 x H x W], each picture standardised, in three channels."""
    return standardise(pixels).expand(-1, 3, -1, -1)


def parameters_of(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())
