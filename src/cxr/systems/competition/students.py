"""Study classifiers that learn from pictures without labels too (`pseudo.rounds`, off by default)."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
from torch import Tensor

from cxr.data.lung_views import WHOLE
from cxr.faults import DataFault
from cxr.prediction.classify import StudyClassifier
from cxr.prediction.pseudo import Unlabelled, joined, load_unlabelled, soft_labels
from cxr.profiles import ModelSettings
from cxr.provenance import data_digest
from cxr.training import code, ranks
from cxr.training.aside import set_aside
from cxr.training.cross_validation import Fold, each_fold
from cxr.training.start import Start
from cxr.training.studies import fit_study, train_study
from cxr.workspace import Workspace, file_digests

STUDENTS = ("cxr.systems.competition.students", "cxr.prediction.pseudo")


def _student(
    workspace: Workspace, settings: ModelSettings, fold: Fold, teacher: Path, unlabelled: Unlabelled
) -> tuple[dict[str, Tensor], dict]:
    """A study classifier that learns from its fold and from what the fold's last model says of other pictures."""
    p = workspace.profile.pseudo
    rows, pixels = soft_labels(StudyClassifier(teacher), unlabelled, p.least_confidence, p.weight)
    print(f"fold {fold.number}: {len(rows)} of {len(unlabelled.images)} pictures have a label that is sure enough")
    labelled, shown = fold.part(fold.training), fold.part(fold.held_out)
    if settings.patience:
        labelled, shown = set_aside(labelled, "study.patience")
    return fit_study(settings, joined(labelled, rows, pixels), shown, fold)


def train_students(workspace: Workspace, settings: ModelSettings, start: Start, name: str) -> pd.DataFrame | None:
    """Noisy-student rounds: teachers first, then students, the last of which have the model's own name."""
    p, share = workspace.profile.pseudo, workspace.profile.budget.study_share
    if settings.lungs != WHOLE:
        raise DataFault(f"pseudo.rounds={p.rounds}: students see whole pictures; take study.lungs=whole")
    with ranks.first_ahead():
        unlabelled, table = load_unlabelled(workspace), None
    half = workspace.profile.prediction.half

    def predict(folder, images, pixels):
        return StudyClassifier(folder, half=half).predict(images, pixels)

    for turn in range(p.rounds + 1):
        own = name if turn == p.rounds else f"{name}_round_{turn}"
        before = f"{name}_round_{turn - 1}"
        s = replace(settings, dropout=max(settings.dropout, p.dropout)) if turn else settings

        def train(_: Workspace, fold: Fold, turn=turn, s=s, before=before) -> tuple[dict[str, Tensor], dict]:
            if not turn:
                return train_study(s, fold)
            return _student(workspace, s, fold, workspace.places.model(before, fold.number), unlabelled)

        taught = {}
        if turn:
            folders = [workspace.places.model(before, fold) for fold in range(workspace.profile.folds.count)]
            teachers = file_digests(folder / "weights.pt" for folder in folders)
            values = [asdict(p), sorted(teachers.values()), data_digest(unlabelled.images)]
            taught = {f"pseudo-labels of {unlabelled.name}": json.dumps(values)}
        print(f"round {turn} of {p.rounds}: {'students' if turn else 'teachers'}", flush=True)
        part, modules = share / (p.rounds + 1 - turn), (*code.STUDIES, *(STUDENTS if turn else ()))
        table = each_fold(workspace, own, s, start, part, train, predict, modules, taught_by=taught)
    return table
