"""Train one classifier of a paper's system through the engine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cxr.data.picture_augmentations import PICTURE_AUGMENTATIONS
from cxr.data.picture_batches import See, picture_loader
from cxr.data.tasks import Pictures, Task
from cxr.models.backbones import load_backbone
from cxr.profiles import CovidCxnet, PatchVote, ResunetEnsemble, UnetHrnet
from cxr.provenance import data_digest
from cxr.training.cross_validation import configuration, run_once
from cxr.training.fit import fit
from cxr.training.label_measures import ClassMeasures
from cxr.training.losses import even_class_weights, picture_losses
from cxr.training.recipe import Recipe, Stage
from cxr.training.runs import load_state
from cxr.training.start import Start
from cxr.workspace import Workspace

Config = UnetHrnet | CovidCxnet | PatchVote | ResunetEnsemble
# what shapes these trainings: when one changes, a finished one is trained again
CODE = (
    "cxr.training.pictures",
    "cxr.training.fit",
    "cxr.training.recipe",
    "cxr.training.losses",
    "cxr.models.backbones",
    "cxr.models.picture_nets",
    "cxr.data.picture_batches",
    "cxr.data.picture_augmentations",
    "cxr.data.paper_augmentations",
    "cxr.data.lung_views",
    "cxr.data.tasks",
    "cxr.images.enhance",
    "cxr.images.patches",
)


class Part(NamedTuple):
    """What a system gets to learn one fold of a task from, and where it shall keep what it learned."""

    workspace: Workspace
    task: Task
    fold: int
    folder: Path
    training: Pictures
    validation: Pictures
    code: tuple[str, ...]  # modules of the system, beside CODE

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.classes


@dataclass(frozen=True)
class Course:
    """One network's training, as its system wants it."""

    build: Callable[[int], nn.Module]  # from the number of classes
    see: See
    recipe: Recipe
    batch: int
    augmentation: str
    class_weights: bool = False
    smoothing: float = 0.0
    l1: float = 0.0
    times: int = 1  # how often an epoch has each picture


def learn(part: Part, config: Config, course: Course, start: Start, name: str = "") -> Path:
    """Train a network into `part.folder`, or the folder `name` in it, unless it is finished there; returns it."""
    folder = part.folder / name if name else part.folder
    trained = configuration(
        config,
        start,
        digest_of(part.training, part.validation),
        (*CODE, *part.code),
        fold=part.fold,
        classes=list(part.classes),
        network=name,
    )
    sources = [*start.sources, *part.task.sources]

    def train() -> tuple[dict[str, Tensor], dict]:
        print(
            f"{folder.relative_to(part.workspace.places.root)}: {len(part.training)} pictures of "
            f"{len(part.classes)} classes, {len(part.validation)} to validate on, {start.words}",
            flush=True,
        )
        torch.manual_seed(config.seed)
        network = course.build(len(part.classes))
        if not start.is_random:
            file = start.folder / "weights.pt" if start.folder else start.file
            load_backbone(network.features, load_state(file), str(file))
        record = fit(network, *_given(part, course, config.seed), course.recipe, folder, [ClassMeasures()])
        return network.state_dict(), record

    if not run_once(part.workspace, folder, trained, start, sources, train):
        print(f"{folder.relative_to(part.workspace.places.root)}: trained already, kept")
    return folder


def _given(part: Part, course: Course, seed: int) -> tuple:
    """Losses and loaders."""
    classes = len(part.classes)
    training = picture_loader(
        part.training,
        classes,
        course.see,
        course.batch,
        seed,
        PICTURE_AUGMENTATIONS[course.augmentation](seed),
        course.times,
    )
    validation = picture_loader(part.validation, classes, course.see, course.batch, seed)
    weights = even_class_weights(training.dataset.targets) if course.class_weights else None
    return picture_losses(weights, course.smoothing, course.l1), training, validation


def digest_of(*parts: Pictures) -> str:
    """What identifies pictures, their classes and their lungs."""
    found = []
    for part in parts:
        found += [part.ids, part.targets.tolist(), part.known_lungs.tolist()]
        if part.masks is not None:
            found += [part.masks[row] for row in part.rows]
        found += [int(part.picture(number).sum(dtype="int64")) for number in range(len(part))]
    return data_digest(*found)


def plain_recipe(config: Config, epochs: int, schedule: str = "constant", **more: object) -> Recipe:
    """One stage at one rate, until its end: no clock counts, since these systems are beside the competition's hours."""
    return Recipe(
        (Stage(epochs, config.lr),),
        config.seed,
        config.optimizer,
        config.weight_decay,
        schedule=schedule,
        **more,
    )
