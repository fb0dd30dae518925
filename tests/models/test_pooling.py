"""Regions come out of threads as torchvision pools them, in the order of the pictures."""

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from cxr.models.pooling import PooledRegions

LEVELS, SIZE = ["0", "1"], 128


def pyramid_and_boxes(pictures):
    torch.manual_seed(0)
    levels = {name: torch.rand(pictures, 4, SIZE // 8 >> i, SIZE // 8 >> i) for i, name in enumerate(LEVELS)}
    corners = [torch.rand(count, 2) * 60 for count in range(pictures)]  # the first picture has none
    boxes_xyxy = [torch.cat([at, at + 8 + torch.rand_like(at) * 50], dim=1) for at in corners]
    return levels, boxes_xyxy, [(SIZE, SIZE)] * pictures


@pytest.fixture
def four_threads():
    was = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(was)


@pytest.mark.parametrize("pictures", [1, 2, 7])
@pytest.mark.parametrize("half", [False, True])
def test_as_torchvision(pictures, half, four_threads):
    asked = pyramid_and_boxes(pictures)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        ours = PooledRegions(LEVELS, 3, 2)(*asked)
        theirs = MultiScaleRoIAlign(LEVELS, 3, 2)(*asked)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


def test_gradients_still_flow(four_threads):
    levels, boxes_xyxy, shapes = pyramid_and_boxes(3)
    levels["0"].requires_grad_()
    PooledRegions(LEVELS, 3, 2)(levels, boxes_xyxy, shapes).sum().backward()
    assert float(levels["0"].grad.abs().sum()) > 0
