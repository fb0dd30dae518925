"""Boxes from detectors: rows of the cache in, a box table in pixels of the original image out."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from cxr.boxes import clip_xyxy, scale_xyxy
from cxr.images.convert import to_cache_size
from cxr.profiles import Yolo
from cxr.tables import BOX_COLUMNS, BOXES, check_table
from cxr.training.yolo import load_detector

BATCH = 16


class YoloDetector:
    """A trained YOLO of a run folder. Model sizes stay inside: boxes come out in pixels of the original image."""

    def __init__(self, folder: Path, settings: Yolo):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model: nn.Module = load_detector(folder).to(self.device)
        self.settings = settings

    def predict(self, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        """images: image_id, height, width (original); pixels: uint8 [N x S x S], same rows. Returns a BOXES table."""
        found = [empty_boxes()]
        for start in range(0, len(images), BATCH):
            rows = images.iloc[start : start + BATCH]
            for row, (boxes_xyxy, scores) in zip(
                rows.itertuples(), self._batch(pixels[start : start + BATCH]), strict=True
            ):
                original = (row.height, row.width)
                boxes_xyxy = scale_xyxy(boxes_xyxy, (self.settings.size, self.settings.size), original)
                found.append(box_rows(row.image_id, clip_xyxy(boxes_xyxy, *original), scores))
        return check_table(pd.concat(found, ignore_index=True), BOXES, "detections")

    @torch.inference_mode()
    def _batch(self, pixels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes at model size and scores for each picture; the network sees three equal channels in 0..1."""
        from ultralytics.utils.nms import non_max_suppression

        s = self.settings
        small = np.stack([to_cache_size(image, s.size) for image in pixels])
        batch = torch.from_numpy(small).to(self.device)[:, None].expand(-1, 3, -1, -1).float() / 255
        kept = non_max_suppression(self.model(batch), s.confidence, s.nms_iou, max_det=s.max_boxes, max_time_img=60.0)
        return [(one[:, :4].cpu().numpy(), one[:, 4].cpu().numpy()) for one in kept]


def box_rows(image_id: str, boxes_xyxy: np.ndarray, scores: np.ndarray, label: str = "opacity") -> pd.DataFrame:
    """One image's boxes as rows of a box table; boxes thinner than a pixel are left out: they can match nothing, and a
    submission, with its two decimals, might round them to no area."""
    table = pd.DataFrame(np.asarray(boxes_xyxy, float).reshape(-1, 4), columns=BOX_COLUMNS)
    table.insert(0, "image_id", image_id)
    table.insert(1, "label", label)
    table.insert(2, "score", np.asarray(scores, float))
    return table[(table.x_max - table.x_min >= 1) & (table.y_max - table.y_min >= 1)]


def empty_boxes() -> pd.DataFrame:
    """A box table without rows, columns typed."""
    numbers = {name: pd.Series(dtype=float) for name in ["score", *BOX_COLUMNS]}
    return pd.DataFrame({"image_id": pd.Series(dtype=object), "label": pd.Series(dtype=object), **numbers})
