"""The papers' classifiers: one output for two classes, the base model, sizes as the libraries count them."""

import pytest
import torch
from torch.nn import functional as F

from cxr.faults import DataFault
from cxr.models.picture_nets import BaseNet, PictureNet, build_picture_net, parameters_of
from cxr.training.losses import picture_losses

PIXELS = torch.randint(0, 255, (2, 1, 64, 64), dtype=torch.uint8)


def test_two_classes_are_one_sigmoid():
    network = PictureNet("squeezenet1_1", 2).eval()
    assert network.classifier[-1].out_features == 1
    with torch.no_grad():
        logits = network(PIXELS)
        z = network.classifier(network.features(network.enter(PIXELS)).mean((2, 3)))[:, 0]
    assert torch.allclose(logits.softmax(1)[:, 1], z.sigmoid(), atol=1e-6)
    target = torch.eye(2)[[0, 1]]
    named = picture_losses()(network, {"pixels": PIXELS, "target": target})
    assert torch.allclose(named["class"], F.binary_cross_entropy_with_logits(z, target[:, 1]), atol=1e-6)


def test_smoothing_and_l1():
    network = PictureNet("squeezenet1_1", 3).eval()
    target = torch.eye(3)[[0, 2]]
    named = picture_losses(smoothing=0.3, l1=1e-3)(network, {"pixels": PIXELS, "target": target})
    logits = network(PIXELS)
    assert torch.allclose(named["class"], F.cross_entropy(logits, torch.tensor([0, 2]), label_smoothing=0.3), atol=1e-5)
    weights = sum(p.abs().sum() for p in network.parameters() if p.ndim > 1)
    assert torch.allclose(named["l1"], 1e-3 * weights)


def test_the_base_model_has_its_layers():
    """Five times 32 filters of 3x3 without padding, flattened into 10, 10 and one output."""
    network = BaseNet(64, 2)
    convolutions = 3 * 9 * 32 + 32 + 4 * (32 * 9 * 32 + 32)
    dense = 32 * 54**2 * 10 + 10 + 10 * 10 + 10 + 10 + 1
    assert parameters_of(network) == convolutions + dense
    assert network(PIXELS).shape == (2, 2)
    with pytest.raises(DataFault, match="pictures of 32 px for a base model of 64"):
        network(PIXELS[..., :32, :32])
    with pytest.raises(DataFault, match="five convolutions leave nothing"):
        BaseNet(10, 2)


def test_three_channels_and_one():
    network = PictureNet("squeezenet1_1", 4).eval()
    with torch.no_grad():
        assert torch.allclose(network(PIXELS), network(PIXELS.expand(-1, 3, -1, -1)))
        assert PictureNet("squeezenet1_1", 4, standardised=True).eval()(PIXELS).shape == (2, 4)


PUBLISHED = {  # millions: the library's count less its own last layer of 1000 classes, and the paper's head
    "resnet152": (1024, 60.193 - 2.049 + 2048 * 1024e-6 + 1024e-6 + 1024 * 3e-6),
    "densenet201": (128, 20.014 - 1.921 + 1920 * 128e-6 + 128e-6 + 128 * 3e-6),
    "vgg19": (4096, 143.667 - 123.643 + 512 * 4096e-6 + 4096e-6 + 4096 * 3e-6),
    "tu-hrnet_w18": (256, 21.299 - 2.049 + 2048 * 256e-6 + 256e-6 + 256 * 3e-6),
    "densenet121": (10, 7.979 - 1.025 + 1024 * 10e-6),
    "resnet18": (0, 11.690 - 0.513 + 512 * 3e-6),
    "efficientnet_b4": (0, 19.342 - 1.793 + 1792 * 3e-6),
}


@pytest.mark.parametrize("network", PUBLISHED)
@pytest.mark.slow
def test_published_sizes(network):
    hidden, millions = PUBLISHED[network]
    assert parameters_of(build_picture_net(network, 3, 224, hidden, 0.1)) / 1e6 == pytest.approx(millions, abs=0.01)
