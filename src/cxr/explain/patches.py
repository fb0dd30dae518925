"""Probabilistic Grad-CAM (paper 002, section II-C, equation 5): heat of patches, weighted by what each one says."""

import numpy as np
from torch import nn

from cxr.explain.cam import grad_cam
from cxr.images.patches import Patches, mean_map
from cxr.prediction.pictures import patch_chances


def probabilistic_cam(network: nn.Module, patches: Patches, target: int, shape: tuple[int, int]) -> np.ndarray:
    """float32 [H x W] in 0..1: at each pixel the mean, over the patches that cover it, of their Grad-CAM times their
    probability of the class; 0 where no patch fell.

    Grad-CAM of the score before softmax, ReLU, each patch scaled to 0..1 (equations 3 and 4).
    """
    heat = grad_cam(network, patches.pixels, target)
    chance = patch_chances(network, patches.pixels)[:, target]
    return mean_map(heat * chance[:, None, None], patches.centres, shape)
