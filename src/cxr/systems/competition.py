"""The spine: paper 004's system. Detectors and a study classifier, trained fold by fold, and their predictions.

Out-of-fold predictions are saved, so that everything after (fusion, blending, report) needs no model.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from torch import Tensor

from cxr.data.lung_views import WHOLE, see
from cxr.data.prepare import load_training
from cxr.data.yolo_labels import write_yolo
from cxr.faults import DataFault
from cxr.images.resize import to_cache_size
from cxr.models.architectures import FASTER_RCNN
from cxr.prediction.classify import StudyClassifier, mean_of_views, sees_mirror_images
from cxr.prediction.combine import (
    average_folds,
    calibrate_boxes,
    calibrate_scores,
    combine,
    fuse_boxes,
    fuse_folds,
    study_means,
)
from cxr.prediction.constants import read_constants
from cxr.prediction.detect import Detector, TorchvisionDetector, YoloDetector
from cxr.prediction.lung_finder import LungFinder
from cxr.prediction.members import Member, read_members, uncovered
from cxr.prediction.out_of_fold import write_boxes
from cxr.prediction.passes import Level, Pass, first_passes, order_of_work
from cxr.prediction.schedule import Results
from cxr.profiles import Fusion, ModelSettings, Profile, more_detectors, settings_of
from cxr.tables import IMAGE_SCORES, STUDY_SCORES, empty_boxes, write_table
from cxr.training import yolo
from cxr.training.cross_validation import Fold, each_fold
from cxr.training.detectors import train_detector
from cxr.training.pretraining import NIH_NAME, RSNA_YOLO, rsna_name
from cxr.training.start import Start, find_start
from cxr.training.studies import train_study
from cxr.workspace import Workspace

YOLO, STUDIES = "yolo", "studies"
CLASSIFIERS = (STUDIES,)
Model = Detector | StudyClassifier
# what shapes a training: when one of these changes, a finished fold is not the fold that would be trained now
FIT = (
    "cxr.training.fit",
    "cxr.training.recipe",
    "cxr.training.losses",
    "cxr.models.backbones",
    "cxr.data.augment",
    "cxr.images.resize",
)
TORCHVISION = (*FIT, "cxr.training.detectors", "cxr.models.detectors", "cxr.data.detection")
CODE = {
    YOLO: ("cxr.training.yolo", "cxr.training.yolo_losses", "cxr.data.yolo_labels", "cxr.images.resize"),
    STUDIES: (
        *FIT,
        "cxr.training.studies",
        "cxr.models.classifiers",
        "cxr.models.mask_heads",
        "cxr.data.datasets",
        "cxr.images.centre",
    ),
}


def detectors_of(profile: Profile) -> tuple[str, ...]:
    """YOLO, Faster R-CNN and what the profile names beside them."""
    return (YOLO, FASTER_RCNN, *more_detectors(profile))


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

    table = each_fold(workspace, name, settings, start, share, train, predict, CODE[YOLO], only)
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

    code = (*TORCHVISION, f"cxr.models.{architecture}")
    table = each_fold(workspace, name, settings, start, share, train, predict, code, only)
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

    table = each_fold(workspace, name, settings, start, share, train, predict, CODE[STUDIES], only)
    return keep_scores(workspace, name, table)


def keep_scores(workspace: Workspace, name: str, table: pd.DataFrame | None) -> pd.DataFrame | None:
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


def fuse_views(views: Sequence[pd.DataFrame], images: pd.DataFrame) -> pd.DataFrame:
    """BOXES of one network's views of the same pictures as one table, by the published constants; a single one stays as
    it is."""
    return fuse_boxes(views, images, Fusion()) if len(views) > 1 else views[0]


def _begin(
    workspace: Workspace, model: str, variant: tuple[str, dict[str, object]], *stages: str
) -> tuple[ModelSettings, Start, str]:
    """Settings, where the training starts, and the name of its folders; variant: name and changes."""
    words, changes = variant
    settings = replace(settings_of(workspace.profile, model), **changes)
    start = find_start(workspace, settings.weights, *(stages if settings.pretrained else ()))
    return settings, start, f"{model}_{words}" if words else model


def _train_yolo(workspace: Workspace, settings: ModelSettings, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    # the network's own size: ultralytics would resize with another filter than prediction does
    pixels = np.stack([to_cache_size(image, settings.size) for image in fold.pixels])
    data_yaml = write_yolo(
        workspace.places.yolo(fold.number), fold.images, fold.boxes, pixels, fold.training, fold.held_out
    )
    keep = workspace.profile.images.keep_caches
    return yolo.train_yolo(settings, data_yaml, fold.folder, fold.start, fold.seconds, f"fold {fold.number}", keep)


class Competition:
    """All trained folds of a run, asked pass by pass. DataFault if a fold is missing: never half an ensemble unsaid.

    tests: image_id and study_id of everything that will be predicted. Foreign members join where they cover all of it;
    otherwise the constants are taken that were tuned without them, and that is said. Models whose weight in the blend
    is zero are not asked.
    """

    def __init__(self, workspace: Workspace, tests: pd.DataFrame):
        yolo.prepare(workspace.places.working / "ultralytics")
        self.profile = workspace.profile
        known = detectors_of(workspace.profile)
        self.folders = {name: _folds(workspace, name) for name in (*known, *CLASSIFIERS)}
        self.members, self.lungs = foreign_members(workspace, tests), LungFinder(workspace)
        self.constants = read_constants(workspace.places.blend, members=bool(self.members))
        self.detectors = [name for name in known if self.constants.box_weights.get(name, 1.0) > 0]
        self.classifiers = [name for name in CLASSIFIERS if self.constants.class_weights.get(name, 1.0) > 0]
        self._loaded: dict[tuple[str, int], Model] = {}

    def first_passes(self) -> list[Pass]:
        """One fold of every model."""
        return first_passes(self.detectors, self.classifiers)

    def order_of_work(self, seconds: dict[str, float]) -> list[Level]:
        """seconds: what an image of each model takes, where measured."""
        names = (*self.detectors, *self.classifiers)
        mirrored = [name for name in names if sees_mirror_images(self.folders[name][0])]
        return order_of_work(self.detectors, self.classifiers, self.profile.folds.count, mirrored, seconds)

    def run(self, one: Pass, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        """BOXES or IMAGE_SCORES of one network. images: image_id, height, width; pixels: uint8 [N x S x S]."""
        model, view = self._model(one), settings_of(self.profile, one.model).lungs
        lungs = self.lungs.find(images, pixels) if view != WHOLE else [None] * len(images)
        seen = see(images, empty_boxes(), pixels, lungs, view)
        if one.model in self.detectors:
            return seen.back(model.predict(seen.images, seen.pixels, one.mirrored))
        return model.view(seen.images, seen.pixels, one.mirrored)

    def release(self, one: Pass) -> None:
        """Free the memory of a network that nobody will ask again."""
        self._loaded.pop((one.model, one.fold), None)

    def _model(self, one: Pass) -> Model:
        key = (one.model, one.fold)
        if key not in self._loaded:
            folder, p = self.folders[one.model][one.fold], self.profile.prediction
            makers = {
                YOLO: lambda: YoloDetector(folder, self.profile.yolo, p.batch, p.half),
                STUDIES: lambda: StudyClassifier(folder, 2 * p.batch, p.half),
            }
            self._loaded[key] = makers.get(one.model, lambda: TorchvisionDetector(folder, p.batch, p.half))()
        return self._loaded[key]

    def combine(self, images: pd.DataFrame, results: Results) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
        """Boxes, `none` and study classes from the passes that there are; what was left out counts for nothing.

        images: image_id, study_id, height, width, all images of a study. Returns a BOXES table, probabilities by
        image_id, STUDY_SCORES.
        """
        boxes, scores = {}, {}
        # maps were fitted to what one model says, so they come before folds are fused or averaged
        for name in self.detectors:
            folds = [fuse_views(views, images) for views in _views(results, name)]
            found = [calibrate_boxes(table, name, self.constants) for table in folds]
            if found:
                boxes[name] = fuse_folds(found, images, self.profile.fusion)
        for name in self.classifiers:
            folds = [mean_of_views(views) for views in _views(results, name)]
            found = [calibrate_scores(table, name, self.constants) for table in folds]
            scores[name] = average_folds(found)
        for member in self.members:
            kind, calibrate = (boxes, calibrate_boxes) if member.is_detector else (scores, calibrate_scores)
            kind[member.name] = calibrate(member.on(images), member.name, self.constants)
        weights = {name: weight for name, weight in self.constants.box_weights.items() if name in boxes}
        return combine(images, boxes, scores, replace(self.constants, box_weights=weights), calibrated=True)


def foreign_members(workspace: Workspace, tests: pd.DataFrame) -> list[Member]:
    """The members of input/members, if each covers all of `tests`; else none, which is said."""
    if not workspace.places.members.is_dir():
        return []  # a run that was carried elsewhere has no training images to check members against
    members = read_members(
        workspace.places.members, load_training(workspace)[0], [*detectors_of(workspace.profile), *CLASSIFIERS]
    )
    missing = uncovered(members, tests)
    for line in missing:
        print(f"note: {line}; foreign members are left out")
    return [] if missing else members


def _views(results: Results, name: str) -> list[list[pd.DataFrame]]:
    """A model's tables by fold: of the pictures as they are, then of mirrored ones, as far as there are any."""
    folds = sorted({one.fold for one in results if one.model == name})
    return [[results[one] for one in sorted(results) if (one.model, one.fold) == (name, fold)] for fold in folds]


def _folds(workspace: Workspace, name: str) -> Sequence:
    """Folders of all folds of a model; DataFault when one is not trained."""
    folders = [workspace.places.model(name, fold) for fold in range(workspace.profile.folds.count)]
    missing = [fold for fold, folder in enumerate(folders) if not (folder / "run.json").is_file()]
    if missing:
        raise DataFault(
            f"{folders[missing[0]]}: fold {', '.join(map(str, missing))} of {name} is "
            "not trained; run its stage first, or `make all`"
        )
    return folders


def rsna_detectors(workspace: Workspace) -> dict[str, Detector]:
    """The detectors that stage 05 left, ready to predict; a detector that it left out is not there."""
    yolo.prepare(workspace.places.working / "ultralytics")
    profile, found = workspace.profile, {}
    for name in detectors_of(profile):
        folder = workspace.places.pretrained(rsna_name(name))
        if (folder / "run.json").is_file():
            found[name] = YoloDetector(folder, profile.yolo) if name == YOLO else TorchvisionDetector(folder)
    return found
