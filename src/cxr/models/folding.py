"""Batch norms folded into the convolutions before them: at rest they are an affine map that costs a pass of its own."""

from itertools import pairwise

from timm.models import resnet as timm_resnet
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import resnet

BLOCKS = (resnet.BasicBlock, resnet.Bottleneck, timm_resnet.BasicBlock, timm_resnet.Bottleneck)
NAMED = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))  # in each of these


def fold_batch_norms(network: nn.Module) -> int:
    """Fold, in place, in every block that takes a batch norm straight after a convolution: neighbours in a sequence,
    and by name in a ResNet's blocks. The network must be at rest; returns how many were folded."""
    folded = 0
    for block in list(network.modules()):
        parts = dict(block.named_children())
        for before, after in _pairs(block, list(parts)):
            convolution, norm = parts.get(before), parts.get(after)
            if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d and not norm.training:
                setattr(block, before, fuse_conv_bn_eval(convolution, norm))
                setattr(block, after, nn.Identity())
                folded += 1
    return folded


def _pairs(block: nn.Module, names: list[str]) -> list[tuple[str, str]]:
    if isinstance(block, nn.Sequential):
        return list(pairwise(names))
    return list(NAMED) if isinstance(block, BLOCKS) else []
