"""A paper's system as a four-class study classifier, asked about pictures that belong to no table of the run."""

import numpy as np
import pandas as pd

from cxr.data.lung_views import WHOLE
from cxr.data.tasks import Pictures
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.papers.lungs import segmenter_place
from cxr.papers.registry import config_of, system_of
from cxr.prediction.segment import LungSegmenter
from cxr.tables import IMAGE_SCORES, check_table
from cxr.workspace import Workspace


def is_trained(workspace: Workspace, name: str) -> bool:
    """Whether every fold of the system has learned the competition's classes in this run, and its lungs too."""
    system, c = system_of(name), config_of(workspace.profile, name)
    folders = [workspace.places.model(name, fold) for fold in range(workspace.profile.folds.count)]
    if c.lungs != WHOLE:
        folders.append(segmenter_place(workspace, system, c))
    return all((folder / "run.json").is_file() for folder in folders)


class Unseen:
    """All folds of a system. DataFault where one is not trained."""

    def __init__(self, workspace: Workspace, name: str):
        if not is_trained(workspace, name):
            raise DataFault(f"{name}: not all of its folds are trained in this run; run `make systems`")
        self.system, self.config, self.half = (
            system_of(name),
            config_of(workspace.profile, name),
            workspace.profile.prediction.half,
        )
        self.folders = [workspace.places.model(name, fold) for fold in range(workspace.profile.folds.count)]
        self._segmenter = None
        if self.config.lungs != WHOLE:
            self._segmenter = LungSegmenter(segmenter_place(workspace, self.system, self.config))

    def predict(self, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        """IMAGE_SCORES, the mean of the folds. images: image_id of N images; pixels: uint8 [N x S x S], as the run's
        cache has them."""
        pictures = self._pictures(images, pixels)
        folds = [self.system.predict(folder, self.config, pictures, self.half) for folder in self.folders]
        table = pd.DataFrame(np.mean(folds, axis=0).clip(0, 1), columns=list(STUDY_CLASSES))
        table.insert(0, "image_id", list(images["image_id"]))
        return check_table(table, IMAGE_SCORES, self.system.NAME)

    def heat(self, images: pd.DataFrame, pixels: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Where they look for a class each, the mean of the folds, [N x S x S] in 0..1."""
        pictures = self._pictures(images, pixels)
        return np.mean([self.system.heat(folder, self.config, pictures, targets) for folder in self.folders], axis=0)

    def _pictures(self, images: pd.DataFrame, pixels: np.ndarray) -> Pictures:
        """Lungs that are not believed are seen whole, as when the system learned the competition's classes."""
        pictures = Pictures(images, np.zeros(len(images), int), pixels)
        if self._segmenter is None:
            return pictures
        masks = self._segmenter.predict(pixels)
        believed = np.array([not self.system.rejected(mask) for mask in masks], bool)
        return pictures.with_lungs(np.packbits(masks, axis=2), believed)
