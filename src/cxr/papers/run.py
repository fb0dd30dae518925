"""A system on a task: lungs, a training a fold, and what it says of the pictures that it never saw."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.lung_views import WHOLE
from cxr.data.prepare import load_training
from cxr.data.tasks import Task
from cxr.labels import STUDY_CLASSES
from cxr.papers.lungs import with_lungs
from cxr.papers.registry import System, config_of, system_of
from cxr.papers.tasks import own_task, study_task
from cxr.prediction.combine import study_means
from cxr.tables import IMAGE_SCORES, STUDY_SCORES, write_csv, write_table
from cxr.training.pictures import Config, Part
from cxr.workspace import Workspace


@dataclass(frozen=True)
class Outcome:
    """What came out of a system on a task."""

    system: System
    config: Config
    task: Task
    folders: dict[int, Path]  # by fold
    rows: np.ndarray  # int [N], of the task's pictures, those that were tested
    chances: np.ndarray  # [N x classes], out of fold

    @property
    def truth(self) -> np.ndarray:
        """Class numbers, int [N]."""
        return self.task.pictures.targets[self.rows]

    @property
    def folds(self) -> np.ndarray:
        return self.task.fold[self.rows]

    @property
    def patients(self) -> np.ndarray:
        return self.task.pictures.images["patient_id"].to_numpy()[self.rows]

    @property
    def table(self) -> pd.DataFrame:
        """image_id, fold, true class and a probability a class."""
        ids = self.task.pictures.images["image_id"].to_numpy()[self.rows]
        names = [self.task.classes[number] for number in self.truth]
        found = pd.DataFrame(self.chances.clip(0, 1), columns=list(self.task.classes))
        return pd.DataFrame({"image_id": ids, "fold": self.folds, "true": names}).join(found)


def run_own(workspace: Workspace, name: str, task_name: str = "") -> Outcome:
    """A system on a task of its paper, by default the first one."""
    c, task_name = config_of(workspace.profile, name), task_name or system_of(name).OWN[0]
    task = own_task(workspace, task_name, c.folds)
    outcome = run_task(workspace, system_of(name), c, task, workspace.places.own_model)
    write_csv(outcome.table, workspace.places.own_predictions(name, task_name))
    return outcome


def run_variant(
    workspace: Workspace,
    name: str,
    words: str,
    config: Config,
    task: Task,
    change: Callable[[Task], Task] | None = None,
) -> Outcome:
    """A system with another config on a task of its paper; words: what its folders are called; change: what to do to
    the task once lungs are found."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in words.lower())

    def place(system: str, task_name: str, fold: int) -> Path:
        return workspace.places.own_model(system, f"{task_name}_{plain}", fold)

    return run_task(workspace, system_of(name), config, task, place, change=change)


def run_studies(workspace: Workspace, name: str) -> Outcome:
    """A system as a four-class study classifier on the spine's folds; writes the out-of-fold tables that the report and
    the comparison read."""

    def place(system: str, _: str, fold: int) -> Path:
        return workspace.places.model(system, fold)

    outcome = run_task(workspace, system_of(name), config_of(workspace.profile, name), study_task(workspace), place)
    folder, ids = workspace.places.predictions(name), outcome.table["image_id"]
    scores = outcome.table[["image_id", *STUDY_CLASSES]]
    write_table(scores, folder / "out_of_fold_images.csv", IMAGE_SCORES)
    studies = load_training(workspace)[0].set_index("image_id")["study_id"]
    write_table(study_means(scores, ids.map(studies)), folder / "out_of_fold.csv", STUDY_SCORES)
    return outcome


def run_task(
    workspace: Workspace,
    system: System,
    c: Config,
    task: Task,
    place: Callable[[str, str, int], Path],
    change: Callable[[Task], Task] | None = None,
) -> Outcome:
    """Train what is not trained yet, and predict each fold by what was learned without it."""
    if c.lungs != WHOLE:
        task = with_lungs(workspace, system, c, task)
    task = change(task) if change else task
    folders, rows, chances = {}, [], []
    for fold in task.folds:
        training, validation, tested = task.parts(fold)
        folders[fold] = place(system.NAME, task.name, fold)
        system.train(Part(workspace, task, fold, folders[fold], training, validation, system.CODE), c)
        chances.append(system.predict(folders[fold], c, tested, workspace.profile.prediction.half))
        rows.append(np.flatnonzero(task.fold == fold))
    return Outcome(system, c, task, folders, np.concatenate(rows), np.concatenate(chances))
