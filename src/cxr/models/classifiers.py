"""Classifiers on a shared backbone: several labels at once for pretraining, and the study classes.

A study classifier may have a segmentation head on box masks beside its class head. That is what the ten best entries
share: the boxes tell the backbone *where* the findings are, which a study label alone does not (about +.05 study AP in
their reports).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.labels import STUDY_CLASSES
from cxr.models.backbones import backbone_features, feature_taps, normalise

PLACES = 6  # the mask is seen by the class head as a grid of this many cells each way
MASK_STRIDE = 8  # pixels of the input that one pixel of the predicted mask stands for


class MultiLabelNet(nn.Module):
    """Pixels [B x 1 x H x W] in 0..255 to logits [B x classes], each label by itself."""

    def __init__(self, network: str, dropout: float, classes: int):
        super().__init__()
        self.features = backbone_features(network)
        width = feature_taps(self.features)[-1][1]
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.classifier(self.features(normalise(pixels)).mean((2, 3)))


class StudyNet(nn.Module):
    """Pixels [B x 1 x H x W] in 0..255 to logits: 'classes' [B x 4] and 'mask' [B x 1 x H/8 x W/8].

    Shared features of a torchvision network; `mask` is there only if the net was built with a mask head.
    """

    HEAD = ("classifier", "mask_head", "place")  # what is not backbone

    def __init__(self, network: str, dropout: float, mask_head: bool, classes: int = len(STUDY_CLASSES)):
        super().__init__()
        self.features = backbone_features(network)
        taps = feature_taps(self.features)
        self.taps = [index for index, _, stride in taps if stride >= MASK_STRIDE]
        widths = [width for _, width, stride in taps if stride >= MASK_STRIDE]
        self.mask_head = MaskHead(widths) if mask_head else None
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], classes))
        # where the mask lies: the classes differ by place (bilateral, peripheral, lower), which pooling forgets
        self.place = (
            nn.Sequential(nn.Linear(2 * PLACES**2, 64), nn.ReLU(), nn.Linear(64, classes)) if mask_head else None
        )

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        x, levels = normalise(pixels), []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                levels.append(x)
        pooled = x.mean((2, 3))
        if self.mask_head is None:
            return {"classes": self.classifier(pooled)}
        mask = self.mask_head(levels)
        # no gradient: the mask learns from boxes alone
        chance = mask.sigmoid().detach()
        places = torch.cat([F.adaptive_avg_pool2d(chance, PLACES), F.adaptive_max_pool2d(chance, PLACES)], 1).flatten(1)
        return {"classes": self.classifier(pooled) + self.place(places), "mask": mask}


class MaskHead(nn.Module):
    """A small top-down pyramid: features of stride 8, 16, 32 [B x C_i x h_i x w_i] to mask logits at stride 8."""

    def __init__(self, widths: list[int], width: int = 64):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths)
        self.refine = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 1, 1)
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        top = None
        for lateral, level in zip(reversed(self.lateral), reversed(levels), strict=True):
            here = lateral(level)
            top = here if top is None else here + F.interpolate(top, size=here.shape[2:], mode="nearest")
        return self.refine(top)
