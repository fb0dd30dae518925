"""Classifiers on a shared backbone: several labels at once for pretraining, and the study classes.

A study classifier may have a segmentation head on box masks beside its class head. That is what the ten best entries
share: the boxes tell the backbone *where* the findings are, which a study label alone does not (about +.05 study AP in
their reports).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.labels import STUDY_CLASSES
from cxr.models.backbones import backbone_features, normalise
from cxr.models.mask_heads import build_mask_head
from cxr.profiles import Study

PLACES = 6  # the mask is seen by the class head as a grid of this many cells each way


class MultiLabelNet(nn.Module):
    """Pixels [B x 1 x H x W] in 0..255 to logits [B x classes], each label by itself."""

    def __init__(self, network: str, dropout: float, classes: int):
        super().__init__()
        self.features = backbone_features(network)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.features.widths[-1], classes))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.classifier(self.features(normalise(pixels)).mean((2, 3)))


class StudyNet(nn.Module):
    """Pixels [B x 1 x H x W] in 0..255 to logits: 'classes' [B x 4], 'mask' [B x 1 x H/8 x W/8] and 'none' [B].

    Features of a shared backbone, and the heads that the settings ask for: `mask` where boxes count for the loss,
    `none` (no opacity anywhere) where that has a weight.
    """

    HEAD = ("classifier", "mask_head", "place", "none_head")  # what is not backbone

    def __init__(self, settings: Study, classes: int = len(STUDY_CLASSES)):
        super().__init__()
        s = settings
        self.features = backbone_features(s.network)
        width = self.features.widths[-1]
        self.mask_head = build_mask_head(s.decoder, self.features) if s.mask_weight > 0 else None
        self.classifier = class_head(width, s.hidden, s.dropout, classes)
        # where the mask lies: the classes differ by place (bilateral, peripheral, lower), which pooling forgets
        self.place = (
            nn.Sequential(nn.Linear(2 * PLACES**2, 64), nn.ReLU(), nn.Linear(64, classes)) if self.mask_head else None
        )
        places = 2 * PLACES**2 if self.mask_head else 0
        self.none_head = nn.Linear(width + places, 1) if s.none_weight > 0 else None

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        levels = self.features.levels(normalise(pixels))
        pooled = levels[-1].mean((2, 3))
        outputs = {"classes": self.classifier(pooled)}
        seen = [pooled]
        if self.mask_head is not None:
            mask = self.mask_head(levels)
            # no gradient: the mask learns from boxes alone
            chance = mask.sigmoid().detach()
            found = [F.adaptive_avg_pool2d(chance, PLACES), F.adaptive_max_pool2d(chance, PLACES)]
            places = torch.cat(found, 1).flatten(1)
            seen.append(places)
            outputs = {"classes": outputs["classes"] + self.place(places), "mask": mask}
        if self.none_head is not None:
            outputs["none"] = self.none_head(torch.cat(seen, 1))[:, 0]
        return outputs


def class_head(width: int, hidden: int, dropout: float, classes: int) -> nn.Sequential:
    """Pooled features [B x width] to logits [B x classes]: one layer, or the two of paper 004, section 3.4
    (linear, ReLU, dropout between, linear; Xavier initialisation)."""
    if not hidden:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
    head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))
    for layer in (head[0], head[-1]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return head
