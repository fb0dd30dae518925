"""Boxes from detectors: rows of the cache in, a box table in pixels of the original image out."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cxr.boxes import clip_xyxy, scale_xyxy
from cxr.images.resize import to_cache_size
from cxr.models.precision import best_device
from cxr.prediction.half import autocast, ready
from cxr.profiles import Yolo
from cxr.tables import BOX_COLUMNS, BOXES, check_table, empty_boxes
from cxr.training import detectors, yolo

BATCH = 16


class Detector:
    """A trained detector. Model sizes stay inside: boxes come out in pixels of the original image."""

    size: int  # px, edge of what the network sees

    def __init__(self, model: nn.Module, size: int, batch: int = BATCH, half: bool = False):
        self.device = best_device()
        self.model, self.size, self.batch, self.half = ready(model, self.device), size, batch, half

    def predict(self, images: pd.DataFrame, pixels: np.ndarray, mirrored: bool = False) -> pd.DataFrame:
        """images: image_id, height, width (original); pixels: uint8 [N x S x S], same rows. Returns a BOXES table.

        mirrored: the network sees the pictures mirrored left to right; its boxes are mirrored back.
        """
        found = [empty_boxes()]
        for start in range(0, len(images), self.batch):
            rows = images.iloc[start : start + self.batch]
            small = np.stack([to_cache_size(image, self.size) for image in pixels[start : start + self.batch]])
            batch = torch.from_numpy(small).to(self.device)[:, None]
            for row, (boxes_xyxy, scores) in zip(rows.itertuples(), self._ask(batch, mirrored), strict=True):
                original = (row.height, row.width)
                boxes_xyxy = scale_xyxy(boxes_xyxy.float().cpu().numpy(), (self.size, self.size), original)
                found.append(box_rows(row.image_id, clip_xyxy(boxes_xyxy, *original), scores.float().cpu().numpy()))
        return check_table(pd.concat(found, ignore_index=True), BOXES, "detections")

    @torch.inference_mode()
    def _ask(self, batch: Tensor, mirrored: bool) -> list[tuple[Tensor, Tensor]]:
        with autocast(self.device, self.half):
            found = self.detect(batch.flip(-1) if mirrored else batch)
        return [(mirror_xyxy(boxes_xyxy, self.size) if mirrored else boxes_xyxy, each) for boxes_xyxy, each in found]

    def detect(self, batch: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Pixels uint8 [B x 1 x size x size] to boxes_xyxy [N x 4] in pixels of size and scores [N] of each picture."""
        raise NotImplementedError


class YoloDetector(Detector):
    """A trained YOLO of a run folder; it sees three equal channels in 0..1."""

    def __init__(self, folder: Path, settings: Yolo, batch: int = BATCH, half: bool = False):
        super().__init__(yolo.load_detector(folder), settings.size, batch, half)
        self.settings = settings
        decode_in_float32(self.model.model[-1], self.device)

    def detect(self, batch: Tensor) -> list[tuple[Tensor, Tensor]]:
        from ultralytics.utils.nms import non_max_suppression

        s = self.settings
        output = self.model(batch.expand(-1, 3, -1, -1).float() / 255)
        output = output[0] if isinstance(output, (list, tuple)) else output
        kept = non_max_suppression(output.float(), s.confidence, s.nms_iou, max_det=s.max_boxes, max_time_img=60.0)
        return [(one[:, :4], one[:, 4]) for one in kept]


def decode_in_float32(head: nn.Module, device: torch.device) -> None:
    """Let a head of ultralytics turn distances into boxes with the digits of a pixel, whatever it computed them in."""
    decode = head._inference

    def in_float32(found: dict) -> Tensor:
        floats = {name: [one.float() for one in value] if isinstance(value, list) else value.float()
                  for name, value in found.items()}  # fmt: skip
        with torch.autocast(device.type, enabled=False):
            return decode(floats)

    head._inference = in_float32


class TorchvisionDetector(Detector):
    """A trained Faster R-CNN, RetinaNet or FCOS of a run folder."""

    def __init__(self, folder: Path, batch: int = BATCH, half: bool = False):
        network, settings = detectors.load_detector(folder)
        super().__init__(network, settings.predict_size, batch, half)

    def detect(self, batch: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [(one["boxes"], one["scores"]) for one in self.model(batch)]


def mirror_xyxy(boxes_xyxy: Tensor, width: float) -> Tensor:
    """Boxes [N x 4] in a picture mirrored left to right, where they are in the picture itself."""
    x_min, y_min, x_max, y_max = boxes_xyxy.unbind(1)
    return torch.stack([width - x_max, y_min, width - x_min, y_max], 1)


def box_rows(image_id: str, boxes_xyxy: np.ndarray, scores: np.ndarray, label: str = "opacity") -> pd.DataFrame:
    """One image's boxes as rows of a box table; boxes thinner than a pixel are left out: they can match nothing, and a
    submission, with its two decimals, might round them to no area."""
    table = pd.DataFrame(np.asarray(boxes_xyxy, float).reshape(-1, 4), columns=BOX_COLUMNS)
    table.insert(0, "image_id", image_id)
    table.insert(1, "label", label)
    table.insert(2, "score", np.asarray(scores, float))
    return table[(table.x_max - table.x_min >= 1) & (table.y_max - table.y_min >= 1)]
