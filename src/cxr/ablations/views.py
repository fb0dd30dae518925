"""What looking at lungs alone is worth: every model once more on the lungs' box, and on pictures black outside."""

import pandas as pd

from cxr.ablations.compare import TRAININGS, compare, digests
from cxr.data.lung_views import CROP, MASK
from cxr.profiles import settings_of
from cxr.workspace import Workspace


def measure(workspace: Workspace) -> dict:
    """Train on each view that the run's model does not have; rows: model, view, metric, run, with view, gain and ends.

    The gain is that of the view over what the run's model sees.
    """
    rows = [
        _row(view, compare(workspace, name, f"lungs_{view}", lungs=view))
        for name in TRAININGS
        for view in (CROP, MASK)
        if settings_of(workspace.profile, name).lungs != view
    ]
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    return {"rows": rows, "of": digests(workspace)}


def _row(view: str, found: dict) -> dict:
    gain = {name: found[name] for name in ("run", "gain", "low", "high")}
    return {"model": found["model"], "view": view, "metric": found["metric"], "with view": found["variant"], **gain}
