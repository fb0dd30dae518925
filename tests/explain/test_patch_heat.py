"""Probabilistic Grad-CAM beside equation 5 of paper 002 computed pixel by pixel."""

import numpy as np
import torch
from torch import nn

from cxr.explain.cam import grad_cam
from cxr.explain.patches import probabilistic_cam
from cxr.images.patches import draw_patches

SIDE, PATCH, COUNT = 48, 16, 9


class Small(nn.Module):
    """A convolution and a head; `features.last` as classifiers have it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.features = nn.Sequential(nn.Conv2d(1, 4, 5, stride=2), nn.ReLU())
        self.features.last = self.features[1]
        self.head = nn.Linear(4, 3)
        nn.init.uniform_(self.head.weight, 0.1, 1)  # else no activation may speak for a class

    def forward(self, pixels):
        return self.head(self.features(pixels.float() / 255).mean((2, 3)))


def test_it_is_equation_5():
    rng = np.random.default_rng(0)
    picture, mask = rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8), np.zeros((SIDE, SIDE), bool)
    mask[12:36, 4:30] = True
    patches, network = draw_patches(picture, mask, seed=1, count=COUNT, size=PATCH), Small().eval()
    found = probabilistic_cam(network, patches, 2, picture.shape)
    total, covered = np.zeros(picture.shape), np.zeros(picture.shape)
    for pixels, (row, column) in zip(patches.pixels, patches.centres, strict=True):
        heat = grad_cam(network, pixels[None], 2)[0]
        with torch.no_grad():
            chance = float(network(torch.from_numpy(pixels.copy())[None, None]).softmax(1)[0, 2])
        for i in range(PATCH):
            for j in range(PATCH):
                y, x = row - PATCH // 2 + i, column - PATCH // 2 + j
                if 0 <= y < SIDE and 0 <= x < SIDE:
                    total[y, x] += chance * heat[i, j]
                    covered[y, x] += 1
    wanted = np.divide(total, covered, out=np.zeros_like(total), where=covered > 0)
    assert wanted.max() > 0
    assert np.allclose(found, wanted, atol=1e-6)
    assert not found[covered == 0].any(), "zero where no patch fell"
