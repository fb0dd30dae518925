"""Shared backbones: the convolutional part of a network, which classifiers and detectors build upon.

All of them see the same picture: gray in 0..255, spread to three channels and normalised as ImageNet's colours are, so
that what one learns another can start from. A name is torchvision's (`resnet50`), or timm's behind `tu-`
(`tu-tf_efficientnetv2_m`), as segmentation-models-pytorch writes it.
"""

from collections import OrderedDict

import timm
import torch
import torchvision
from torch import Tensor, nn

from cxr.faults import DataFault

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours (torchvision; paper 004, section 3.1)
TIMM = "tu-"
PROBE = 64  # px of the picture that shows which layer has which stride


def normalise(pixels: Tensor) -> Tensor:
    """Gray pixels [B x 1 x H x W] in 0..255 to what every backbone sees: float [B x 3 x H x W]."""
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (MEAN, STD))
    x = (pixels.float().expand(-1, 3, -1, -1) / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


class Features(nn.Sequential):
    """Convolutional layers of a torchvision network, one after another. Called, it gives the last and coarsest map."""

    def __init__(self, layers: OrderedDict[str, nn.Module]):
        super().__init__(layers)
        self.taps = self._find_taps()  # index: (channels, stride) of the last layer at each stride, fine to coarse

    def _find_taps(self) -> dict[int, tuple[int, int]]:
        was_training = self.training
        self.eval()
        found: dict[int, tuple[int, int]] = {}
        with torch.no_grad():
            x = torch.zeros(1, 3, PROBE, PROBE)
            for index, layer in enumerate(self):
                x = layer(x)
                stride = PROBE // x.shape[-1]
                found = {at: tap for at, tap in found.items() if tap[1] != stride} | {index: (x.shape[1], stride)}
        self.train(was_training)
        return dict(sorted(found.items(), key=lambda item: item[1][1]))

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [width for width, _ in self.taps.values()]

    @property
    def strides(self) -> list[int]:
        """Pixels of the input for a cell of each level."""
        return [stride for _, stride in self.taps.values()]

    @property
    def last(self) -> nn.Module:
        """The layer whose output is the coarsest map."""
        return self[-1]

    def levels(self, x: Tensor) -> list[Tensor]:
        """The map [B x widths[i] x H / strides[i] x W / strides[i]] of each level."""
        found = []
        for index, layer in enumerate(self):
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found


class TimmFeatures(nn.Module):
    """The levels of a timm network, with the face of `Features`."""

    def __init__(self, name: str):
        super().__init__()
        self.net = timm.create_model(name, pretrained=False, features_only=True)
        self.widths, self.strides = self.net.feature_info.channels(), self.net.feature_info.reduction()
        self.last = nn.Identity()  # where the coarsest map can be looked at

    def levels(self, x: Tensor) -> list[Tensor]:
        *finer, coarsest = self.net(x)
        return [*finer, self.last(coarsest)]

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x)[-1]


class TimmTrunk(nn.Module):
    """A timm network whole, up to its last and coarsest map: for who needs no levels between, and for the networks that
    join their levels at the end (HRNet)."""

    def __init__(self, name: str):
        super().__init__()
        self.net = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
        self.widths, self.last = [self.net.num_features], nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.net.forward_features(x))


def trunk(network: str) -> Features | TimmTrunk:
    """What gives a network's last map, with random weights. Raises DataFault for unknown ones."""
    return TimmTrunk(_timm_name(network)) if network.startswith(TIMM) else backbone_features(network)


def backbone_features(network: str) -> Features | TimmFeatures:
    """The convolutional part of a network, with random weights. Raises DataFault for unknown ones."""
    if network.startswith(TIMM):
        return _timm_features(network)
    if network not in torchvision.models.list_models(module=torchvision.models):
        raise DataFault(
            f"network={network}: torchvision has no such classification network; "
            f"try mobilenet_v2, resnet50, densenet121 or efficientnet_b0, or one of timm's behind {TIMM}"
        )
    model = torchvision.models.get_model(network, weights=None)
    if isinstance(getattr(model, "features", None), nn.Sequential):
        return Features(OrderedDict(model.features.named_children()))
    if isinstance(model, torchvision.models.ResNet):
        layers = list(model.children())[:-2]  # without pooling and the 1000-class layer
        return Features(OrderedDict((str(index), layer) for index, layer in enumerate(layers)))
    raise DataFault(
        f"network={network}: no sequence of feature layers in it; take a ResNet, DenseNet, MobileNet or EfficientNet"
    )


def _timm_features(network: str) -> TimmFeatures:
    try:
        features = TimmFeatures(_timm_name(network))
    except (RuntimeError, AttributeError, TypeError) as error:
        raise DataFault(
            f"network={network}: gives no maps of its levels ({str(error)[:80]}); take a convolutional network"
        ) from None
    if features.strides[-1] > 32 or len(features.strides) < 4:
        raise DataFault(f"network={network}: its levels have strides {features.strides}; 4, 8, 16 and 32 are needed")
    return features


def _timm_name(network: str) -> str:
    name = network.removeprefix(TIMM)
    if name not in timm.list_models():
        raise DataFault(f"network={network}: timm {timm.__version__} has no {name}; timm.list_models() has them all")
    return name


def load_backbone(features: nn.Module, state: dict[str, Tensor], origin: str) -> int:
    """Copy the weights of a whole network into its features; returns how many tensors fitted.

    Names match where a network calls the part `features`, as ours and many of torchvision do; timm's match letter by
    letter, but for the dots that it makes to underscores; torchvision's ResNets are matched in order. Raises DataFault
    if less than nine in ten tensors find their place: half a backbone would train, and nobody would know.
    """
    own = features.state_dict()
    named = {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}
    if isinstance(features, TimmFeatures) and not any(key.startswith("net.") for key in named):
        flat = {key.replace(".", "_"): value for key, value in state.items()}
        named = {key: flat[_flat(key)] for key in own if _flat(key) in flat}
    elif isinstance(features, TimmTrunk):
        named = {key: state[key.removeprefix("net.")] for key in own if key.removeprefix("net.") in state}
    elif not named:
        named = dict(zip(own, [value for key, value in state.items() if not key.startswith("fc.")], strict=False))
    fitting = {key: value for key, value in named.items() if key in own and own[key].shape == value.shape}
    if len(fitting) < 0.9 * len(own):
        raise DataFault(
            f"{origin}: only {len(fitting)} of {len(own)} tensors fit this network; "
            "remove the file or choose the network that it was made for"
        )
    own.update(fitting)
    features.load_state_dict(own)
    return len(fitting)


def _flat(key: str) -> str:
    return key.removeprefix("net.").replace(".", "_")
