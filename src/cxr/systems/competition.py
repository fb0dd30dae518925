"""The spine: paper 004's system. Two detectors and a study classifier, trained fold by fold, and their predictions.

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
from cxr.prediction.classify import StudyClassifier, mean_of_views, sees_mirror_images
from cxr.prediction.combine import average_folds, calibrate_boxes, calibrate_scores, combine, fuse_folds, study_means
from cxr.prediction.constants import read_constants
from cxr.prediction.detect import FasterRcnnDetector, YoloDetector
from cxr.prediction.lung_finder import LungFinder
from cxr.prediction.members import Member, read_members, uncovered
from cxr.prediction.out_of_fold import write_boxes
from cxr.prediction.passes import Level, Pass, first_passes, order_of_work
from cxr.prediction.schedule import Results
from cxr.profiles import ModelSettings, settings_of
from cxr.tables import IMAGE_SCORES, STUDY_SCORES, empty_boxes, write_table
from cxr.training import yolo
from cxr.training.cross_validation import Fold, each_fold
from cxr.training.faster_rcnn import train_faster_rcnn
from cxr.training.pretraining import NIH_NAME, RSNA_FASTER_RCNN, RSNA_YOLO
from cxr.training.start import Start, find_start
from cxr.training.studies import train_study
from cxr.workspace import Workspace

YOLO, FASTER_RCNN, STUDIES = "yolo", "faster_rcnn", "studies"
DETECTORS, CLASSIFIERS = (YOLO, FASTER_RCNN), (STUDIES,)
Model = YoloDetector | FasterRcnnDetector | StudyClassifier
# what shapes a training: when one of these changes, a finished fold is not the fold that would be trained now
FIT = ("cxr.training.fit", "cxr.training.losses", "cxr.models.backbones", "cxr.data.augment", "cxr.images.resize")
CODE = {
    YOLO: ("cxr.training.yolo", "cxr.data.yolo_labels", "cxr.images.resize"),
    FASTER_RCNN: (*FIT, "cxr.training.faster_rcnn", "cxr.models.detectors", "cxr.data.detection"),
    STUDIES: (*FIT, "cxr.training.studies", "cxr.models.classifiers", "cxr.data.datasets"),
}


def train_yolo_folds(workspace: Workspace, variant: str = "", **changes: object) -> pd.DataFrame:
    """Stage 07: one YOLO a fold, then its boxes on the images it never saw. Returns the out-of-fold BOXES table.

    variant: the name of a training to compare with, which has folders `yolo_<variant>`; changes: the values that it has
    in place of the profile's (`pretrained=False`, `lungs="crop"`).
    """
    yolo.prepare(workspace.places.working / "ultralytics")
    settings, start, name = _begin(workspace, YOLO, (variant, changes), RSNA_YOLO)
    share = workspace.profile.budget.yolo_share

    def predict(folder, images, pixels):
        return YoloDetector(folder, settings).predict(images, pixels)

    table = each_fold(workspace, name, settings, start, share, _train_yolo, predict, CODE[YOLO])
    write_boxes(table, load_training(workspace)[0], workspace.places.predictions(name) / "out_of_fold.csv")
    return table


def train_faster_rcnn_folds(workspace: Workspace, variant: str = "", **changes: object) -> pd.DataFrame:
    """Stage 08: one Faster R-CNN a fold, then its boxes on the images it never saw (BOXES)."""
    settings, start, name = _begin(workspace, FASTER_RCNN, (variant, changes), RSNA_FASTER_RCNN, NIH_NAME)
    share = workspace.profile.budget.faster_rcnn_share

    def train(_: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
        parts = fold.part(fold.training), fold.part(fold.held_out)
        return train_faster_rcnn(settings, *parts, fold.start, fold.folder, fold.seconds)

    def predict(folder, images, pixels):
        return FasterRcnnDetector(folder).predict(images, pixels)

    table = each_fold(workspace, name, settings, start, share, train, predict, CODE[FASTER_RCNN])
    write_boxes(table, load_training(workspace)[0], workspace.places.predictions(name) / "out_of_fold.csv")
    return table


def train_study_folds(workspace: Workspace, variant: str = "", **changes: object) -> pd.DataFrame:
    """Stage 09: one study classifier a fold, then its probabilities on the images it never saw (IMAGE_SCORES)."""
    settings, start, name = _begin(workspace, STUDIES, (variant, changes), NIH_NAME)
    share = workspace.profile.budget.study_share

    def train(_: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
        return train_study(settings, fold)

    def predict(folder, images, pixels):
        return StudyClassifier(folder).predict(list(images["image_id"]), pixels)

    table = each_fold(workspace, name, settings, start, share, train, predict, CODE[STUDIES])
    folder = workspace.places.predictions(name)
    write_table(table, folder / "out_of_fold_images.csv", IMAGE_SCORES)
    studies = load_training(workspace)[0].set_index("image_id")["study_id"]
    write_table(study_means(table, table["image_id"].map(studies)), folder / "out_of_fold.csv", STUDY_SCORES)
    return table


def _begin(
    workspace: Workspace, model: str, variant: tuple[str, dict[str, object]], *stages: str
) -> tuple[ModelSettings, Start, str]:
    """Settings, where the training starts, and the name of its folders; variant: name and changes."""
    words, changes = variant
    settings = replace(settings_of(workspace.profile, model), **changes)
    start = find_start(workspace, settings.weights, *(stages if settings.pretrained else ()))
    return settings, start, f"{model}_{words}" if words else model


def _train_yolo(workspace: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    settings = workspace.profile.yolo
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
        self.folders = {name: _folds(workspace, name) for name in (*DETECTORS, *CLASSIFIERS)}
        self.members, self.lungs = foreign_members(workspace, tests), LungFinder(workspace)
        self.constants = read_constants(workspace.places.blend, members=bool(self.members))
        self.detectors = [name for name in DETECTORS if self.constants.box_weights.get(name, 1.0) > 0]
        self.classifiers = [name for name in CLASSIFIERS if self.constants.class_weights.get(name, 1.0) > 0]
        self._loaded: dict[tuple[str, int], Model] = {}

    def first_passes(self) -> list[Pass]:
        """One fold of every model."""
        return first_passes(self.detectors, self.classifiers)

    def order_of_work(self, seconds: dict[str, float]) -> list[Level]:
        """seconds: what an image of each model takes, where measured."""
        mirrored = [name for name in self.classifiers if sees_mirror_images(self.folders[name][0])]
        return order_of_work(self.detectors, self.classifiers, self.profile.folds.count, mirrored, seconds)

    def run(self, one: Pass, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        """BOXES or IMAGE_SCORES of one network. images: image_id, height, width; pixels: uint8 [N x S x S]."""
        model, view = self._model(one), settings_of(self.profile, one.model).lungs
        lungs = self.lungs.find(images, pixels) if view != WHOLE else [None] * len(images)
        seen = see(images, empty_boxes(), pixels, lungs, view)
        if one.model in DETECTORS:
            return seen.back(model.predict(seen.images, seen.pixels))
        return model.view(list(images["image_id"]), seen.pixels, one.mirrored)

    def release(self, one: Pass) -> None:
        """Free the memory of a network that nobody will ask again."""
        self._loaded.pop((one.model, one.fold), None)

    def _model(self, one: Pass) -> Model:
        key = (one.model, one.fold)
        if key not in self._loaded:
            folder, batch = self.folders[one.model][one.fold], self.profile.prediction.batch
            makers = {
                YOLO: lambda: YoloDetector(folder, self.profile.yolo, batch),
                FASTER_RCNN: lambda: FasterRcnnDetector(folder, batch),
                STUDIES: lambda: StudyClassifier(folder, 2 * batch),
            }
            self._loaded[key] = makers[one.model]()
        return self._loaded[key]

    def combine(self, images: pd.DataFrame, results: Results) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
        """Boxes, `none` and study classes from the passes that there are; what was left out counts for nothing.

        images: image_id, study_id, height, width, all images of a study. Returns a BOXES table, probabilities by
        image_id, STUDY_SCORES.
        """
        boxes, scores = {}, {}
        # maps were fitted to what one model says, so they come before folds are fused or averaged
        for name in self.detectors:
            folds = [results[one] for one in sorted(results) if one.model == name]
            found = [calibrate_boxes(table, name, self.constants) for table in folds]
            if found:
                boxes[name] = fuse_folds(found, images, self.profile.fusion)
        for name in self.classifiers:
            found = [calibrate_scores(table, name, self.constants) for table in _views_joined(results, name)]
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
    members = read_members(workspace.places.members, load_training(workspace)[0], [*DETECTORS, *CLASSIFIERS])
    missing = uncovered(members, tests)
    for line in missing:
        print(f"note: {line}; foreign members are left out")
    return [] if missing else members


def _views_joined(results: Results, name: str) -> list[pd.DataFrame]:
    """A classifier's folds, each the mean of the views that there are."""
    folds = sorted({one.fold for one in results if one.model == name})
    views = [[results[one] for one in sorted(results) if (one.model, one.fold) == (name, fold)] for fold in folds]
    return [mean_of_views(one) for one in views]


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


def rsna_detectors(workspace: Workspace) -> dict[str, YoloDetector | FasterRcnnDetector]:
    """The detectors that stage 05 left, ready to predict; a detector that it left out is not there."""
    yolo.prepare(workspace.places.working / "ultralytics")
    profile = workspace.profile
    makers = {
        YOLO: (RSNA_YOLO, lambda folder: YoloDetector(folder, profile.yolo)),
        FASTER_RCNN: (RSNA_FASTER_RCNN, FasterRcnnDetector),
    }
    folders = {name: (workspace.places.pretrained(part), make) for name, (part, make) in makers.items()}
    return {name: make(folder) for name, (folder, make) in folders.items() if (folder / "run.json").is_file()}
