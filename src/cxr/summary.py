"""How a run came out: scores of its submission beside the trivial baseline, and the lines that end `make all`."""

import argparse
import json
import math

from cxr.labels import CLASSES
from cxr.paths import find_places
from cxr.workspace import Workspace, write_json

RESAMPLES = 1000
KEYS = (*CLASSES, "mAP")


def score_run(workspace: Workspace) -> dict | None:
    """Score submission and baseline against the solution, with intervals by patient; None when there is no solution.

    Writes the baseline's submission and `score.json`: {'run': ..., 'baseline': ...}, `run` with the paired difference.
    """
    from cxr.baseline import write_baseline
    from cxr.evaluation.score import score

    places, solution = workspace.places, workspace.inputs["solution"]
    if not solution:
        places.score.unlink(missing_ok=True)
        return None
    write_baseline(workspace.competition, places.baseline)
    patients = places.test_images_table
    scores = {
        "run": score(places.submission, solution, patients, RESAMPLES, places.baseline),
        "baseline": score(places.baseline, solution, patients, RESAMPLES),
    }
    # a class that the solution lacks has no AP: NaN, which JSON does not know
    scores = {name: {k: None if math.isnan(v) else v for k, v in values.items()} for name, values in scores.items()}
    write_json({"data": workspace.inputs["data"], **scores}, places.score)
    return scores


def score_table(scores: dict | None):
    """AP of run and baseline as a pandas table; None without a solution."""
    import pandas as pd

    if scores is None:
        return None
    return pd.DataFrame({name: {key: cell(scores[name], key) for key in KEYS} for name in ("run", "baseline")})


def cell(values: dict, key: str) -> str:
    """`.412 (.350-.471)`, or `absent` for a class that the solution does not hold."""
    if values[key] is None:
        return "absent"
    return f"{values[key]:.3f} ({values[f'{key}_low']:.3f}-{values[f'{key}_high']:.3f})"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--working", default="")
    parser.add_argument("--submissions", default="")


def main(args: argparse.Namespace) -> int:
    """Print where the submission lies, on which data it was made, what it scored and what it cost."""
    places = find_places(args.profile, "", args.working, args.submissions)
    inputs = json.loads(places.inputs.read_text())
    word = (
        "PHANTOM data: a phantom score, it says nothing about patients"
        if inputs["data"] == "phantom"
        else inputs["competition"]
    )
    print(f"\n{places.submission}\n  made on {word}")
    if places.score.is_file():
        print(*score_lines(json.loads(places.score.read_text())), sep="\n")
    else:
        print("  not scored: no SOLUTION was named")
    records = [json.loads(path.read_text()) for path in sorted(places.runs.glob("*.json"))]
    seconds, memory = sum(r["seconds"] for r in records), max(r["peak_memory_gb"] for r in records)
    for words, path in (("report", places.report), ("log of all runs", places.log)):
        if path.is_file():
            print(f"  {words}: {path}")
    print(f"  {len(records)} stages, {seconds / 60:.1f} minutes when they ran, peak memory {memory:.1f} GB")
    return 0


def score_lines(scores: dict) -> list[str]:
    """A small table of the six classes and their mean, with 95 % intervals, then the paired difference."""
    lines = [f"  {'AP':14}{'run':>22}{'baseline':>22}"]
    lines += [f"  {key:14}{cell(scores['run'], key):>22}{cell(scores['baseline'], key):>22}" for key in KEYS]
    run = scores["run"]
    lines.append(
        f"  run - baseline: {run['difference']:+.3f} mAP, 95 % interval {run['difference_low']:+.3f} to "
        f"{run['difference_high']:+.3f} (paired, by patient)"
    )
    return lines
