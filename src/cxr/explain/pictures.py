"""Where a paper's classifier looks, in the frame of the whole picture."""

import cv2
import numpy as np
from torch import nn

from cxr.data.lung_views import CROP, CROP_AND_MASK, Lung
from cxr.data.picture_batches import LungSight, See, seen_pixels
from cxr.data.tasks import Pictures
from cxr.explain.cam import grad_cam


def picture_heat(network: nn.Module, pictures: Pictures, see: See, sight: LungSight, targets: np.ndarray) -> np.ndarray:
    """Grad-CAM float32 [N x S x S] in 0..1 of a class each, in the frame of `pictures`; 0 where nothing was seen.

    see: what the network sees, of the lungs that `sight` shows.
    """
    if not len(pictures):
        return np.empty((0, pictures.side, pictures.side), np.float32)
    heat = grad_cam(network, seen_pixels(pictures, see), targets)
    boxes = [sight.lung(pictures.mask(number)) for number in range(len(pictures))]
    return np.stack(
        [back_to_frame(one, lung, sight.view, pictures.side) for one, lung in zip(heat, boxes, strict=True)]
    )


def back_to_frame(heat: np.ndarray, lung: Lung | None, view: str, side: int) -> np.ndarray:
    """Heat of what was seen, float [s x s], in the frame of the picture [side x side]; 0 where nothing was seen."""
    if lung is None or view not in (CROP, CROP_AND_MASK):
        return cv2.resize(heat, (side, side), interpolation=cv2.INTER_LINEAR)
    x_min, y_min, x_max, y_max = lung.box_xyxy
    whole = np.zeros((side, side), np.float32)
    whole[y_min:y_max, x_min:x_max] = cv2.resize(heat, (x_max - x_min, y_max - y_min), interpolation=cv2.INTER_LINEAR)
    return whole
