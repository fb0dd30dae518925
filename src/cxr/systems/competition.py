"""The spine: paper 004's system. Trains its detector and its study classifier fold by fold, and predicts with them.

A finished fold is never trained again while its settings and data stay the same. Out-of-fold predictions are saved, so
that everything after needs no model.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.datasets import study_loader
from cxr.data.prepare import load_training
from cxr.data.yolo_labels import write_yolo
from cxr.faults import DataFault
from cxr.images.convert import to_cache_size
from cxr.labels import STUDY_CLASSES
from cxr.models.classifiers import MASK_STRIDE, StudyNet, load_backbone
from cxr.prediction.classify import StudyClassifier
from cxr.prediction.combine import blend, fuse_boxes, none_from_boxes, study_means
from cxr.prediction.detect import YoloDetector
from cxr.tables import BOXES, IMAGE_SCORES, STUDY_SCORES, write_table
from cxr.training import yolo
from cxr.training.fit import Recipe, fit
from cxr.training.losses import study_losses
from cxr.training.runs import data_digest, finish_run, is_finished, load_state, start_run
from cxr.workspace import Workspace

DETECTOR, STUDIES = "yolo", "studies"


def train_detectors(workspace: Workspace) -> pd.DataFrame:
    """Stage 07: one YOLO a fold, then its boxes on the images it never saw. Returns the out-of-fold BOXES table."""
    yolo.prepare(workspace.places.working / "ultralytics")
    images, boxes, pixels = load_training(workspace)
    found = []
    for fold in sorted(images["fold"].unique()):
        folder = workspace.places.model(DETECTOR, fold)
        _train_detector_fold(workspace, images, boxes, pixels, fold, folder)
        held_out = np.flatnonzero(images["fold"] == fold)
        found.append(YoloDetector(folder, workspace.profile.yolo).predict(images.iloc[held_out], pixels[held_out]))
    table = pd.concat(found, ignore_index=True)
    write_table(table, workspace.places.predictions(DETECTOR) / "out_of_fold.csv", BOXES)
    return table


def _train_detector_fold(
    workspace: Workspace, images: pd.DataFrame, boxes: pd.DataFrame, pixels: np.ndarray, fold: int, folder: Path
) -> None:
    settings, weights = workspace.profile.yolo, workspace.weights(workspace.profile.yolo.weights)
    training, held_out = _split(images, fold)
    config = {
        "yolo": asdict(settings),
        "fold": int(fold),
        "weights": weights.name if weights else None,
        "data": data_digest(images[["image_id", "fold", "role", "pixel_sha256"]], boxes),
    }
    if is_finished(folder, config):
        print(f"fold {fold}: trained already, kept")
        return
    start_run(folder, config)
    # the network's own size: ultralytics would resize with another filter than prediction does
    small = np.stack([to_cache_size(image, settings.size) for image in pixels])
    data_yaml = write_yolo(workspace.places.yolo(fold), images, boxes, small, training, held_out)
    print(f"fold {fold}: {settings.model} on {len(training)} images, {_start_words(weights)}", flush=True)
    seconds = workspace.clock.share(workspace.profile.budget.yolo_share, images["fold"].nunique() - fold)
    record = yolo.train_yolo(settings, data_yaml, folder, weights, seconds, f"fold {fold}")
    finish_run(folder, record.pop("state"), {**record, **_sources(workspace, weights), "seed": settings.seed})


def train_studies(workspace: Workspace) -> pd.DataFrame:
    """Stage 09: one study classifier a fold, then its probabilities on the images it never saw (IMAGE_SCORES)."""
    images, boxes, pixels = load_training(workspace)
    found = []
    for fold in sorted(images["fold"].unique()):
        folder = workspace.places.model(STUDIES, fold)
        _train_study_fold(workspace, images, boxes, pixels, fold, folder)
        held_out = np.flatnonzero(images["fold"] == fold)
        found.append(StudyClassifier(folder).predict(list(images["image_id"].iloc[held_out]), pixels[held_out]))
    table = pd.concat(found, ignore_index=True)
    folder = workspace.places.predictions(STUDIES)
    write_table(table, folder / "out_of_fold_images.csv", IMAGE_SCORES)
    studies = table["image_id"].map(images.set_index("image_id")["study_id"])
    write_table(study_means(table, studies), folder / "out_of_fold.csv", STUDY_SCORES)
    return table


def _train_study_fold(
    workspace: Workspace, images: pd.DataFrame, boxes: pd.DataFrame, pixels: np.ndarray, fold: int, folder: Path
) -> None:
    settings, weights = workspace.profile.study, workspace.weights(workspace.profile.study.weights)
    training, held_out = _split(images, fold)
    config = {
        "study": asdict(settings),
        "fold": int(fold),
        "weights": weights.name if weights else None,
        "data": data_digest(images[["image_id", "fold", "role", "pixel_sha256", *STUDY_CLASSES]], boxes),
    }
    if is_finished(folder, config):
        print(f"fold {fold}: trained already, kept")
        return
    start_run(folder, config)
    seconds = workspace.clock.share(workspace.profile.budget.study_share, images["fold"].nunique() - fold)
    recipe = Recipe(
        settings.epochs,
        settings.lr if weights else settings.lr_random,
        settings.weight_decay,
        settings.warmup_fraction,
        {"class": 1.0, "mask": settings.mask_weight},
        settings.seed,
        settings.ema,
        seconds,
    )
    network = build_study_net(settings, weights)
    loaders = [_loader(images, boxes, pixels, ids, settings, ids is training) for ids in (training, held_out)]
    print(f"fold {fold}: {settings.network} on {len(training)} images, {_start_words(weights)}", flush=True)
    record = fit(network, study_losses, *loaders, recipe, folder)
    finish_run(folder, network.state_dict(), {**record, **_sources(workspace, weights), "seed": settings.seed})


def build_study_net(settings, weights: Path | None) -> StudyNet:
    """The classifier with random weights drawn from its seed, or with a backbone from a weight file."""
    import torch

    torch.manual_seed(settings.seed)
    network = StudyNet(settings.network, settings.dropout, settings.mask_weight > 0)
    if weights:
        load_backbone(network, load_state(weights), str(weights))
    return network


def _loader(images: pd.DataFrame, boxes: pd.DataFrame, pixels: np.ndarray, ids: list[str], settings, training: bool):
    rows = np.flatnonzero(images["image_id"].isin(ids))
    return study_loader(
        images.iloc[rows], boxes, pixels[rows], settings.size, MASK_STRIDE, settings.batch, settings.seed, training
    )


def _split(images: pd.DataFrame, fold: int) -> tuple[list[str], list[str]]:
    """Image ids to train on and to hold out; boxless duplicates of boxed studies are in neither."""
    usable = images["role"] == "train"
    training = images["image_id"][usable & (images["fold"] != fold)]
    held_out = images["image_id"][usable & (images["fold"] == fold)]
    if training.empty or held_out.empty:
        raise DataFault(
            f"fold {fold} leaves {len(training)} images for training and {len(held_out)} to hold out; "
            "ask for fewer folds"
        )
    return list(training), list(held_out)


def _start_words(weights: Path | None) -> str:
    return f"weights from {weights}" if weights else "from RANDOM weights"


def _sources(workspace: Workspace, weights: Path | None) -> dict:
    """What a model has learned from: recorded with every run (a member that saw the test set must be found out)."""
    return {
        "data": workspace.inputs["data"],
        "weights": str(weights) if weights else "random",
        "profile": workspace.profile.name,
    }


class Competition:
    """All trained folds of a run, ready to predict. Raises DataFault if a fold is missing: never half an ensemble."""

    def __init__(self, workspace: Workspace):
        yolo.prepare(workspace.places.working / "ultralytics")
        self.settings = workspace.profile.fusion
        folds = range(workspace.profile.folds.count)
        for name in (DETECTOR, STUDIES):
            missing = [k for k in folds if not (workspace.places.model(name, k) / "run.json").is_file()]
            if missing:
                raise DataFault(
                    f"{workspace.places.model(name, missing[0])}: fold {', '.join(map(str, missing))} of {name} is "
                    "not trained; run its stage first, or `make all`"
                )
        self.detectors = [YoloDetector(workspace.places.model(DETECTOR, k), workspace.profile.yolo) for k in folds]
        self.classifiers = [StudyClassifier(workspace.places.model(STUDIES, k)) for k in folds]

    def predict(self, images: pd.DataFrame, pixels: np.ndarray) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
        """Boxes, `none` and study classes for images (image_id, study_id, height, width) with cache pixels [N x S x S].

        All images of a study must come in one call. Returns a BOXES table, probabilities by image_id, STUDY_SCORES.
        """
        boxes = fuse_boxes([model.predict(images, pixels) for model in self.detectors], images, self.settings)
        scores = [model.predict(list(images["image_id"]), pixels) for model in self.classifiers]
        mean = scores[0].assign(**{name: np.mean([one[name] for one in scores], axis=0) for name in STUDY_CLASSES})
        return combine(images, boxes, mean, self.settings)


def combine(
    images: pd.DataFrame, boxes: pd.DataFrame, scores: pd.DataFrame, settings
) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Boxes stay, `none` comes from boxes, studies are means over their images, then both inform each other."""
    studies = study_means(scores, images["study_id"])
    none, studies = blend(images, none_from_boxes(list(images["image_id"]), boxes), studies, settings)
    return boxes, none, studies
