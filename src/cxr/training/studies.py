"""Train one study classifier through the engine."""

import torch
from torch import Tensor

from cxr.data.datasets import study_loader
from cxr.models.backbones import load_backbone
from cxr.models.classifiers import MASK_STRIDE, StudyNet
from cxr.profiles import Study
from cxr.training.cross_validation import Fold
from cxr.training.fit import Recipe, fit, stages_of
from cxr.training.losses import study_losses
from cxr.training.runs import load_state
from cxr.training.start import Start


def train_study(settings: Study, fold: Fold) -> tuple[dict[str, Tensor], dict]:
    """Train one study classifier and write `metrics.csv`; returns its state dict and what to record."""
    s = settings
    network = build_study_net(s, fold.start)
    rate = s.lr_random if fold.start.began_random else s.lr
    recipe = Recipe(
        stages_of(s, rate, network.HEAD, s.freeze_backbone),
        s.seed,
        s.optimizer,
        s.weight_decay,
        s.warmup_fraction,
        {"mask": s.mask_weight},
        s.ema,
        fold.seconds,
    )
    loaders = [
        study_loader(*fold.part(ids), s.size, MASK_STRIDE, s.batch, s.seed, ids is fold.training)
        for ids in (fold.training, fold.held_out)
    ]
    record = fit(network, study_losses, *loaders, recipe, fold.folder)
    return network.state_dict(), record


def build_study_net(settings: Study, start: Start) -> StudyNet:
    """The classifier with random weights drawn from its seed, or with a backbone that was trained before."""
    torch.manual_seed(settings.seed)
    network = StudyNet(settings.network, settings.dropout, settings.mask_weight > 0)
    if not start.is_random:
        file = start.folder / "weights.pt" if start.folder else start.file
        load_backbone(network.features, load_state(file), str(file))
    return network
