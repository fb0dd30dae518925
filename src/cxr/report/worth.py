"""Parts on what `make ablations` measured: single choices, the trivial baseline and a plain training beside."""

import pandas as pd

from cxr.evaluation.run_files import RunFiles
from cxr.report.page import Html, Number, estimate, number, paragraph, table
from cxr.report.results import gain_blocks, measured

DETECTORS = ("plain", "yolo", "faster_rcnn", "fused")
SECONDS = ("CPU s, plain", "CPU s, ours")


def choices(files: RunFiles) -> list[Html]:
    """Out-of-fold scores with and without heads, weights of classes, averaged weights, mirror images."""
    words = "trains the study classifier once more for each choice"
    found, reason = measured(files, "choices", words)
    return reason or gain_blocks(pd.DataFrame(found.get("rows") or []), ["model", "choice"], "without", "with")


def beside_baseline(files: RunFiles) -> list[Html]:
    """AP of each class of the fused run and of the trivial baseline, both out of fold."""
    found, reason = measured(files, "baseline", "lets a baseline of every fold learn from the other folds")
    if reason:
        return reason
    rows = pd.DataFrame(found["rows"]).assign(model="fused").rename(columns={"run": "this run"})
    return gain_blocks(rows, ["model", "class"], "baseline", "this run")


def beside_plain(files: RunFiles) -> list[Html]:
    """AP of opacity of this run's detectors and of a plain ultralytics training, seed by seed."""
    words = "trains a plain YOLO of ultralytics and the run's detectors with three seeds"
    found, reason = measured(files, "plain", words)
    if reason:
        return reason
    rows = [
        [
            str(row["seed"]),
            *(number(row[name]) for name in DETECTORS),
            estimate(row["gain"], row["low"], row["high"], signed=True),
            *(Number(f"{row[name]:.0f}") for name in SECONDS),
        ]
        for row in found["rows"]
    ]
    columns = ["seed", "plain", "YOLO", "Faster R-CNN", "fused", "fused less plain (95 %)", *SECONDS]
    words = "Mean over folds; fused through maps fitted on the other folds, by the published constants."
    return [table(columns, rows), paragraph(words)]
