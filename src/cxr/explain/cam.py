"""Grad-CAM (Selvaraju et al. 2017; paper 002, equation 3), by captum."""

import cv2
import numpy as np
from torch import nn

from cxr.explain.targets import Logits, at_rest, batches, to_unit


def grad_cam(
    network: nn.Module, pixels: np.ndarray, targets: int | np.ndarray, layer: nn.Module | None = None
) -> np.ndarray:
    """Heat float32 [N x S x S] in 0..1: what in a picture speaks for a class, by the score before softmax.

    network: a classifier, pixels [B x 1 x S x S] in 0..255 to logits or to {'classes': logits}; pixels: uint8
    [N x S x S], or [N x C x S x S] for a network of C channels; targets: one class, or one a picture [N]; layer: whose
    activations are weighted, by default `network.features.last`. The map of a deep layer is coarse, and is enlarged
    between its cells.

    Raises DataFault for a class that the network lacks and for scores that are not finite.
    """
    from captum.attr import LayerGradCam

    side, found = pixels.shape[-1], []
    with at_rest(network) as device:
        method = LayerGradCam(Logits(network, targets), network.features.last if layer is None else layer)
        for batch, wanted in batches(pixels, targets, device):
            coarse = method.attribute(batch, wanted, relu_attributions=True).detach().float().cpu().numpy()[:, 0]
            found += [cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in coarse]
    return to_unit(np.stack(found)) if found else np.empty((0, side, side), np.float32)
