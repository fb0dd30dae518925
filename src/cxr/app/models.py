"""The models of a run, asked about a few pictures by the code of stage 11."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pandas as pd

from cxr.data.lung_views import WHOLE
from cxr.explain.studies import classifier_heat
from cxr.faults import DataFault
from cxr.images.lungs import rejection
from cxr.labels import STUDY_CLASSES
from cxr.papers.registry import SYSTEMS
from cxr.papers.unseen import Unseen, is_trained
from cxr.prediction.combine import none_from_boxes, study_means
from cxr.prediction.passes import Pass
from cxr.prediction.segment import LungSegmenter
from cxr.profiles import settings_of
from cxr.systems.competition import FASTER_RCNN, STUDIES, YOLO, Competition
from cxr.workspace import Workspace

FUSED = "fused"  # everything as in a submission
TITLES = {FUSED: "fused (as submitted)", YOLO: "YOLO", FASTER_RCNN: "Faster R-CNN", STUDIES: "study classifier"}


@dataclass(frozen=True)
class Answer:
    """What one model says; None where it says nothing of that."""

    boxes: pd.DataFrame | None = None  # BOXES, in pixels of the file
    none: pd.Series | None = None  # probability of no opacity, by image_id
    studies: pd.DataFrame | None = None  # STUDY_SCORES


class Models:
    """All that is trained in a run. One question at a time: the networks share the processor's cores anyway.

    Raises DataFault where the run is not finished: without all folds of the spine and stage 10's constants there is no
    submission to show.
    """

    def __init__(self, workspace: Workspace):
        self.workspace, self.size = workspace, workspace.profile.images.cache_size
        # an upload is in nobody's tables: foreign members of the run cannot take part, which is said
        upload = pd.DataFrame({"image_id": ["an upload"], "study_id": ["an upload"]})
        self.spine = Competition(workspace, upload)
        self.systems = {name: Unseen(workspace, name) for name in SYSTEMS if is_trained(workspace, name)}
        lungs = workspace.places.lungs_model
        self._segmenter = LungSegmenter(lungs) if (lungs / "run.json").is_file() else None
        self._lock = Lock()

    @property
    def boxes_by(self) -> list[str]:
        """Models that say where."""
        return [FUSED, *self.spine.all_detectors]

    @property
    def studies_by(self) -> list[str]:
        """Models that say which class."""
        return [FUSED, STUDIES, *self.systems]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([*self.boxes_by, *self.studies_by]))

    def title(self, name: str) -> str:
        """What people call it."""
        return SYSTEMS[name].TITLE if name in SYSTEMS else TITLES.get(name, name)

    def chosen(self, names: Sequence[str]) -> list[str]:
        """The models of a request, FUSED without any. Raises DataFault for one that is not there."""
        names = list(dict.fromkeys(name.strip() for text in names for name in text.split(",") if name.strip()))
        unknown = [name for name in names if name not in self.names]
        if unknown:
            why = "not trained in this run (`make systems`)" if unknown[0] in SYSTEMS else "not known"
            raise DataFault(f"model {unknown[0][:40]!r} is {why}; choose of {', '.join(self.names)}")
        return names or [FUSED]

    def predict(self, images: pd.DataFrame, pixels: np.ndarray, names: Sequence[str]) -> dict[str, Answer]:
        """Answers by model. images: image_id, study_id, height, width of N pictures; pixels: uint8 [N x S x S]."""
        with self._lock:
            spine = [name for name in names if name not in self.systems]
            passes = [one for name in spine for one in self.spine.all_passes(None if name == FUSED else name)]
            results = {one: self.spine.run(one, images, pixels) for one in dict.fromkeys(passes)}
            self.spine.lungs.forget()
            return {name: self._answer(name, images, pixels, results) for name in names}

    def _answer(self, name: str, images: pd.DataFrame, pixels: np.ndarray, results: dict) -> Answer:
        constants = self.spine.constants
        if name == FUSED:
            own = {one: results[one] for one in self.spine.all_passes()}
            return Answer(*self.spine.combine(images, own))
        if name in self.spine.all_detectors:
            boxes = self.spine.boxes_of(name, images, results)
            ids = list(images["image_id"])
            return Answer(boxes, none_from_boxes(ids, boxes, constants.none_formula, constants.none_calibration))
        own = self.systems.get(name)
        by_image = own.predict(images, pixels) if own else self.spine.scores_of(name, results)
        return Answer(studies=study_means(by_image, images["study_id"]))

    def lungs(self, pixels: np.ndarray) -> tuple[np.ndarray, str] | None:
        """Mask bool [size x size] of a picture and why it is not believed, ''; None without a segmenter."""
        if self._segmenter is None:
            return None
        settings = self.workspace.profile.lungs
        with self._lock:
            mask = self._segmenter.predict(pixels[None])[0]
        return mask, rejection(float(mask.mean()), settings.min_area, settings.max_area)

    def heat(self, images: pd.DataFrame, pixels: np.ndarray, name: str, label: str) -> np.ndarray:
        """Where a classifier looks for a class: Grad-CAM, the mean of its folds, float [size x size] in 0..1.

        images, pixels: of one picture. FUSED looks with the eyes of the study classifier. Raises DataFault for a model
        that tells no classes.
        """
        if name not in self.studies_by or label not in STUDY_CLASSES:
            known = f"{', '.join(self.studies_by)} for {', '.join(STUDY_CLASSES)}"
            raise DataFault(f"no heat of {name[:40]!r} for {label[:40]!r}; there is heat of {known}")
        target = np.array([STUDY_CLASSES.index(label)])
        with self._lock:
            if name in self.systems:
                return self.systems[name].heat(images, pixels, target)[0]
            view = settings_of(self.workspace.profile, STUDIES).lungs
            lungs = self.spine.lungs.find(images, pixels) if view != WHOLE else [None]
            self.spine.lungs.forget()
            folds = [self.spine.model(Pass(STUDIES, fold)) for fold in range(self.workspace.profile.folds.count)]
            return np.mean([classifier_heat(one, images, pixels, lungs, view, target)[0] for one in folds], axis=0)
