"""What pretraining is worth: every fold of both detectors and of the study classifier once more from a weight file or
from random weights."""

import pandas as pd

from cxr.ablations.compare import TRAININGS, compare, digests
from cxr.workspace import Workspace


def measure(workspace: Workspace) -> dict:
    """Train without pretraining; rows: model, metric, with, without, gain, low, high."""
    rows = [_row(compare(workspace, name, "without_pretraining", pretrained=False)) for name in TRAININGS]
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    return {"rows": rows, "of": digests(workspace)}


def _row(found: dict) -> dict:
    """The gain is that of pretraining, which the run has and the variant lacks."""
    ends = {"with": found["run"], "without": found["variant"]}
    gain = {"gain": -found["gain"], "low": -found["high"], "high": -found["low"]}
    return {"model": found["model"], "metric": found["metric"], **ends, **gain}
