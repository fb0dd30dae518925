"""The lung segmenters by name, and what they say of pictures.

| name | network | paper | parameters as published, one class |
|---|---|---|---|
| unet | U-Net of table 4 | 000 | 7.8 M |
| resunet | ResUNet | 003 | 8.2 M |
| fc_densenet67, fc_densenet103 | FC-DenseNet | 002 | 3.5 M, 9.3 M |
| resunet_a | ResUNet-a d6, one task | compared with in 003 | 58.0 M |
| trans_resunet | TransResUNet | compared with in 003 | 5.9 M |
| unet_vgg16, unet_densenet121 | U-Net with a library's encoder | compared with in 003 | 23.8 M, 13.6 M |

Each takes pixels [B x 1 x H x W] in 0..255, standardises every picture by itself, and gives logits [B x classes x H x
W]: one class is lung or not (sigmoid), four are `images.lungs.STRUCTURES` (softmax).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from cxr.faults import DataFault
from cxr.images.lungs import LEFT_LUNG, RIGHT_LUNG, STRUCTURES
from cxr.images.resize import to_cache_size
from cxr.models.fc_densenet import BLOCKS, FCDenseNet
from cxr.models.layers import check_sides, standardise
from cxr.models.resunet import ResUNet
from cxr.models.resunet_a import ResUNetA
from cxr.models.trans_resunet import TransResUNet
from cxr.models.unet import UNet

BATCH = 16  # pictures at a time, and no more pixels than so many of 256 px have
PIXELS = BATCH * 256**2
OWN: dict[str, Callable[..., nn.Module]] = {
    "unet": UNet,
    "resunet": ResUNet,
    "resunet_a": ResUNetA,
    "trans_resunet": TransResUNet,
}
TIRAMISU = {f"fc_densenet{layers}": blocks for layers, blocks in BLOCKS.items()}
ENCODERS = {"unet_vgg16": "vgg16_bn", "unet_densenet121": "densenet121"}
NETWORKS = (*OWN, *TIRAMISU, *ENCODERS)


def build_segmenter(name: str, width: int = 0, depth: int = 0, classes: int = 1) -> nn.Module:
    """A segmenter with random weights. width: channels of the first level; depth: levels; 0: as published.

    Raises DataFault for an unknown name, and where a network has no such choice.
    """
    if classes < 1:
        raise DataFault(
            f"classes={classes}: a segmenter needs an output; take 1 for lungs, {len(STRUCTURES)} for structures"
        )
    given = {**({"width": width} if width else {}), "classes": classes}
    if name in OWN:
        return OWN[name](**given, **({"depth": depth} if depth else {}))
    if name not in NETWORKS:
        raise DataFault(f"lungs.network={name}: no such segmenter; choose one of {', '.join(NETWORKS)}")
    if depth:
        raise DataFault(f"lungs.depth={depth}: {name} has the depth of its paper; take 0")
    if name in TIRAMISU:
        return FCDenseNet(TIRAMISU[name], **given)
    if width:
        raise DataFault(f"lungs.width={width}: {name} has the width of its encoder; take 0")
    return EncoderUNet(ENCODERS[name], classes)


def parameter_count(name: str, width: int = 0, depth: int = 0, classes: int = 1) -> int:
    """How many numbers such a network learns; none of them takes memory for it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_segmenter(name, width, depth, classes).parameters())


class EncoderUNet(nn.Module):
    """A U-Net on a library's encoder (segmentation-models-pytorch), sides are multiples of 32."""

    divisor = 32

    def __init__(self, encoder: str, classes: int = 1):
        super().__init__()
        try:
            # the library takes seconds to import, and nobody else needs it
            import segmentation_models_pytorch as smp
        except ImportError as error:
            raise DataFault(
                f"a U-Net with encoder {encoder} needs segmentation-models-pytorch, which is not there ({error}); "
                "install requirements.txt, or take lungs.network=unet"
            ) from error
        self.network = smp.Unet(encoder, encoder_weights=None, in_channels=1, classes=classes)

    def forward(self, pixels: Tensor) -> Tensor:
        check_sides(pixels.shape[-2:], self.divisor)
        return self.network(standardise(pixels))


@torch.inference_mode()
def class_probabilities(network: nn.Module, pixels: np.ndarray, size: int) -> np.ndarray:
    """Pictures uint8 [N x S x S] to probabilities float32 [N x classes x size x size], on the network's device."""
    device, found = next(network.parameters()).device, []
    network.eval()
    at_a_time = max(1, min(BATCH, PIXELS // size**2))
    for start in range(0, max(1, len(pixels)), at_a_time):  # of no pictures too, for the number of classes
        some = [to_cache_size(picture, size) for picture in pixels[start : start + at_a_time]]
        small = np.array(some, np.uint8).reshape(-1, size, size)
        logits = network(torch.from_numpy(small)[:, None].to(device)).float()
        found.append((logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)).cpu().numpy())
    return np.concatenate(found)


def lung_probabilities(network: nn.Module, pixels: np.ndarray, size: int) -> np.ndarray:
    """Pictures uint8 [N x S x S] to the probability that a pixel is lung, float32 [N x size x size].

    Raises DataFault for a network with neither one class nor those of STRUCTURES.
    """
    found = class_probabilities(network, pixels, size)
    if found.shape[1] not in (1, len(STRUCTURES)):
        raise DataFault(
            f"classes of this segmenter: {found.shape[1]}, which says nothing of lungs; take a network that was built "
            f"with 1 (lung or not) or {len(STRUCTURES)} ({', '.join(STRUCTURES)})"
        )
    return found[:, 0] if found.shape[1] == 1 else found[:, RIGHT_LUNG] + found[:, LEFT_LUNG]
