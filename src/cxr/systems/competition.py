"""The spine: paper 004's system. Trains its detector and its study classifier fold by fold, and predicts with them.

A finished fold is never trained again while its settings, data, starting weights and training code stay the same.
Out-of-fold predictions are saved, so that everything after needs no model.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cxr.data.datasets import study_loader
from cxr.data.prepare import load_training
from cxr.data.siim import find_weights
from cxr.data.yolo_labels import write_yolo
from cxr.faults import DataFault
from cxr.images.convert import to_cache_size
from cxr.labels import STUDY_CLASSES
from cxr.models.classifiers import MASK_STRIDE, StudyNet, load_backbone
from cxr.prediction.classify import StudyClassifier
from cxr.prediction.combine import blend, fuse_boxes, none_from_boxes, study_means
from cxr.prediction.detect import YoloDetector
from cxr.profiles import Study
from cxr.stamps import own_digests
from cxr.tables import BOXES, IMAGE_SCORES, STUDY_SCORES, write_table
from cxr.training import yolo
from cxr.training.fit import Recipe, fit
from cxr.training.losses import study_losses
from cxr.training.runs import data_digest, finish_run, is_finished, load_state, start_run
from cxr.workspace import Workspace

DETECTOR, STUDIES = "yolo", "studies"
# what shapes a training: when one of these changes, a finished fold is not the fold that would be trained now
CODE = {
    DETECTOR: ("cxr.training.yolo", "cxr.data.yolo_labels", "cxr.images.convert"),
    STUDIES: (
        "cxr.training.fit",
        "cxr.training.losses",
        "cxr.models.classifiers",
        "cxr.data.datasets",
        "cxr.data.augment",
    ),
}


class Fold(NamedTuple):
    """What one training gets: all images with their truth and pixels, which of them to learn from, where to keep it."""

    number: int
    folder: Path
    images: pd.DataFrame
    boxes: pd.DataFrame
    pixels: np.ndarray  # uint8 [N x S x S], rows of `images`
    training: list[str]  # image ids
    held_out: list[str]
    weights: Path | None  # to start from
    seconds: float  # that the clock allows


Train = Callable[[Workspace, Fold], tuple[dict[str, Tensor], dict]]  # to a state dict and what to record
Predict = Callable[[Path, pd.DataFrame, np.ndarray], pd.DataFrame]


def train_detectors(workspace: Workspace) -> pd.DataFrame:
    """Stage 07: one YOLO a fold, then its boxes on the images it never saw. Returns the out-of-fold BOXES table."""
    yolo.prepare(workspace.places.working / "ultralytics")
    settings = workspace.profile.yolo
    table = _each_fold(
        workspace,
        DETECTOR,
        settings,
        workspace.profile.budget.yolo_share,
        _train_detector,
        lambda folder, images, pixels: YoloDetector(folder, settings).predict(images, pixels),
    )
    write_table(table, workspace.places.predictions(DETECTOR) / "out_of_fold.csv", BOXES)
    return table


def train_studies(workspace: Workspace) -> pd.DataFrame:
    """Stage 09: one study classifier a fold, then its probabilities on the images it never saw (IMAGE_SCORES)."""
    table = _each_fold(
        workspace,
        STUDIES,
        workspace.profile.study,
        workspace.profile.budget.study_share,
        _train_study,
        lambda folder, images, pixels: StudyClassifier(folder).predict(list(images["image_id"]), pixels),
    )
    folder = workspace.places.predictions(STUDIES)
    write_table(table, folder / "out_of_fold_images.csv", IMAGE_SCORES)
    studies = load_training(workspace)[0].set_index("image_id")["study_id"]
    write_table(study_means(table, table["image_id"].map(studies)), folder / "out_of_fold.csv", STUDY_SCORES)
    return table


def _each_fold(workspace: Workspace, name: str, settings, share: float, train: Train, predict: Predict) -> pd.DataFrame:
    """The bookkeeping of cross-validation: train what is not trained yet, predict each fold by the model without it."""
    images, boxes, pixels = load_training(workspace)
    weights, numbers = find_weights(workspace.places.input, settings.weights), sorted(images["fold"].unique())
    data = data_digest(images[["image_id", "fold", "role", "pixel_sha256", *STUDY_CLASSES]], boxes)
    start = f"{weights.name}, {weights.stat().st_size} bytes" if weights else "random"
    code, found = own_digests(CODE[name]), []
    for number in numbers:
        folder = workspace.places.model(name, number)
        config = {"settings": asdict(settings), "fold": int(number), "weights": start, "data": data, "code": code}
        if is_finished(folder, config):
            print(f"fold {number}: trained already, kept")
        else:
            start_run(folder, config)
            seconds = workspace.clock.share(share, len(numbers) - number)
            fold = Fold(number, folder, images, boxes, pixels, *split(images, number), weights, seconds)
            print(f"fold {number}: {len(fold.training)} images, {_start_words(weights)}", flush=True)
            state, record = train(workspace, fold)
            sources = {"data": workspace.inputs["data"], "weights": str(weights or "random")}
            finish_run(folder, state, {**record, **sources, "profile": workspace.profile.name, "seed": settings.seed})
        rows = np.flatnonzero(images["fold"] == number)
        found.append(predict(folder, images.iloc[rows], pixels[rows]))
    return pd.concat(found, ignore_index=True)


def _train_detector(workspace: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    settings = workspace.profile.yolo
    # the network's own size: ultralytics would resize with another filter than prediction does
    pixels = np.stack([to_cache_size(image, settings.size) for image in fold.pixels])
    data_yaml = write_yolo(
        workspace.places.yolo(fold.number), fold.images, fold.boxes, pixels, fold.training, fold.held_out
    )
    record = yolo.train_yolo(settings, data_yaml, fold.folder, fold.weights, fold.seconds, f"fold {fold.number}")
    return record.pop("state"), record


def _train_study(workspace: Workspace, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    s = workspace.profile.study
    recipe = Recipe(
        s.epochs,
        s.lr if fold.weights else s.lr_random,
        s.weight_decay,
        s.warmup_fraction,
        {"class": 1.0, "mask": s.mask_weight},
        s.seed,
        s.ema,
        fold.seconds,
    )
    network = build_study_net(s, fold.weights)
    record = fit(
        network,
        study_losses,
        _loader(fold, fold.training, s, True),
        _loader(fold, fold.held_out, s, False),
        recipe,
        fold.folder,
    )
    return network.state_dict(), record


def build_study_net(settings: Study, weights: Path | None) -> StudyNet:
    """The classifier with random weights drawn from its seed, or with a backbone from a weight file."""
    torch.manual_seed(settings.seed)
    network = StudyNet(settings.network, settings.dropout, settings.mask_weight > 0)
    if weights:
        load_backbone(network, load_state(weights), str(weights))
    return network


def _loader(fold: Fold, ids: list[str], settings: Study, training: bool) -> DataLoader:
    rows = np.flatnonzero(fold.images["image_id"].isin(ids))
    return study_loader(
        fold.images.iloc[rows],
        fold.boxes,
        fold.pixels[rows],
        settings.size,
        MASK_STRIDE,
        settings.batch,
        settings.seed,
        training,
    )


def split(images: pd.DataFrame, fold: int) -> tuple[list[str], list[str]]:
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
