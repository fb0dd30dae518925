"""Class probabilities from study classifiers: rows of the cache in, one row of probabilities an image out."""

import json
from collections.abc import Sequence
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
    """A trained study classifier of a run folder; `flip`: it was meant to see mirror images too."""

    def __init__(self, folder: Path, batch: int = BATCH):
        settings = json.loads((folder / "config.json").read_text())["settings"]
        self.size, self.flip, self.batch = settings["size"], settings["flip_at_test"], batch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = StudyNet(settings["network"], settings["dropout"], settings["mask_weight"] > 0)
        self.model = load_weights(network, folder, "config.json").to(self.device).eval()

    def predict(self, image_ids: list[str], pixels: np.ndarray) -> pd.DataFrame:
        """pixels: uint8 [N x S x S]. Returns an IMAGE_SCORES table; with `flip` the mean of both mirror images."""
        views = [self.view(image_ids, pixels, mirrored) for mirrored in ((False, True) if self.flip else (False,))]
        return mean_of_views(views)

    def view(self, image_ids: list[str], pixels: np.ndarray, mirrored: bool) -> pd.DataFrame:
        """IMAGE_SCORES of the pictures as they are, or mirrored left to right."""
        scores = [
            self._batch(pixels[start : start + self.batch], mirrored) for start in range(0, len(image_ids), self.batch)
        ]
        table = pd.DataFrame(np.concatenate([np.empty((0, len(STUDY_CLASSES))), *scores]), columns=list(STUDY_CLASSES))
        table.insert(0, "image_id", image_ids)
        return check_table(table, IMAGE_SCORES, "study classifier")

    @torch.inference_mode()
    def _batch(self, pixels: np.ndarray, mirrored: bool) -> np.ndarray:
        small = torch.from_numpy(np.stack([to_cache_size(image, self.size) for image in pixels])).to(self.device)
        view = small.flip(-1) if mirrored else small
        return self.model(view[:, None])["classes"].float().softmax(1).cpu().numpy()


def mean_of_views(views: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """IMAGE_SCORES of one network's views of the same images to their mean, in the network's own float32."""
    values = np.mean([view[list(STUDY_CLASSES)].to_numpy(np.float32) for view in views], axis=0)
    return views[0].assign(**dict(zip(STUDY_CLASSES, values.astype(float).T, strict=True)))


def sees_mirror_images(folder: Path) -> bool:
    """Whether the classifier of a run folder was trained to be asked about mirror images too."""
    return bool(json.loads((folder / "config.json").read_text())["settings"]["flip_at_test"])
