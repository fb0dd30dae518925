"""Stage 25: the four systems and the spine on the same folds of the competition's four classes, in one table."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.lung_views import WHOLE
from cxr.data.tasks import Pictures, Task
from cxr.evaluation.auc import patient_weights
from cxr.evaluation.bootstrap import percentiles
from cxr.evaluation.classification import with_intervals
from cxr.evaluation.intervals import Estimate, interval
from cxr.evaluation.means import mean_interval
from cxr.evaluation.out_of_fold import match_studies
from cxr.evaluation.run_files import RunFiles
from cxr.explain.chosen import Looked, choose
from cxr.explain.studies import STUDIES, study_heat
from cxr.explain.where import even_shares, heat_shares
from cxr.labels import STUDY_CLASSES
from cxr.models.classifiers import StudyNet
from cxr.models.picture_nets import parameters_of
from cxr.papers.lungs import with_lungs
from cxr.papers.registry import SYSTEMS, System, config_of
from cxr.papers.tasks import study_task
from cxr.prediction.classify import StudyClassifier
from cxr.tables import Contract, write_table
from cxr.workspace import Workspace

SYSTEM_ROWS = Contract("comparison of systems", ("system", "title"), ("studies", "parameters"), key="system")
SPINE_TITLE = "competition (004)"
TIMED = 8  # pictures, asked three times
AT_MOST = 40  # pictures that are looked at for heat
SHOWN = 3  # of them, kept for a figure
FIGURES = ("accuracy", "F1", "study AP", "AUC", "heat in lungs")


@dataclass(frozen=True)
class Entrant:
    """Who is compared: how its networks answer, look, and how large they are."""

    name: str
    title: str
    parameters: int  # numbers that its networks learn
    look: Callable[[Looked, np.ndarray], np.ndarray]  # heat [N x S x S] of a class each
    ask: Callable[[int], object]  # answer about so many pictures


def compare_systems(workspace: Workspace) -> pd.DataFrame:
    """Write and return the table: a row a system that has predicted all studies out of fold, the spine first.

    Columns: system, title, studies; each of FIGURES with `_low` and `_high` (95 %, by patient); even (what heat without
    a preference would have in the lungs), images (that were looked at), parameters, seconds (an image, on this
    machine). accuracy, F1 (macro), study AP (mean of the four) and AUC (mean, pairs within a fold) are of studies. A
    system without predictions is left out, which is said.
    """
    files, resamples = RunFiles(workspace), workspace.profile.fusion.resamples
    looked = choose(files, AT_MOST)
    if isinstance(looked, str):
        print(f"no heat is measured: {looked}")
    rows, maps = [], {}
    for entrant in entrants(workspace, files):
        row = {"system": entrant.name, "title": entrant.title, **scores(files, entrant.name, resamples)}
        if not isinstance(looked, str):
            found = found_classes(files, entrant.name, looked)
            heat = entrant.look(looked, found)
            row |= heat_row(heat, looked, resamples)
            maps[entrant.name] = np.rint(heat[:SHOWN] * 255).astype(np.uint8)
        rows.append({**row, "parameters": entrant.parameters, "seconds": seconds_an_image(entrant.ask)})
        print(f"{entrant.title}: compared", flush=True)
    table = pd.DataFrame(rows)
    write_table(table, workspace.places.systems_table, SYSTEM_ROWS)
    if maps:
        names = looked.images["image_id"].to_numpy(str)[:SHOWN]
        np.savez_compressed(workspace.places.systems_heat, image_id=names, **maps)
    return table


def entrants(workspace: Workspace, files: RunFiles) -> Iterator[Entrant]:
    """The spine's study classifier, then the systems, as far as they have predicted."""
    if STUDIES in files.image_scores:
        yield _spine(workspace, files)
    task = None
    for name, system in SYSTEMS.items():
        if name not in files.image_scores:
            print(f"{system.TITLE} is left out: it has not predicted the four classes yet; run its notebook")
            continue
        task = task or study_task(workspace)
        yield _entrant(workspace, system, task)


def _spine(workspace: Workspace, files: RunFiles) -> Entrant:
    settings = workspace.profile.study
    classifier = StudyClassifier(workspace.places.model(STUDIES, 0), half=workspace.profile.prediction.half)

    def look(looked: Looked, found: np.ndarray) -> np.ndarray:
        return study_heat(files, looked).maps

    def ask(count: int) -> object:
        return classifier.view(files.images.iloc[:count], files.pixels[:count], mirrored=False)

    return Entrant(STUDIES, SPINE_TITLE, parameters_of(StudyNet(settings)), look, ask)


def _entrant(workspace: Workspace, system: System, task: Task) -> Entrant:
    c = config_of(workspace.profile, system.NAME)
    task = with_lungs(workspace, system, c, task) if c.lungs != WHOLE else task

    def folder(fold: int) -> Path:
        return workspace.places.model(system.NAME, fold)

    def look(looked: Looked, found: np.ndarray) -> np.ndarray:
        heat = np.zeros(looked.pixels.shape, np.float32)
        rows = looked.images["row"].to_numpy()
        for fold in np.unique(task.fold[rows]):
            here = np.flatnonzero(task.fold[rows] == fold)
            heat[here] = system.heat(folder(fold), c, task.pictures.take(rows[here]), found[here])
        return heat

    def ask(count: int) -> object:
        some: Pictures = task.pictures.take(np.arange(count))
        return system.predict(folder(task.folds[0]), c, some, workspace.profile.prediction.half)

    size = sum(parameters_of(network) for network in system.networks(c, len(STUDY_CLASSES)).values())
    return Entrant(system.NAME, f"{system.TITLE} ({system.PAPER})", size, look, ask)


def scores(files: RunFiles, name: str, resamples: int) -> dict[str, float]:
    """Figures of a system's out-of-fold studies with their intervals."""
    ground, table = files.ground, files.study_scores[name]
    chances = table.set_index("study_id").loc[ground.studies, list(STUDY_CLASSES)].to_numpy(float)
    count = len(ground.studies)
    patients, folds = ground.patient[:count], ground.fold[:count]
    found = with_intervals(ground.classes, chances, patients, folds, resamples)
    found["study AP"] = interval(match_studies(ground, table), ground.patient, resamples)
    row = {"studies": count}
    for figure, estimate in found.items():
        row |= named(figure, estimate)
    return row


def named(figure: str, estimate: Estimate) -> dict[str, float]:
    """A figure as three columns."""
    return {figure: estimate.value, f"{figure}_low": estimate.low, f"{figure}_high": estimate.high}


def found_classes(files: RunFiles, name: str, looked: Looked) -> np.ndarray:
    """The class that a system finds most likely in each picture, int [N]."""
    table = files.image_scores[name].set_index("image_id")
    return table.loc[looked.images["image_id"], list(STUDY_CLASSES)].to_numpy(float).argmax(1)


def heat_row(heat: np.ndarray, looked: Looked, resamples: int) -> dict[str, float]:
    """Share of the heat in the lungs that stage 06 found, beside what even heat over the picture would have there."""
    shares, patients = heat_shares(heat, looked.lungs), looked.images["patient_id"].to_numpy()
    even = even_shares(looked.lungs, np.ones(looked.lungs.shape, bool))
    return {
        **named("heat in lungs", mean_interval(shares, patients, resamples)),
        "even": float(even.mean()),
        "images": len(heat),
    }


def seconds_an_image(ask: Callable[[int], object]) -> float:
    """Median of three; networks are loaded each time where a system does so."""
    ask(1)
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        ask(TIMED)
        spent.append((time.perf_counter() - began) / TIMED)
    return float(np.median(spent))


def differences(workspace: Workspace) -> pd.DataFrame:
    """Accuracy of each system less the spine's, on the same resamples of patients, 95 %."""
    files, rows = RunFiles(workspace), []
    ground = files.ground
    count = len(ground.studies)
    weights = patient_weights(ground.patient[:count], ground.fold[:count], workspace.profile.fusion.resamples)
    right = {}
    for name in (STUDIES, *SYSTEMS):
        if name in files.study_scores:
            table = files.study_scores[name].set_index("study_id").loc[ground.studies, list(STUDY_CLASSES)]
            right[name] = (table.to_numpy(float).argmax(1) == ground.classes).astype(float)
    for name in right:
        if name != STUDIES and STUDIES in right:
            gain = right[name] - right[STUDIES]
            drawn = weights @ gain / weights.sum(1)
            low, high = percentiles(drawn)
            rows.append({"system": name, "accuracy less the spine's": gain.mean(), "low": low, "high": high})
    return pd.DataFrame(rows)
