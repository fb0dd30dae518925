"""Boxes from detectors: rows of the cache in, a box table in pixels of the original image out."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cxr.boxes import clip_xyxy, scale_xyxy
from cxr.images.resize import to_cache_size
from cxr.profiles import Yolo
from cxr.tables import BOX_COLUMNS, BOXES, check_table, empty_boxes
from cxr.training.faster_rcnn import load_faster_rcnn
from cxr.training.yolo import load_detector

BATCH = 16


class Detector:
    """A trained detector. Model sizes stay inside: boxes come out in pixels of the original image."""

    size: int  # px, edge of what the network sees

    def __init__(self, model: nn.Module, size: int, batch: int = BATCH):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.size, self.batch = model.to(self.device).eval(), size, batch

    def predict(self, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        """images: image_id, height, width (original); pixels: uint8 [N x S x S], same rows. Returns a BOXES table."""
        found = [empty_boxes()]
        for start in range(0, len(images), self.batch):
            rows = images.iloc[start : start + self.batch]
            small = np.stack([to_cache_size(image, self.size) for image in pixels[start : start + self.batch]])
            batch = torch.from_numpy(small).to(self.device)[:, None]
            for row, (boxes_xyxy, scores) in zip(rows.itertuples(), self.detect(batch), strict=True):
                original = (row.height, row.width)
                boxes_xyxy = scale_xyxy(boxes_xyxy.cpu().numpy(), (self.size, self.size), original)
                found.append(box_rows(row.image_id, clip_xyxy(boxes_xyxy, *original), scores.cpu().numpy()))
        return check_table(pd.concat(found, ignore_index=True), BOXES, "detections")

    def detect(self, batch: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Pixels uint8 [B x 1 x size x size] to boxes_xyxy [N x 4] in pixels of size and scores [N] of each picture."""
        raise NotImplementedError


class YoloDetector(Detector):
    """A trained YOLO of a run folder; it sees three equal channels in 0..1."""

    def __init__(self, folder: Path, settings: Yolo, batch: int = BATCH):
        super().__init__(load_detector(folder), settings.size, batch)
        self.settings = settings

    @torch.inference_mode()
    def detect(self, batch: Tensor) -> list[tuple[Tensor, Tensor]]:
        from ultralytics.utils.nms import non_max_suppression

        s = self.settings
        output = self.model(batch.expand(-1, 3, -1, -1).float() / 255)
        kept = non_max_suppression(output, s.confidence, s.nms_iou, max_det=s.max_boxes, max_time_img=60.0)
        return [(one[:, :4], one[:, 4]) for one in kept]


class FasterRcnnDetector(Detector):
    """A trained Faster R-CNN of a run folder."""

    def __init__(self, folder: Path, batch: int = BATCH):
        network, settings = load_faster_rcnn(folder)
        super().__init__(network, settings.predict_size, batch)

    @torch.inference_mode()
    def detect(self, batch: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [(one["boxes"], one["scores"]) for one in self.model(batch)]


def box_rows(image_id: str, boxes_xyxy: np.ndarray, scores: np.ndarray, label: str = "opacity") -> pd.DataFrame:
    """One image's boxes as rows of a box table; boxes thinner than a pixel are left out: they can match nothing, and a
    submission, with its two decimals, might round them to no area."""
    table = pd.DataFrame(np.asarray(boxes_xyxy, float).reshape(-1, 4), columns=BOX_COLUMNS)
    table.insert(0, "image_id", image_id)
    table.insert(1, "label", label)
    table.insert(2, "score", np.asarray(scores, float))
    return table[(table.x_max - table.x_min >= 1) & (table.y_max - table.y_min >= 1)]
