"""Tables and figures of paper 002: markers with their tests, intensities by anatomy, local beside global."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.data.tasks import Pictures, Task
from cxr.evaluation.biomarkers import cardiothoracic_ratio, lung_intensity, marker_table
from cxr.evaluation.classification import overall
from cxr.faults import DataFault
from cxr.figures.pictures import Picture
from cxr.figures.systems import histograms
from cxr.images.enhance import normalise_contrast
from cxr.images.lungs import HEART, LEFT_LUNG, RIGHT_LUNG, STRUCTURES, UNDER_SEGMENTED, deformed_share
from cxr.models.precision import best_device
from cxr.models.segmenters import build_segmenter
from cxr.papers.lungs import segmenter_of
from cxr.papers.run import Outcome, run_variant
from cxr.prediction.half import ready
from cxr.prediction.pictures import load_network, patch_chances
from cxr.training.runs import load_weights
from cxr.training.segmentation import segment
from cxr.workspace import Workspace

COLUMNS = ("accuracy", "precision", "recall", "F1", "specificity")  # tables X, XII, XIV, XVI, XVII
MOST = 400  # pictures whose markers are measured
INTENSITY, DEVIATION, RATIO = "lung intensity", "its deviation", "cardiothoracic ratio"
INTER, INTRA = "inter-patch intensity", "intra-patch deviation"


def global_approach(workspace: Workspace, outcome: Outcome) -> Outcome:
    """The baseline: the whole masked picture (table X)."""
    whole = replace(outcome.config, approach="global")
    return run_variant(workspace, outcome.system.NAME, "global approach", whole, outcome.task)


def measures(outcomes: dict[str, Outcome]) -> pd.DataFrame:
    """A row an approach, COLUMNS: means over the classes (table X)."""
    rows = {name: overall(one.truth, one.chances, one.task.classes) for name, one in outcomes.items()}
    return pd.DataFrame(rows).T[list(COLUMNS)].round(3)


def sensitivities(outcomes: dict[str, Outcome]) -> pd.DataFrame:
    """Share of each class that is found (table XI)."""
    rows = {}
    for name, one in outcomes.items():
        found, classes = one.chances.argmax(1), one.task.classes
        rows[name] = {
            kind: (found[one.truth == number] == number).mean() if (one.truth == number).any() else np.nan
            for number, kind in enumerate(classes)
        }
    return pd.DataFrame(rows).T.round(3)


def structures_of(workspace: Workspace, outcome: Outcome, rows: np.ndarray) -> np.ndarray:
    """Maps of heart and lungs uint8 [N x s x s] by the paper's segmenter."""
    settings = outcome.system.lung_settings(outcome.config)
    folder = segmenter_of(workspace, outcome.system, outcome.config)
    classes = len(STRUCTURES) if settings.structures else 1
    network = load_weights(build_segmenter(settings.network, classes=classes), folder, "config.json")
    pixels = np.stack([outcome.task.pictures.picture(row) for row in rows])
    found = segment(network.to(best_device()).eval(), settings, pixels)
    # joint masks have no sides and no heart, so that no ratio comes out of them
    return found if settings.structures else found * np.uint8(RIGHT_LUNG)


def markers(workspace: Workspace, outcome: Outcome) -> tuple[dict[str, np.ndarray], list[str]]:
    """Markers of up to MOST pictures, and their classes (figure 4)."""
    pictures = outcome.task.pictures
    rows = np.linspace(0, len(pictures) - 1, min(MOST, len(pictures))).round().astype(int)
    labels = [outcome.task.classes[number] for number in pictures.targets[rows]]
    intensity = []
    for row in rows:
        mask = pictures.mask(row)
        nothing = (np.nan, np.nan)
        intensity.append(nothing if mask is None else lung_intensity(normalise_contrast(pictures.picture(row)), mask))
    ratios = [cardiothoracic_ratio(one) for one in structures_of(workspace, outcome, rows)]
    means, deviations = np.array(intensity).T
    return {INTENSITY: means, DEVIATION: deviations, RATIO: np.array(ratios)}, labels


def patch_markers(outcome: Outcome, per_picture: int = 10) -> tuple[dict[str, np.ndarray], list[str]]:
    """Mean and deviation of the patches that the classifier got right (figure 5), by class."""
    c, system, found, labels = outcome.config, outcome.system, [], []
    for fold, folder in outcome.folders.items():
        network = ready(load_network(folder, lambda classes: system.build(c, classes)), best_device())
        for place in np.flatnonzero(outcome.folds == fold):
            row = outcome.rows[place]
            patches = system.patches_of(c, outcome.task.pictures, row, row, per_picture)
            right = patch_chances(network, patches.pixels).argmax(1) == outcome.truth[place]
            for patch in patches.pixels[right]:
                lit = patch[patch > 0] / 255.0  # what the mask covers is no lung
                found.append((lit.mean(), lit.std()) if lit.size else (np.nan, np.nan))
                labels.append(outcome.task.classes[outcome.truth[place]])
    means, deviations = np.array(found, float).reshape(-1, 2).T
    return {INTER: means, INTRA: deviations}, labels


def marker_tables(markers: dict[str, np.ndarray], labels: list[str], classes: tuple[str, ...]) -> pd.DataFrame:
    """Tables VI, VII and IX below each other."""
    return pd.concat({name: marker_table(values, labels, classes) for name, values in markers.items()})


def without_supine(workspace: Workspace, outcome: Outcome) -> pd.DataFrame | str:
    """Table VIII: the deviation of the lungs' intensity without AP supine pictures; in words where no view is known."""
    images, pictures = outcome.task.pictures.images, outcome.task.pictures
    if "view" not in images or not (images["view"] != "").any():
        return "no picture says its view"
    kept = np.flatnonzero((images["view"] != "AP Supine").to_numpy() & pictures.known_lungs)
    values = [lung_intensity(normalise_contrast(pictures.picture(row)), pictures.mask(row))[1] for row in kept]
    labels = [outcome.task.classes[number] for number in pictures.targets[kept]]
    return marker_table(np.array(values), labels, outcome.task.classes)


def anatomy_histograms(workspace: Workspace, outcome: Outcome, at_most: int = 24) -> Picture:
    """Figure 11: gray values of lungs and heart of the first and the last class, as they are and normalised."""
    pictures, panels = outcome.task.pictures, {}
    for number in (0, len(outcome.task.classes) - 1):
        rows = np.flatnonzero(pictures.targets == number)[:at_most]
        maps = structures_of(workspace, outcome, rows)
        for words, change in (("original", lambda x: x), ("normalised", normalise_contrast)):
            parts = {"lungs": [], "heart": []}
            for row, one in zip(rows, maps, strict=True):
                picture = change(np.ascontiguousarray(pictures.picture(row)))
                places = np.arange(len(one)) * len(picture) // len(one)
                small = picture[np.ix_(places, places)]
                parts["lungs"].append(small[np.isin(one, (RIGHT_LUNG, LEFT_LUNG))])
                parts["heart"].append(small[one == HEART])
            panels[f"{outcome.task.classes[number]}, {words}"] = {k: np.concatenate(v) for k, v in parts.items()}
    return histograms(panels)


def is_under_segmented(pictures: Pictures) -> np.ndarray:
    """Whether over a quarter of a picture's lungs is deformed, an estimate from the mask alone, or no lung was found:
    bool [N] (section V-F.3)."""
    masks = (pictures.mask(row) for row in range(len(pictures)))
    return np.array([mask is None or deformed_share(mask) > UNDER_SEGMENTED for mask in masks], bool)


def under_segmented(outcome: Outcome) -> pd.DataFrame:
    """By class: how many pictures are under-segmented, and the share of the tested ones that is found with them and
    without them (section V-F.3). The network is the same: it has seen such pictures.

    Raises DataFault where the system sees pictures whole.
    """
    pictures, rows = outcome.task.pictures, {}
    if pictures.masks is None:
        raise DataFault(
            "no picture has a lung mask, since lungs=whole: take lungs=masked to count under-segmented ones"
        )
    bad, hit = is_under_segmented(pictures), outcome.chances.argmax(1) == outcome.truth
    for number, name in enumerate(outcome.task.classes):
        own, tested = pictures.targets == number, outcome.truth == number
        good = tested & ~bad[outcome.rows]
        rows[name] = {
            "pictures": int(own.sum()),
            "under-segmented": int(bad[own].sum()),
            "share": round(bad[own].mean(), 3) if own.any() else np.nan,
            "tested": int(tested.sum()),
            "sensitivity": round(hit[tested].mean(), 3) if tested.any() else np.nan,
            "tested without": int(good.sum()),
            "sensitivity without": round(hit[good].mean(), 3) if good.any() else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def without_under_segmented(task: Task) -> Task:
    """The task without them: none is learned from, validated on or tested."""
    good = ~is_under_segmented(task.pictures)
    kept = {"usable": task.usable & good, "validation": task.validation & good}
    return task._replace(fold=np.where(good, task.fold, -1), **kept)
