"""Class probabilities from study classifiers: rows of the cache in, one row of probabilities an image out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cxr.images.resize import to_cache_size
from cxr.labels import STUDY_CLASSES
from cxr.models.classifiers import StudyNet
from cxr.tables import IMAGE_SCORES, check_table
from cxr.training.runs import load_weights

BATCH = 32


class StudyClassifier:
    """A trained study classifier of a run folder."""

    def __init__(self, folder: Path):
        settings = json.loads((folder / "config.json").read_text())["settings"]
        self.size, self.flip = settings["size"], settings["flip_at_test"]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = StudyNet(settings["network"], settings["dropout"], settings["mask_weight"] > 0)
        self.model = load_weights(network, folder, "config.json").to(self.device).eval()

    def predict(self, image_ids: list[str], pixels: np.ndarray) -> pd.DataFrame:
        """pixels: uint8 [N x S x S]. Returns an IMAGE_SCORES table; `flip_at_test`: mean of both mirror images."""
        scores = [self._batch(pixels[start : start + BATCH]) for start in range(0, len(image_ids), BATCH)]
        table = pd.DataFrame(np.concatenate([np.empty((0, len(STUDY_CLASSES))), *scores]), columns=list(STUDY_CLASSES))
        table.insert(0, "image_id", image_ids)
        return check_table(table, IMAGE_SCORES, "study classifier")

    @torch.inference_mode()
    def _batch(self, pixels: np.ndarray) -> np.ndarray:
        small = torch.from_numpy(np.stack([to_cache_size(image, self.size) for image in pixels])).to(self.device)[
            :, None
        ]
        views = [small, small.flip(-1)] if self.flip else [small]
        return torch.stack([self.model(view)["classes"].float().softmax(1) for view in views]).mean(0).cpu().numpy()
