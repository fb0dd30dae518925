"""Stages 07 to 09: models trained fold by fold, and their predictions on the images that they never saw.

Out-of-fold predictions are saved, so that everything after (fusion, blending, report) needs no model.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from torch import Tensor

from cxr.data.detection import note_without_boxes
from cxr.data.prepare import load_training
from cxr.data.yolo_labels import write_yolo
from cxr.faults import DataFault
from cxr.images.resize import to_cache_size
from cxr.prediction.classify import StudyClassifier
from cxr.prediction.combine import fuse_views, study_means
from cxr.prediction.detect import Detector, TorchvisionDetector, YoloDetector
from cxr.prediction.out_of_fold import write_boxes
from cxr.profiles import ModelSettings, more_detectors, settings_of
from cxr.systems.competition.names import FASTER_RCNN, STUDIES, YOLO
from cxr.systems.competition.students import train_students
from cxr.tables import IMAGE_SCORES, STUDY_SCORES, write_table
from cxr.training import code, yolo
from cxr.training.cross_validation import Fold, each_fold
from cxr.training.detectors import train_detector
from cxr.training.pretraining import NIH_NAME, RSNA_YOLO, rsna_name
from cxr.training.start import Start, find_start
from cxr.training.studies import train_study
from cxr.workspace import Workspace


def train_yolo_folds(
    workspace: Workspace, variant: str = "", only: Sequence[int] | None = None, **changes: object
) -> pd.DataFrame | None:
    """Stage 07: one YOLO a fold, then its boxes on the images it never saw. Returns the out-of-fold BOXES table.

    variant: the name of a training to compare with, which has folders `yolo_<variant>`; changes: the values that it has
    in place of the profile's (`pretrained=False`, `lungs="crop"`); only: folds to train, without predicting.
    """
    yolo.prepare(workspace.places.working / "ultralytics")
    settings, start, name = _begin(workspace, YOLO, (variant, changes), RSNA_YOLO)
    share = workspace.profile.budget.yolo_share
    half = workspace.profile.prediction.half

    def train(_: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
        return _train_yolo(workspace, settings, fold)

    def predict(folder, images, pixels):
        return _all_views(YoloDetector(folder, settings, half=half), settings, images, pixels)

    table = each_fold(workspace, name, settings, start, share, train, predict, code.YOLO, only)
    return _keep_boxes(workspace, name, table)


def train_faster_rcnn_folds(
    workspace: Workspace, variant: str = "", only: Sequence[int] | None = None, **changes: object
) -> pd.DataFrame | None:
    """Stage 08: one Faster R-CNN a fold, then its boxes on the images it never saw (BOXES)."""
    return train_detector_folds(workspace, FASTER_RCNN, variant, only, **changes)


def train_more_detectors(workspace: Workspace) -> dict[str, pd.DataFrame]:
    """Stage 08: the architectures beside Faster R-CNN that the profile names, out-of-fold BOXES of each."""
    return {name: train_detector_folds(workspace, name) for name in more_detectors(workspace.profile)}


def train_detector_folds(
    workspace: Workspace, architecture: str, variant: str = "", only: Sequence[int] | None = None, **changes: object
) -> pd.DataFrame | None:
    """One torchvision detector a fold, then its boxes on the images it never saw (BOXES)."""
    pretrained = (rsna_name(architecture), NIH_NAME)
    settings, start, name = _begin(workspace, architecture, (variant, changes), *pretrained)
    share, half = workspace.profile.budget.faster_rcnn_share, workspace.profile.prediction.half

    def train(_: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
        parts = fold.part(fold.training), fold.part(fold.held_out)
        return train_detector(architecture, settings, *parts, fold.start, fold.folder, fold.seconds)

    def predict(folder, images, pixels):
        return _all_views(TorchvisionDetector(folder, half=half), settings, images, pixels)

    modules = code.torchvision_code(architecture)
    table = each_fold(workspace, name, settings, start, share, train, predict, modules, only)
    return _keep_boxes(workspace, name, table)


def train_study_folds(
    workspace: Workspace, variant: str = "", only: Sequence[int] | None = None, **changes: object
) -> pd.DataFrame | None:
    """Stage 09: one study classifier a fold, then its probabilities on the images it never saw (IMAGE_SCORES)."""
    settings, start, name = _begin(workspace, STUDIES, (variant, changes), NIH_NAME)
    share, half = workspace.profile.budget.study_share, workspace.profile.prediction.half

    def train(_: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
        return train_study(settings, fold)

    def predict(folder, images, pixels):
        return StudyClassifier(folder, half=half).predict(images, pixels)

    if workspace.profile.pseudo.rounds and not variant:
        if only is not None:
            raise DataFault("pseudo.rounds: a student needs the teachers of all folds; train them together")
        return _keep_scores(workspace, name, train_students(workspace, settings, start, name))
    table = each_fold(workspace, name, settings, start, share, train, predict, code.STUDIES, only)
    return _keep_scores(workspace, name, table)


def _keep_scores(workspace: Workspace, name: str, table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Write a classifier's out-of-fold IMAGE_SCORES and their means over studies; returns the former."""
    if table is not None:
        folder = workspace.places.predictions(name)
        write_table(table, folder / "out_of_fold_images.csv", IMAGE_SCORES)
        studies = load_training(workspace)[0].set_index("image_id")["study_id"]
        write_table(study_means(table, table["image_id"].map(studies)), folder / "out_of_fold.csv", STUDY_SCORES)
    return table


def _keep_boxes(workspace: Workspace, name: str, table: pd.DataFrame | None) -> pd.DataFrame | None:
    if table is not None:
        write_boxes(table, load_training(workspace)[0], workspace.places.predictions(name) / "out_of_fold.csv")
    return table


def _all_views(detector: Detector, settings: ModelSettings, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
    """A detector's boxes; with `flip_at_test` fused with those of the mirrored pictures."""
    mirrored = (False, True) if settings.flip_at_test else (False,)
    return fuse_views([detector.predict(images, pixels, each) for each in mirrored], images)


def _begin(
    workspace: Workspace, model: str, variant: tuple[str, dict[str, object]], *stages: str
) -> tuple[ModelSettings, Start, str]:
    """Settings, where the training starts, and the name of its folders; variant: name and changes."""
    words, changes = variant
    settings = replace(settings_of(workspace.profile, model), **changes)
    start = find_start(workspace, settings.weights, *(stages if settings.pretrained else ()))
    return settings, start, f"{model}_{words}" if words else model


def _train_yolo(workspace: Workspace, settings: ModelSettings, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    note_without_boxes(f"yolo fold {fold.number}", *fold.part(fold.training)[:2])
    # the network's own size: ultralytics would resize with another filter than prediction does
    pixels = np.stack([to_cache_size(image, settings.size) for image in fold.pixels])
    data_yaml = write_yolo(
        workspace.places.yolo(fold.number), fold.images, fold.boxes, pixels, fold.training, fold.held_out
    )
    keep = workspace.profile.images.keep_caches
    return yolo.train_yolo(settings, data_yaml, fold.folder, fold.start, fold.seconds, f"fold {fold.number}", keep)
