"""A run's trained folds, asked pass by pass about a test set, and combined as out of fold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.data.lung_views import WHOLE, see
from cxr.data.prepare import load_training
from cxr.faults import DataFault
from cxr.prediction.classify import StudyClassifier, mean_of_views, sees_mirror_images
from cxr.prediction.combine import (
    average_folds,
    calibrate_boxes,
    calibrate_scores,
    combine,
    fuse_folds,
    fuse_views,
)
from cxr.prediction.constants import read_constants
from cxr.prediction.detect import Detector, TorchvisionDetector, YoloDetector
from cxr.prediction.lung_finder import LungFinder
from cxr.prediction.members import Member, read_members, uncovered
from cxr.prediction.passes import Level, Pass, first_passes, order_of_work
from cxr.prediction.schedule import Results
from cxr.profiles import settings_of
from cxr.systems.competition.names import CLASSIFIERS, STUDIES, YOLO, detectors_of
from cxr.tables import empty_boxes
from cxr.training import yolo
from cxr.training.pretraining import rsna_name
from cxr.workspace import Workspace

Model = Detector | StudyClassifier


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
        self.all_detectors = known
        self.detectors = [name for name in known if self.constants.box_weights.get(name, 1.0) > 0]
        self.classifiers = [name for name in CLASSIFIERS if self.constants.class_weights.get(name, 1.0) > 0]
        self.mirrored = [name for name, folders in self.folders.items() if sees_mirror_images(folders[0])]
        self._loaded: dict[tuple[str, int], Model] = {}

    def first_passes(self) -> list[Pass]:
        """One fold of every model."""
        return first_passes(self.detectors, self.classifiers)

    def order_of_work(self, seconds: dict[str, float]) -> list[Level]:
        """seconds: what an image of each model takes, where measured."""
        return self._order(self.detectors, self.classifiers, seconds)

    def all_passes(self, name: str | None = None) -> list[Pass]:
        """Everything that stage 11 asks where time allows; with a name, everything that this model can be asked, even
        one that counts for nothing in the blend."""
        detectors, classifiers = self.detectors, self.classifiers
        if name is not None:
            detectors, classifiers = ([name], []) if name in self.all_detectors else ([], [name])
        return [one for level in self._order(detectors, classifiers, {}) for one in level.passes]

    def _order(self, detectors: Sequence[str], classifiers: Sequence[str], seconds: dict[str, float]) -> list[Level]:
        return order_of_work(detectors, classifiers, self.profile.folds.count, self.mirrored, seconds)

    def run(self, one: Pass, images: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
        """BOXES or IMAGE_SCORES of one network. images: image_id, height, width; pixels: uint8 [N x S x S]."""
        model, view = self.model(one), settings_of(self.profile, one.model).lungs
        lungs = self.lungs.find(images, pixels) if view != WHOLE else [None] * len(images)
        seen = see(images, empty_boxes(), pixels, lungs, view)
        if one.model in self.all_detectors:
            return seen.back(model.predict(seen.images, seen.pixels, one.mirrored))
        return model.view(seen.images, seen.pixels, one.mirrored)

    def release(self, one: Pass) -> None:
        """Free the memory of a network that nobody will ask again."""
        self._loaded.pop((one.model, one.fold), None)

    def model(self, one: Pass) -> Model:
        """The network of a pass, loaded when it is asked first."""
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
        there = {one.model for one in results}
        boxes = {name: self.boxes_of(name, images, results) for name in self.detectors if name in there}
        scores = {name: self.scores_of(name, results) for name in self.classifiers}
        for member in self.members:
            kind, calibrate = (boxes, calibrate_boxes) if member.is_detector else (scores, calibrate_scores)
            kind[member.name] = calibrate(member.on(images), member.name, self.constants)
        weights = {name: weight for name, weight in self.constants.box_weights.items() if name in boxes}
        return combine(images, boxes, scores, replace(self.constants, box_weights=weights), calibrated=True)

    # maps were fitted to what one model says, so they come before folds are fused or averaged
    def boxes_of(self, name: str, images: pd.DataFrame, results: Results) -> pd.DataFrame:
        """BOXES of one detector: its views and folds fused, its scores calibrated."""
        folds = [fuse_views(views, images) for views in _views(results, name)]
        return fuse_folds(
            [calibrate_boxes(table, name, self.constants) for table in folds], images, self.profile.fusion
        )

    def scores_of(self, name: str, results: Results) -> pd.DataFrame:
        """IMAGE_SCORES of one classifier: the mean of its folds, calibrated."""
        folds = [mean_of_views(views) for views in _views(results, name)]
        return average_folds([calibrate_scores(table, name, self.constants) for table in folds])


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
