"""Study classes from pictures: rows of the cache in, one probability a class out."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cxr.images.centre import centre_window, see_centre
from cxr.labels import STUDY_CLASSES
from cxr.models.classifiers import StudyNet
from cxr.models.precision import best_device
from cxr.prediction.half import autocast, ready
from cxr.profiles import Study
from cxr.tables import IMAGE_SCORES, NONE, check_table
from cxr.training.runs import load_weights

BATCH = 32


class StudyClassifier:
    """A trained study classifier of a run folder."""

    def __init__(self, folder: Path, batch: int = BATCH, half: bool = False):
        self.settings = Study(**json.loads((folder / "config.json").read_text())["settings"])
        self.size, self.batch, self.half = self.settings.size, batch, half
        self.device = best_device()
        self.model = ready(load_weights(StudyNet(self.settings), folder, "config.json"), self.device)

    def predict(self, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        """images: image_id, height, width (original); pixels: uint8 [N x S x S], same rows. Returns an IMAGE_SCORES
        table, with a column `none` if the network says that too; with `flip_at_test` the mean of both mirror images."""
        views = (False, True) if self.settings.flip_at_test else (False,)
        return mean_of_views([self.view(images, pixels, mirrored) for mirrored in views])

    def view(self, images: pd.DataFrame, pixels: np.ndarray, mirrored: bool) -> pd.DataFrame:
        """IMAGE_SCORES of the pictures as they are, or mirrored left to right."""
        names = [*STUDY_CLASSES, *([NONE] if self.settings.none_weight > 0 else [])]
        found = [np.empty((0, len(names)))]
        for start in range(0, len(images), self.batch):
            rows = images.iloc[start : start + self.batch]
            small = self.see(rows, pixels[start : start + self.batch])
            found.append(self._batch(torch.from_numpy(small).to(self.device), mirrored))
        table = pd.DataFrame(np.concatenate(found), columns=names)
        table.insert(0, "image_id", list(images["image_id"]))
        return check_table(table, IMAGE_SCORES, "study classifier")

    def see(self, images: pd.DataFrame, pixels: np.ndarray) -> np.ndarray:
        """What the network sees of pictures: uint8 [N x size x size]."""
        s = self.settings
        windows = [centre_window(row.height, row.width, s.size, s.resize) for row in images.itertuples()]
        return np.stack([see_centre(picture, window, s.size) for picture, window in zip(pixels, windows, strict=True)])

    @torch.inference_mode()
    def _batch(self, small: torch.Tensor, mirrored: bool) -> np.ndarray:
        with autocast(self.device, self.half):
            outputs = self.model((small.flip(-1) if mirrored else small)[:, None])
        found = [outputs["classes"].float().softmax(1)]
        if "none" in outputs:
            found.append(outputs["none"].float().sigmoid()[:, None])
        return torch.cat(found, 1).cpu().numpy()


def mean_of_views(views: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """IMAGE_SCORES of one network's views of the same images to their mean, in the network's own float32."""
    names = [name for name in views[0].columns if name != "image_id"]
    values = np.mean([view[names].to_numpy(np.float32) for view in views], axis=0)
    return views[0].assign(**dict(zip(names, values.astype(float).T, strict=True)))


def sees_mirror_images(folder: Path) -> bool:
    """Whether the model of a run folder was meant to be asked about mirror images too."""
    return bool(json.loads((folder / "config.json").read_text())["settings"]["flip_at_test"])
