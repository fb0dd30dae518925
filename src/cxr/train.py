"""`python -m cxr train MODEL`: the training of a stage alone, in as many processes as torchrun starts, or some folds.

    torchrun --nproc-per-node 2 -m cxr train studies --profile full      two GPUs, every batch shared by both
    CUDA_VISIBLE_DEVICES=1 python -m cxr train yolo --folds 1 3          these folds on one GPU, others elsewhere

`make all` afterwards finds the finished folds and goes on. docs/machines.md has several machines.
"""

import argparse
import contextlib
import os
from collections.abc import Callable
from functools import partial

from cxr.faults import DataFault
from cxr.systems.competition import (
    STUDIES,
    YOLO,
    detectors_of,
    train_detector_folds,
    train_study_folds,
    train_yolo_folds,
)
from cxr.training import ranks
from cxr.training.pretraining import pretrain_nih, pretrain_rsna
from cxr.workspace import Workspace, open_workspace

PRETRAININGS = {"nih": pretrain_nih, "rsna": pretrain_rsna}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model of which run."""
    parser.add_argument("model", help="nih, rsna, yolo, faster_rcnn, studies, or one that detectors.more names")
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--set", default=None, metavar="VALUES", help='as make\'s SET="..."; default: as the last run')
    parser.add_argument("--input", default=None, help="default: as the last run")
    parser.add_argument("--working", default="")
    parser.add_argument("--folds", nargs="+", type=int, metavar="K", help="these folds, without predicting")


def main(args: argparse.Namespace) -> int:
    """Train; the first process alone prints."""
    ranks.join()
    try:
        with contextlib.ExitStack() as silent:
            if not ranks.is_first():
                nowhere = silent.enter_context(open(os.devnull, "w"))
                silent.enter_context(contextlib.redirect_stdout(nowhere))
            train(open_workspace(args.profile, args.set, args.input, args.working), args.model, args.folds)
    finally:
        ranks.leave()
    return 0


def train(workspace: Workspace, model: str, folds: list[int] | None) -> None:
    """A pretraining, or folds of a model. Raises DataFault for what is not trained in this profile."""
    if model in PRETRAININGS:
        if folds:
            raise DataFault(f"train {model}: it has no folds; leave out --folds")
        PRETRAININGS[model](workspace)
        return
    known: dict[str, Callable] = {YOLO: train_yolo_folds, STUDIES: train_study_folds}
    for name in detectors_of(workspace.profile):
        known.setdefault(name, partial(train_detector_folds, architecture=name))
    if model not in known:
        raise DataFault(
            f"train {model}: not trained in this profile; choose one of {', '.join([*PRETRAININGS, *known])}"
        )
    known[model](workspace, only=folds)
