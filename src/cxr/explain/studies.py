"""Where the study classifier looks, by the fold that never saw the patient."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr.data.lung_views import Lung, lung_of, see
from cxr.evaluation.run_files import RunFiles
from cxr.explain.cam import grad_cam
from cxr.explain.chosen import Looked, choose
from cxr.explain.lime import lime_heat
from cxr.explain.pictures import back_to_frame
from cxr.faults import DataFault
from cxr.images.centre import around_centre, centre_window
from cxr.labels import STUDY_CLASSES
from cxr.prediction.classify import StudyClassifier
from cxr.profiles import settings_of
from cxr.tables import empty_boxes

STUDIES = "studies"
METHODS = {"Grad-CAM": grad_cam, "LIME": lime_heat}


class StudyHeat(NamedTuple):
    """What speaks for the likeliest class of N pictures, in the frame of the cache."""

    maps: np.ndarray  # float32 [N x S x S] in 0..1
    found: np.ndarray  # int [N], index of that class


def untrained_folds(files: RunFiles, looked: Looked) -> list[int]:
    """Folds of these pictures whose classifier is not there."""
    folds = sorted(looked.images["fold"].unique())
    return [int(fold) for fold in folds if not (files.places.model(STUDIES, fold) / "run.json").is_file()]


def study_heat(files: RunFiles, looked: Looked, method: Callable[..., np.ndarray] = grad_cam) -> StudyHeat:
    """Heat by `grad_cam` or `lime_heat`, called with a network, pixels and targets.

    Raises DataFault where the classifier of a fold is not trained.
    """
    lacking = untrained_folds(files, looked)
    if lacking:
        folder = files.places.model(STUDIES, lacking[0])
        raise DataFault(f"{folder}: the study classifier of this fold is not trained; run 09_classify_studies")
    view = settings_of(files.profile, STUDIES).lungs
    heat, found = np.zeros(looked.pixels.shape, np.float32), np.zeros(len(looked.images), int)
    for fold, rows in looked.images.groupby("fold").groups.items():
        classifier = StudyClassifier(files.places.model(STUDIES, fold))
        lungs = [lung_of(looked.lungs[row], files.profile.lungs) for row in rows]
        own = looked.images.loc[rows], looked.pixels[rows], lungs, view
        found[rows] = scores_seen(classifier, *own).argmax(1)
        heat[rows] = classifier_heat(classifier, *own, found[rows], method)
    return StudyHeat(heat, found)


def scores_seen(
    classifier: StudyClassifier, images: pd.DataFrame, pixels: np.ndarray, lungs: Sequence[Lung | None], view: str
) -> np.ndarray:
    """Probabilities [N x classes] of N pictures, each seen once by its view of the lungs."""
    seen = see(images, empty_boxes(), pixels, lungs, view)
    return classifier.view(seen.images, seen.pixels, mirrored=False)[list(STUDY_CLASSES)].to_numpy()


def classifier_heat(
    classifier: StudyClassifier,
    images: pd.DataFrame,
    pixels: np.ndarray,
    lungs: Sequence[Lung | None],
    view: str,
    targets: np.ndarray,
    method: Callable[..., np.ndarray] = grad_cam,
) -> np.ndarray:
    """What speaks for a class each in N pictures, float [N x S x S] in 0..1, in the frame of their pixels.

    images: image_id, height, width; pixels: uint8 [N x S x S]; lungs, view: as of `data.lung_views.see`; method: as of
    `study_heat`.
    """
    seen = see(images, empty_boxes(), pixels, lungs, view)
    maps, s = method(classifier.model, classifier.see(seen.images, seen.pixels), targets), classifier.settings
    windows = [centre_window(row.height, row.width, s.size, s.resize) for row in seen.images.itertuples()]
    whole = [around_centre(one, window) for one, window in zip(maps, windows, strict=True)]
    side = pixels.shape[-1]
    return np.stack([back_to_frame(one, lung, view, side) for one, lung in zip(whole, lungs, strict=True)])


class Heats(NamedTuple):
    """One picture with the heat of several methods. `row`: in the images table."""

    row: int
    words: str
    maps: dict[str, np.ndarray]  # [S x S] by name


def study_heats(files: RunFiles, at_most: int = 6, ids: Sequence[str] = ()) -> list[Heats]:
    """Grad-CAM and LIME of the study classifier on these images, or on some that are drawn by a hash of their ids.

    Raises DataFault where stage 06 or 09 has left nothing to look at, and for an id that cannot be looked at.
    """
    looked = choose(files, at_most, ids)
    if isinstance(looked, str):
        raise DataFault(f"nothing to look at: {looked}; run 06_segment_lungs and 09_classify_studies first")
    answers = {name: study_heat(files, looked, method) for name, method in METHODS.items()}
    found, heats = answers["Grad-CAM"].found, []
    for number, image in enumerate(looked.images.itertuples()):
        class_found, true = STUDY_CLASSES[found[number]], STUDY_CLASSES[looked.true[number]]
        words = f"{image.image_id}: found {class_found}, in truth {true}"
        heats.append(Heats(image.row, words, {name: answer.maps[number] for name, answer in answers.items()}))
    return heats
