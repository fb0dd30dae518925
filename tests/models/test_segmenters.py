import numpy as np
import pytest
import torch
from torch import nn

from cxr.faults import DataFault
from cxr.models.segmenters import UNet, lung_probabilities, standardise

SIZE = 64


def pixels(count=2, height=SIZE, width=SIZE):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (count, 1, height, width), np.uint8))


@pytest.mark.parametrize(("width", "depth"), [(4, 2), (8, 5), (3, 4)])
def test_every_width_and_depth_gives_a_logit_for_each_pixel(width, depth):
    logits = UNet(width, depth).eval()(pixels())
    assert logits.shape == (2, 1, SIZE, SIZE) and logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


def test_the_default_is_table_4_of_the_paper():
    network = UNet()
    ways = [[layer.out_channels for layer in level if isinstance(layer, nn.Conv2d)] for level in network.down]
    assert ways == [[width, width] for width in (32, 64, 128, 256, 512)]
    assert [(layer.in_channels, layer.out_channels) for layer in network.up] == [
        (512, 256),
        (256, 128),
        (128, 64),
        (64, 32),
    ]
    # concatenation doubles what the transposed convolution gives
    assert [level[0].in_channels for level in network.join] == [512, 256, 128, 64]
    assert (network.last.in_channels, network.last.out_channels) == (32, 1)


def test_a_size_that_cannot_be_halved_names_the_fix():
    network = UNet(4, 5).eval()
    assert network(pixels(1, 32, 48)).shape == (1, 1, 32, 48)
    with pytest.raises(DataFault, match=r"30 x 48 .* multiple of 16; pad or resize to 32 x 48"):
        network(pixels(1, 30, 48))
    with pytest.raises(DataFault, match="width 0 and depth 5"):
        UNet(0, 5)


def test_brightness_and_contrast_of_a_picture_do_not_matter():
    x = torch.randint(40, 100, (1, 1, SIZE, SIZE), dtype=torch.uint8)
    network = UNet(4, 3).eval()
    torch.testing.assert_close(network(x), network(2 * x + 20), atol=1e-4, rtol=1e-4)
    spread = standardise(x)
    assert abs(spread.mean()) < 1e-5 and abs(spread.std() - 1) < 1e-3
    assert standardise(torch.full_like(x, 7)).eq(0).all(), "an even picture has no deviation to divide by"


def test_every_weight_learns():
    network = UNet(4, 3)
    network(pixels()).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_skips_carry_detail_that_the_lowest_level_lacks():
    torch.manual_seed(0)
    network, x = UNet(4, 5).eval(), pixels(1)
    flat = network(x)
    moved = x.clone()
    moved[0, 0, 32, 32] = 255 - moved[0, 0, 32, 32]
    change = (network(moved) - flat).abs()[0, 0]
    assert change.argmax() // SIZE in range(28, 37) and change.argmax() % SIZE in range(28, 37)


def test_probabilities_do_not_depend_on_the_batch():
    network, pictures = UNet(4, 3), pixels(19)[:, 0].numpy()
    found = lung_probabilities(network, pictures, 32)
    assert found.shape == (19, 32, 32) and found.dtype == np.float32 and 0 <= found.min() <= found.max() <= 1
    np.testing.assert_allclose(found[17], lung_probabilities(network, pictures[17:18], 32)[0], atol=1e-5)
    assert lung_probabilities(network, pictures[:0], 32).shape == (0, 32, 32)
