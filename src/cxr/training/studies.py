"""Train one study classifier through the engine."""

import numpy as np
import torch
from torch import Tensor

from cxr.data.datasets import study_loader
from cxr.labels import STUDY_CLASSES
from cxr.models.backbones import load_backbone
from cxr.models.classifiers import StudyNet
from cxr.models.mask_heads import MASK_STRIDE
from cxr.profiles import Study
from cxr.training.aside import Part, set_aside
from cxr.training.cross_validation import Fold
from cxr.training.fit import fit
from cxr.training.losses import even_class_weights, study_losses
from cxr.training.recipe import recipe_of, stages_of
from cxr.training.runs import load_state
from cxr.training.start import Start


def train_study(settings: Study, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    """Train one study classifier and write `metrics.csv`; returns its state dict and what to record.

    A class that no training image has is named: nothing can be learned of it. With `patience` a tenth of the training
    patients shows in `metrics.csv` in place of the held-out fold.
    """
    s = settings
    training, held_out = fold.part(fold.training), fold.part(fold.held_out)
    if s.patience:
        training, held_out = set_aside(training, "study.patience")
    return fit_study(s, training, held_out, fold)


def fit_study(settings: Study, training: Part, held_out: Part, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    """`train_study` on images that were chosen already; `fold` gives start, folder and seconds."""
    s, targets = settings, training[0][list(STUDY_CLASSES)].to_numpy(float)
    for note in empty_classes(targets, fold.folder.name):
        print(note)
    network = build_study_net(s, fold.start)
    stages = stages_of(s, s.lr_random if fold.start.began_random else s.lr, network.HEAD, s.freeze_backbone)
    weights = {"mask": s.mask_weight, "none": s.none_weight}
    recipe = recipe_of(s, stages, fold.seconds, loss_weights=weights, patience=s.patience)
    loaders = [study_loader(*part, s, MASK_STRIDE, part is training) for part in (training, held_out)]
    losses = study_losses(even_class_weights(targets) if s.class_weights else None, s.focal)
    record = fit(network, losses, *loaders, recipe, fold.folder)
    return network.state_dict(), record


def empty_classes(targets: np.ndarray, name: str) -> list[str]:
    """A note for each class that none of `targets` [N x 4] has."""
    return [
        f"note: {name}: none of {len(targets)} training images is {label}, so nothing can be learned of that class"
        for label, count in zip(STUDY_CLASSES, targets.sum(0), strict=True)
        if not count
    ]


def build_study_net(settings: Study, start: Start) -> StudyNet:
    """The classifier with random weights drawn from its seed, or with a backbone that was trained before."""
    torch.manual_seed(settings.seed)
    network = StudyNet(settings)
    if not start.is_random:
        file = start.folder / "weights.pt" if start.folder else start.file
        load_backbone(network.features, load_state(file), str(file))
    return network
