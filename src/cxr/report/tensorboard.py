"""`python -m cxr tensorboard` (`make tensorboard`): the curves of every training in TensorBoard, while they grow.

`metrics.csv` is what trainings write, YOLO's and interrupted ones' too; here its rows become TensorBoard's events, anew
whenever the file changes. They lie in `tensorboard/<model>/fold_k/` of the run and may be thrown away.
"""

import argparse
import shutil
import time
from pathlib import Path

import pandas as pd

from cxr.tables import read_csv
from cxr.workspace import Workspace, open_run_folder

EVERY = 30  # seconds between two looks
NO_CURVES = ("epoch", "seconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and whether to serve it."""
    parser.add_argument("--run", type=Path, default=Path("working/demo"), help="folder of a run (default %(default)s)")
    parser.add_argument("--port", type=int, default=6006)
    parser.add_argument("--once", action="store_true", help="write the events and end, without a server")


def main(args: argparse.Namespace) -> int:
    """Write the events; serve them and look again until interrupted."""
    workspace, known = open_run_folder(args.run), {}
    written = refresh(workspace, known)
    print(f"{len(written)} trainings in {folder_of(workspace)}", flush=True)
    if args.once:
        return 0
    from tensorboard.program import TensorBoard

    board = TensorBoard()
    board.configure(argv=[None, "--logdir", str(folder_of(workspace)), "--port", str(args.port)])
    print(f"TensorBoard at {board.launch()} (interrupt to end)", flush=True)
    while True:
        time.sleep(EVERY)
        refresh(workspace, known)


def folder_of(workspace: Workspace) -> Path:
    """Where the events lie."""
    return workspace.places.root / "tensorboard"


def refresh(workspace: Workspace, known: dict[Path, int]) -> list[Path]:
    """Write the events of every `metrics.csv` that is new or has changed since; `known`: times of change, kept up."""
    models, written = workspace.places.root / "models", []
    for path in sorted([*models.glob("*/metrics.csv"), *models.glob("*/fold_*/metrics.csv")]):
        changed = path.stat().st_mtime_ns
        if known.get(path) != changed:
            write_events(read_csv(path, ["epoch"]), folder_of(workspace) / path.parent.relative_to(models))
            known[path] = changed
            written.append(path)
    return written


def write_events(table: pd.DataFrame, folder: Path) -> None:
    """One curve a column, by epoch; `train_x` and `val_x` become x/train and x/val, which share a chart."""
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for name in table.columns.drop(list(NO_CURVES), errors="ignore"):
            kind, _, loss = name.partition("_")
            tag = f"{loss}/{kind}" if kind in ("train", "val") else name
            for epoch, value in table[["epoch", name]].dropna().itertuples(index=False):
                writer.add_scalar(tag, value, int(epoch))
