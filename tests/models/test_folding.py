"""Networks say the same with their batch norms folded."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from cxr.models.backbones import backbone_features
from cxr.models.folding import fold_batch_norms

NETWORKS = {
    "resnet18": lambda: torchvision.models.resnet18(),
    "resnet50": lambda: torchvision.models.resnet50(),
    "mobilenet_v2": lambda: torchvision.models.mobilenet_v2(),
    "densenet121": lambda: torchvision.models.densenet121(),
    "timm's hrnet": lambda: timm.create_model("hrnet_w18_small", pretrained=False),
}


def lived_in(network: nn.Module) -> nn.Module:
    """With statistics as training leaves them: fresh ones are the identity, and folding them proves nothing."""
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.7, 1.3)
            nn.init.uniform_(part.weight, 0.8, 1.2)
            nn.init.uniform_(part.bias, -0.2, 0.2)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_stay(name):
    network, pixels = lived_in(NETWORKS[name]()), torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(pixels)
        assert fold_batch_norms(network) > 0
        after = network(pixels)
    assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))


def test_every_norm_of_a_resnet_goes():
    network = lived_in(backbone_features("resnet50"))
    norms = sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    assert fold_batch_norms(network) == norms
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    assert fold_batch_norms(network) == 0


def test_a_network_in_training_stays_as_it_is():
    network = torchvision.models.resnet18().train()
    assert fold_batch_norms(network) == 0


def test_a_norm_that_does_not_follow_a_convolution_stays():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)).eval()
    assert fold_batch_norms(network) == 0
