"""What every torchvision detector of ours shares: a feature pyramid on a shared backbone, and pictures as they are."""

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from cxr.models.backbones import backbone_features, normalise
from cxr.profiles import FasterRcnn

FINEST_STRIDE = 8  # opacities are large: the finer levels cost most and find nothing more
ASPECTS = (0.5, 1.0, 2.0)  # height over width of the anchors


class DetectorNet(nn.Module):
    """Pixels uint8 [B x 1 x S x S] to detections, or in training mode, with targets, to named losses.

    Detections: a list of {'boxes': [N x 4] xyxy in pixels of S, 'scores': [N], 'labels': [N]}. targets: a list of
    {'boxes', 'labels'} alike, label 1 for opacity. Unlike torchvision's ready-made models it never resizes: pictures
    come at the size that the network shall see.

    A further architecture is a subclass that gives `__init__` a torchvision model and its heads (what offsets of boxes
    come from), and a line in `architectures`.
    """

    HEAD: ClassVar[tuple[str, ...]]  # prefixes of what is not backbone
    has_background = False  # whether label 0 is a class of its own

    def __init__(self, model: nn.Module, *heads: nn.Module):
        super().__init__()
        self.model = model
        self.model.transform = AsItIs()
        for head in heads:
            head.register_forward_hook(in_float32)

    @property
    def features(self) -> nn.Module:
        """The backbone: what pretraining fills."""
        return self.model.backbone.body

    def forward(self, pixels: Tensor, targets: list[dict[str, Tensor]] | None = None):
        if targets is not None and not self.has_background:
            targets = [{**one, "labels": one["labels"] - 1} for one in targets]
        return self.model(normalise(pixels), targets)


def in_float32(_: nn.Module, __: tuple, answer: object) -> object:
    """A head's answers with the digits of a pixel: in bfloat16 a box at 1000 px would move in steps of 4 px."""
    if isinstance(answer, Tensor):
        return answer.float()
    if isinstance(answer, dict):
        return {name: in_float32(_, __, value) for name, value in answer.items()}
    return type(answer)(in_float32(_, __, value) for value in answer)


class Pyramid(nn.Module):
    """Features of a shared backbone as a pyramid [B x `out_channels` x h_i x w_i] of stride 8, 16, 32 and 64."""

    def __init__(self, settings: FasterRcnn):
        super().__init__()
        self.body, self.out_channels = backbone_features(settings.network), settings.pyramid
        widths = [
            width for width, stride in zip(self.body.widths, self.body.strides, strict=True) if stride >= FINEST_STRIDE
        ]
        self.count = len(widths)
        # normalised: without, a detector that starts from random weights hardly learns
        # (He, Girshick, Dollar 2019, "Rethinking ImageNet pre-training", section 3.1)
        self.fpn = FeaturePyramidNetwork(widths, settings.pyramid, LastLevelMaxPool(), nn.BatchNorm2d)

    @property
    def names(self) -> list[str]:
        """Of the levels that come from the backbone; the pyramid pools one more from the coarsest."""
        return [str(level) for level in range(self.count)]

    def forward(self, x: Tensor) -> "OrderedDict[str, Tensor]":
        return self.fpn(OrderedDict(zip(self.names, self.body.levels(x)[-self.count :], strict=True)))


def anchors(smallest: int, levels: int, octaves: int = 1, aspects: tuple[float, ...] = ASPECTS) -> AnchorGenerator:
    """Anchors whose edge doubles from level to level, with so many sizes between."""
    sizes = tuple(
        tuple(round(smallest * 2 ** (level + part / octaves)) for part in range(octaves)) for level in range(levels)
    )
    return PreciseAnchors(sizes, (aspects,) * levels)


class PreciseAnchors(AnchorGenerator):
    """Anchors in float32, whatever the features were computed in: torchvision's would be rounded with them."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        shapes = [one.new_empty((1, 1, *one.shape[-2:]), dtype=torch.float32) for one in feature_maps]
        return super().forward(image_list, shapes)


class AsItIs(nn.Module):
    """In place of torchvision's transform, which would resize the pictures behind one's back."""

    def forward(self, pixels: Tensor, targets: list | None) -> tuple[ImageList, list | None]:
        return ImageList(pixels, [tuple(pixels.shape[-2:])] * len(pixels)), targets

    def postprocess(self, detections: list, _: list, __: list) -> list:
        return detections
