"""The spine: paper 004's system. Detectors and a study classifier, trained fold by fold, and their predictions."""

from cxr.systems.competition.again import predict_again
from cxr.systems.competition.names import CLASSIFIERS, FASTER_RCNN, STUDIES, YOLO, detectors_of
from cxr.systems.competition.predictions import Competition, rsna_detectors
from cxr.systems.competition.trainings import (
    train_detector_folds,
    train_faster_rcnn_folds,
    train_more_detectors,
    train_study_folds,
    train_yolo_folds,
)

__all__ = [
    "CLASSIFIERS",
    "FASTER_RCNN",
    "STUDIES",
    "YOLO",
    "Competition",
    "detectors_of",
    "predict_again",
    "rsna_detectors",
    "train_detector_folds",
    "train_faster_rcnn_folds",
    "train_more_detectors",
    "train_study_folds",
    "train_yolo_folds",
]
