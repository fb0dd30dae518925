"""Study classifiers: a torchvision backbone, a class head, and optionally a segmentation head on box masks beside it.

The second head is what the ten best entries share: the boxes tell the backbone *where* the findings are, which a study
label alone does not (about +.05 study AP in their reports).
"""

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES

# ImageNet statistics (torchvision documentation), averaged over colour: the pictures are gray
MEAN, STD = 0.449, 0.226
PLACES = 6  # the mask is seen by the class head as a grid of this many cells each way
MASK_STRIDE = 8  # pixels of the input that one pixel of the predicted mask stands for


class StudyNet(nn.Module):
    """Pixels [B x 1 x H x W] in 0..255 to logits: 'classes' [B x 4] and 'mask' [B x 1 x H/8 x W/8].

    Shared features of a torchvision network; `mask` is there only if the net was built with a mask head.
    """

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
        x = (pixels.float().expand(-1, 3, -1, -1) / 255 - MEAN) / STD
        x = x.contiguous(memory_format=torch.channels_last)
        levels = []
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


def backbone_features(network: str) -> nn.Sequential:
    """The convolutional part of a torchvision network, with random weights. Raises DataFault for unknown ones."""
    if network not in torchvision.models.list_models(module=torchvision.models):
        raise DataFault(
            f"study.network={network}: torchvision has no such classification network; "
            "try mobilenet_v2, resnet50, densenet121 or efficientnet_b0"
        )
    model = torchvision.models.get_model(network, weights=None)
    if isinstance(getattr(model, "features", None), nn.Sequential):
        return model.features
    if isinstance(model, torchvision.models.ResNet):
        return nn.Sequential(*list(model.children())[:-2])  # without pooling and the 1000-class layer
    raise DataFault(
        f"study.network={network}: no sequence of feature layers in it; take a ResNet, DenseNet, MobileNet or "
        "EfficientNet"
    )


def feature_taps(features: nn.Sequential) -> list[tuple[int, int, int]]:
    """(layer index, channels, stride) of the last layer at each stride."""
    was_training = features.training
    features.eval()
    taps: dict[int, tuple[int, int, int]] = {}
    with torch.no_grad():
        x = torch.zeros(1, 3, 64, 64)
        for index, layer in enumerate(features):
            x = layer(x)
            stride = 64 // x.shape[-1]
            taps[stride] = (index, x.shape[1], stride)
    features.train(was_training)
    return [taps[stride] for stride in sorted(taps)]


def load_backbone(model: StudyNet, state: dict[str, Tensor], origin: str) -> int:
    """Copy the weights of a whole torchvision network into the features; returns how many tensors fitted.

    Names match where torchvision calls the part `features`; ResNets are matched in order. Raises DataFault if less than
    nine in ten tensors find their place: half a backbone would train, and nobody would know.
    """
    own = model.features.state_dict()
    named = {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}
    if not named:
        named = dict(zip(own, [value for key, value in state.items() if not key.startswith("fc.")], strict=False))
    fitting = {key: value for key, value in named.items() if key in own and own[key].shape == value.shape}
    if len(fitting) < 0.9 * len(own):
        raise DataFault(
            f"{origin}: only {len(fitting)} of {len(own)} tensors fit this network; "
            "remove the file or choose the network that it was made for"
        )
    own.update(fitting)
    model.features.load_state_dict(own)
    return len(fitting)
