"""Trained folds asked once more about the images that they never saw, in another way than their stage did."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxr.data.lung_views import see_training
from cxr.data.prepare import load_training
from cxr.prediction.classify import StudyClassifier, mean_of_views
from cxr.prediction.combine import fuse_views
from cxr.prediction.detect import TorchvisionDetector, YoloDetector
from cxr.profiles import settings_of
from cxr.systems.competition.names import STUDIES, YOLO
from cxr.training import yolo
from cxr.workspace import Workspace


def predict_again(
    workspace: Workspace, name: str, half: bool | None = None, mirrored: Sequence[bool] = (False,)
) -> pd.DataFrame:
    """A model's out-of-fold table (BOXES or IMAGE_SCORES) by the folds that are trained; nothing is written.

    half: in half precision or not, None: as the profile says; mirrored: the views of each picture, fused or averaged.
    """
    yolo.prepare(workspace.places.working / "ultralytics")
    images, boxes, pixels = load_training(workspace)
    settings = settings_of(workspace.profile, name)
    half = workspace.profile.prediction.half if half is None else half
    seen, _ = see_training(workspace, settings.lungs, images, boxes, pixels)
    tables = []
    for fold in sorted(images["fold"].unique()):
        folder, rows = workspace.places.model(name, fold), np.flatnonzero(images["fold"] == fold)
        own, part = seen.images.iloc[rows], seen.pixels[rows]
        if name == STUDIES:
            model = StudyClassifier(folder, half=half)
            tables.append(mean_of_views([model.view(own, part, each) for each in mirrored]))
        else:
            is_yolo = name == YOLO
            model = YoloDetector(folder, settings, half=half) if is_yolo else TorchvisionDetector(folder, half=half)
            tables.append(seen.back(fuse_views([model.predict(own, part, each) for each in mirrored], own)))
    return pd.concat(tables, ignore_index=True)
