"""Shared backbones: the convolutional part of a torchvision network, which classifiers and detectors build upon.

All of them see the same picture: gray in 0..255, spread to three equal channels and normalised, so that what one learns
another can start from.
"""

import torch
import torchvision
from torch import Tensor, nn

from cxr.faults import DataFault

# ImageNet statistics (torchvision documentation), averaged over colour: the pictures are gray
MEAN, STD = 0.449, 0.226


def normalise(pixels: Tensor) -> Tensor:
    """Gray pixels [B x 1 x H x W] in 0..255 to what every backbone sees: float [B x 3 x H x W]."""
    x = (pixels.float().expand(-1, 3, -1, -1) / 255 - MEAN) / STD
    return x.contiguous(memory_format=torch.channels_last)


def backbone_features(network: str) -> nn.Sequential:
    """The convolutional part of a torchvision network, with random weights. Raises DataFault for unknown ones."""
    if network not in torchvision.models.list_models(module=torchvision.models):
        raise DataFault(
            f"network={network}: torchvision has no such classification network; "
            "try mobilenet_v2, resnet50, densenet121 or efficientnet_b0"
        )
    model = torchvision.models.get_model(network, weights=None)
    if isinstance(getattr(model, "features", None), nn.Sequential):
        return model.features
    if isinstance(model, torchvision.models.ResNet):
        return nn.Sequential(*list(model.children())[:-2])  # without pooling and the 1000-class layer
    raise DataFault(
        f"network={network}: no sequence of feature layers in it; take a ResNet, DenseNet, MobileNet or EfficientNet"
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


def load_backbone(features: nn.Module, state: dict[str, Tensor], origin: str) -> int:
    """Copy the weights of a whole network into its features; returns how many tensors fitted.

    Names match where a network calls the part `features`, as ours and many of torchvision do; torchvision's ResNets are
    matched in order. Raises DataFault if less than nine in ten tensors find their place: half a backbone would train,
    and nobody would know.
    """
    own = features.state_dict()
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
    features.load_state_dict(own)
    return len(fitting)
