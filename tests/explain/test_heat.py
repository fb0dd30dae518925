"""Grad-CAM and LIME on networks whose answer is known, and shares of heat by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cxr.explain.cam import grad_cam
from cxr.explain.lime import grid_cells, lime_heat
from cxr.explain.where import box_heat, box_masks, even_shares, heat_shares
from cxr.faults import DataFault
from cxr.models.classifiers import MultiLabelNet, StudyNet
from cxr.profiles import ours

SIDE = 64


class Corner(nn.Module):
    """Class 0 is brightness of the upper left quarter, class 1 of the lower right one."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.AvgPool2d(8), nn.Conv2d(1, 1, 1, bias=False))
        nn.init.ones_(self.features[1].weight)
        self.features.__dict__["last"] = self.features[1]  # a plain attribute, no further layer

    def forward(self, pixels):
        cells = self.features(pixels.float() / 255)
        return torch.stack([cells[:, 0, :4, :4].mean((1, 2)), cells[:, 0, 4:, 4:].mean((1, 2))], 1)


@pytest.fixture
def bright():
    return np.full((2, SIDE, SIDE), 200, np.uint8)


def quarter(mask_rows, mask_columns):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[mask_rows, mask_columns] = True
    return mask


UPPER_LEFT, LOWER_RIGHT = quarter(slice(0, 32), slice(0, 32)), quarter(slice(32, 64), slice(32, 64))


def test_lime_finds_the_quarter_that_a_class_reads(bright):
    bright[:, ::8] = 90  # something to cover: an even picture equals its own mean
    bright[:, UPPER_LEFT] = 255
    heat = lime_heat(Corner(), bright[:1], 0, cells=4, samples=60)
    assert heat.shape == (1, SIDE, SIDE) and heat.max() == 1 and heat.min() >= 0
    assert heat_shares(heat, UPPER_LEFT[None])[0] > 0.9
    assert np.array_equal(heat, lime_heat(Corner(), bright[:1], 0, cells=4, samples=60)), "the same for a seed"


def test_each_picture_has_a_class_of_its_own(bright):
    bright[:, ::8] = 60
    network = Corner()
    bright[:, LOWER_RIGHT] = 255
    heat = lime_heat(network, bright, np.array([0, 1]), cells=4, samples=60)
    assert heat_shares(heat[1:], LOWER_RIGHT[None])[0] > 0.9


def test_grad_cam_is_activation_times_mean_gradient():
    network = nn.Sequential()
    network.features = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    network.features.__dict__["last"] = network.features[0]
    network.features[0].weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    network.forward = lambda x: network.features(x / 255).mean((2, 3)) @ torch.tensor([[3.0], [1.0]])
    pixels = np.zeros((1, 8, 8), np.uint8)
    pixels[0, 2:4, 4:6] = 255
    # weights 3 / 64 and 1 / 64 on activations x and -x: 2 x / 64, which scales to x
    assert np.allclose(grad_cam(network, pixels, 0)[0], pixels[0] / 255, atol=1e-6)


def test_where_nothing_speaks_for_a_class_there_is_no_heat():
    network = Corner()
    heat = grad_cam(network, np.zeros((1, SIDE, SIDE), np.uint8), 0)
    assert not heat.any() and np.isnan(heat_shares(heat, UPPER_LEFT[None])[0])


@pytest.mark.parametrize(
    "network", [StudyNet(replace(ours.STUDY, network="resnet18")), MultiLabelNet("mobilenet_v2", 0.0, 15)]
)
def test_our_classifiers_come_back_as_they_were(network):
    network.train().features[0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pixels = np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE), np.uint8)
    heat = grad_cam(network, pixels, np.array([0, 1, 2]))
    assert heat.shape == (3, SIDE, SIDE) and heat.dtype == np.float32 and heat.min() >= 0 and heat.max() <= 1
    assert network.training and not network.features[0].training, "a frozen layer stays frozen"
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert np.allclose(heat, grad_cam(network, pixels, np.array([0, 1, 2])), atol=1e-5)
    assert grad_cam(network, pixels[:0], 0).shape == (0, SIDE, SIDE)


def test_cells_of_a_grid():
    assert grid_cells(4, 2).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert len(grid_cells(65, 8).unique()) == 64
    with pytest.raises(DataFault, match="9 cells along 8 pixels make no grid; take 1 to 8"):
        grid_cells(8, 9)


def test_shares_by_hand():
    heat = np.zeros((2, 4, 4), np.float32)
    heat[0, 0] = [1, 2, 3, 4]
    masks = np.zeros((2, 4, 4), bool)
    masks[:, :, 2:] = True
    shares = heat_shares(heat, masks)
    assert shares[0] == pytest.approx(0.7) and np.isnan(shares[1])
    shown = np.ones((2, 4, 4), bool)
    shown[1, :, :1] = False  # a model that was shown three columns, of which two are inside
    assert even_shares(masks, shown) == pytest.approx([1 / 2, 2 / 3])
    with pytest.raises(DataFault, match=r"heat maps of \(2, 4, 4\) and masks of \(2, 8, 8\) do not fit"):
        heat_shares(heat, np.zeros((2, 8, 8), bool))
    for value in (-1, np.nan, np.inf):
        heat[1, 0, 0] = value
        with pytest.raises(DataFault, match="negative or not finite"):
            heat_shares(heat, masks)


def test_a_share_of_box_heat_is_a_share_of_the_scores():
    large, small, cut, thin = [0, 0, 4, 2], [0, 2, 1, 3], [3, -9, 9, 1], [1.2, 3, 1.4, 4]
    heat = box_heat(np.array([large, small], float), np.array([0.8, 0.2]), (4, 4))
    assert heat[:2].ravel() == pytest.approx([0.8 / 8] * 8) and heat[2].tolist() == pytest.approx([0.2, 0, 0, 0])
    heat = box_heat(np.array([cut, thin, large], float), np.array([0.5, 0.25, 0.8]), (4, 4))
    assert heat.sum() == pytest.approx(0.5 + 0.25 + 0.8), "what the border cuts and what is thinner than a pixel too"
    assert heat[0, 3] == pytest.approx(0.5 + 0.1) and heat[3, 1] == pytest.approx(0.25)
    assert box_masks(np.array([cut, small], float), (4, 4)).sum() == 2 and not box_masks(np.empty((0, 4)), (4, 4)).any()
    assert not box_heat(np.array([[9.0, 9, 12, 12]]), np.ones(1), (4, 4)).any(), "a box beside the picture"


def test_lime_tells_nothing_of_an_even_picture_and_each_picture_alone(bright):
    network = Corner()
    assert not lime_heat(network, bright[:1], 0, cells=4, samples=30).any(), "rounding is no answer"
    bright[:, ::8] = 90
    bright[1, LOWER_RIGHT] = 255
    both = lime_heat(network, bright, np.array([0, 1]), cells=4, samples=60)
    assert np.array_equal(both[1:], lime_heat(network, bright[1:], 1, cells=4, samples=60))
    state = torch.random.get_rng_state()
    lime_heat(network, bright[:1], 0, cells=2, samples=10, seed=7)
    assert torch.equal(state, torch.random.get_rng_state()), "nobody else's random numbers change"


@pytest.mark.parametrize("heat", [grad_cam, lime_heat])
def test_bad_input_is_one_line(heat, bright):
    with pytest.raises(DataFault, match="heat of class 2 was asked for; this network has 2 classes: take 0 to 1"):
        heat(Corner(), bright, np.array([0, 2]))
    with pytest.raises(DataFault, match="heat of class -1"):
        heat(Corner(), bright, -1)
    with pytest.raises(DataFault, match="3 classes for 2 pictures; give one, or one a picture"):
        heat(Corner(), bright, np.array([0, 1, 1]))
    broken = Corner()
    nn.init.constant_(broken.features[1].weight, np.nan)
    with pytest.raises(DataFault, match="a score of the network is not finite"):
        heat(broken, bright, 0)
