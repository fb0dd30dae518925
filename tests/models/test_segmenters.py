import sys

import numpy as np
import pytest
import torch
from torch import nn

from cxr.faults import DataFault
from cxr.models.fc_densenet import BLOCKS, FCDenseNet
from cxr.models.layers import standardise
from cxr.models.segmenters import NETWORKS, UNet, build_segmenter, class_probabilities, lung_probabilities

SIZE = 64


def pixels(count=2, height=SIZE, width=SIZE):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (count, 1, height, width), np.uint8))


SMALL = {"unet": 4, "resunet": 4, "resunet_a": 4, "trans_resunet": 4, "fc_densenet67": 6, "fc_densenet103": 6}
MILLIONS = {
    "unet": 7.76,
    "resunet": 8.22,
    "resunet_a": 57.99,
    "trans_resunet": 5.87,
    "fc_densenet67": 3.46,
    "fc_densenet103": 9.32,
    "unet_vgg16": 23.76,
    "unet_densenet121": 13.60,
}


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def shapes(network, layers, size):
    """Shapes [side, side, channels] that layers of a network give for one picture, without computing a pixel."""
    found = []
    for layer in layers:
        layer.register_forward_hook(lambda _, __, out: found.append((*out.shape[2:], out.shape[1])))
    network.to("meta")(torch.zeros(1, 1, size, size, device="meta"))
    return found


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_logits_learns_and_comes_back_from_its_weights(name, classes):
    torch.manual_seed(0)
    network = build_segmenter(name, SMALL.get(name, 0), classes=classes)
    target = (pixels()[:, 0] > 128).long() * (classes - 1 or 1)
    optimizer, losses = torch.optim.Adam(network.parameters(), 0.01), []
    for _ in range(8):
        logits = network(pixels())
        assert logits.shape == (2, classes, SIZE, SIZE) and logits.dtype == torch.float32
        loss = nn.functional.cross_entropy(logits if classes > 1 else torch.cat([-logits, logits], 1), target)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0], "one batch can be learned by heart"
    unused = [key for key, value in network.named_parameters() if value.grad is None]
    assert unused == []
    again = build_segmenter(name, SMALL.get(name, 0), classes=classes)
    again.load_state_dict(network.state_dict())
    with torch.inference_mode():
        assert torch.equal(network.eval()(pixels()), again.eval()(pixels()))


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_as_published(name):
    with torch.device("meta"):
        network = build_segmenter(name)
    assert parameters(network) == pytest.approx(MILLIONS[name], abs=0.01)
    with pytest.raises(DataFault, match=rf"each side must be a multiple of {network.divisor}"):
        network(torch.zeros(1, 1, network.divisor + 1, network.divisor))


@pytest.mark.parametrize(("layers", "published"), [(67, 3.5), (103, 9.4)])
def test_fc_densenets_have_the_parameters_of_their_paper(layers, published):
    with torch.device("meta"):
        network = FCDenseNet(BLOCKS[layers], classes=11, channels=3)
    assert parameters(network) == pytest.approx(published, abs=0.1)
    # a convolution a layer of a block, two a change of size, the first and the last
    counted = 2 * sum(BLOCKS[layers][:-1]) + BLOCKS[layers][-1] + 2 * (len(BLOCKS[layers]) - 1) + 2
    assert counted == layers == sum(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in network.modules())


def test_the_unet_has_the_shapes_of_table_4():
    with torch.device("meta"):
        network = UNet()
    convolutions = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    ways = [(512, 32), (256, 64), (128, 128), (64, 256), (32, 512)]
    down = [(side, side, width) for side, width in ways for _ in range(2)]
    up = [(side, side, width) for side, width in reversed(ways[:-1]) for _ in range(3)]  # transposed, a, b
    assert shapes(network, convolutions, 512) == [*down, *up, (512, 512, 1)]


def test_the_resunet_has_seven_levels():
    with torch.device("meta"):
        network = build_segmenter("resunet")
    found = shapes(network, [*network.down, *network.up], 256)
    down = [(256, 256, 64), (128, 128, 128), (64, 64, 256), (32, 32, 512)]
    assert found == [*down, *reversed(down[:-1])]


def test_what_no_network_is_called_or_has_is_said():
    with pytest.raises(DataFault, match=r"lungs.network=vnet: no such segmenter; choose one of unet, resunet"):
        build_segmenter("vnet")
    with pytest.raises(DataFault, match=r"lungs.depth=3: fc_densenet67 has the depth of its paper; take 0"):
        build_segmenter("fc_densenet67", depth=3)
    with pytest.raises(DataFault, match=r"lungs.width=8: unet_vgg16 has the width of its encoder; take 0"):
        build_segmenter("unet_vgg16", width=8)
    for name in ("resunet", "resunet_a", "trans_resunet"):
        with pytest.raises(DataFault, match="of width 4 and depth 1 is none"):
            build_segmenter(name, width=4, depth=1)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(SIZE, SIZE), (2, 3, SIZE, SIZE)])
def test_pictures_that_are_not_gray_are_one_line(name, shape):
    with pytest.raises(DataFault, match=rf"shape {' x '.join(map(str, shape))} are no gray pictures") as fault:
        build_segmenter(name, SMALL.get(name, 0))(torch.zeros(shape))
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_pictures_have_no_probabilities_of_each_class(name):
    network = build_segmenter(name, SMALL.get(name, 0), classes=4)
    assert class_probabilities(network, np.empty((0, 9, 9), np.uint8), SIZE).shape == (0, 4, SIZE, SIZE)


@pytest.mark.parametrize("name", NETWORKS)
def test_mixed_precision_and_channels_last_change_little(name):
    torch.manual_seed(0)
    network = build_segmenter(name, SMALL.get(name, 0)).eval()
    with torch.inference_mode():
        plain = network(pixels())
        network.to(memory_format=torch.channels_last)
        torch.testing.assert_close(network(pixels()), plain, atol=1e-4, rtol=1e-3)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(pixels())
    assert mixed.dtype == torch.bfloat16
    assert (mixed.float() - plain).abs().mean() < 0.05 * plain.square().mean().sqrt()


def test_networks_that_say_nothing_of_lungs_are_one_line():
    with pytest.raises(DataFault, match=r"classes=0: .* take 1 for lungs, 4 for structures"):
        build_segmenter("unet", 4, 3, classes=0)
    network = build_segmenter("unet", 4, 3, classes=3)
    with pytest.raises(DataFault, match=r"classes of this segmenter: 3, .* right lung, left lung"):
        lung_probabilities(network, pixels(1)[:, 0].numpy(), 32)


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(DataFault, match=r"needs segmentation-models-pytorch, .* or take lungs.network=unet"):
        build_segmenter("unet_densenet121")


@pytest.mark.parametrize(("size", "counts"), [(32, [16, 4]), (256, [16, 4]), (512, [4] * 5), (1024, [1] * 20)])
def test_large_pictures_come_in_smaller_batches(size, counts):
    network, seen = nn.Conv2d(1, 1, 1), []
    network.register_forward_pre_hook(lambda _, given: (seen.append(len(given[0])), (given[0].float(),))[1])
    lung_probabilities(network, np.zeros((20, 32, 32), np.uint8), size)
    assert seen == counts


def test_a_network_of_four_classes_finds_both_lungs():
    network = build_segmenter("unet", 4, 3, classes=4)
    pictures = pixels(3)[:, 0].numpy()
    found = class_probabilities(network, pictures, 32)
    assert found.shape == (3, 4, 32, 32) and np.allclose(found.sum(1), 1, atol=1e-5)
    assert np.allclose(lung_probabilities(network, pictures, 32), found[:, 2] + found[:, 3])


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
