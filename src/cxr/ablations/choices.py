"""What single choices of the winners' recipe are worth: heads, weights of classes, averaged weights, mirror images.

Each is switched to what the run does not have, trained, and compared paired; mirror images need no training.
"""

from collections.abc import Sequence

import pandas as pd

from cxr.ablations.compare import TRAININGS, compare, digests, paired
from cxr.profiles import settings_of
from cxr.systems.competition import STUDIES, predict_again
from cxr.workspace import Workspace

# the study classifier's: words, values with it, values without it
CHOICES = {
    "segmentation head": ({"mask_weight": 1.0}, {"mask_weight": 0.0}),
    "class weights": ({"class_weights": True}, {"class_weights": False}),
    "oversampling": ({"oversample": True}, {"oversample": False}),
    "focal loss, gamma 2": ({"focal": 2.0}, {"focal": 0.0}),
    "two-class none head": ({"none_weight": 0.5}, {"none_weight": 0.0}),
    "averaged weights": ({"ema": 0.98}, {"ema": 0.0}),
}


def measure(workspace: Workspace, chosen: Sequence[str] = tuple(CHOICES)) -> dict:
    """Rows: model, choice, metric, with, without, gain (of having it), low, high; chosen: names of CHOICES."""
    rows = [_study_row(workspace, words, *CHOICES[words]) for words in chosen]
    rows += [_mirror_row(workspace, name) for name in TRAININGS]
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    return {"rows": rows, "of": digests(workspace)}


def _study_row(workspace: Workspace, words: str, on: dict, off: dict) -> dict:
    settings = settings_of(workspace.profile, STUDIES)
    has_it = all(bool(getattr(settings, name)) == bool(value) for name, value in on.items())
    variant = f"{'without' if has_it else 'with'}_{words.split(',')[0].replace(' ', '_').replace('-', '_')}"
    found = compare(workspace, STUDIES, variant, **(off if has_it else on))
    return _row(found, words, variant_has_it=not has_it)


def _row(found: dict, words: str, variant_has_it: bool) -> dict:
    ends = (found["variant"], found["run"]) if variant_has_it else (found["run"], found["variant"])
    gain = (found["gain"], found["low"], found["high"])
    gain = gain if variant_has_it else (-gain[0], -gain[2], -gain[1])
    values = dict(zip(("with", "without", "gain", "low", "high"), (*ends, *gain), strict=True))
    return {"model": found["model"], "choice": words, "metric": found["metric"], **values}


def _mirror_row(workspace: Workspace, name: str) -> dict:
    both, plain = (predict_again(workspace, name, mirrored=views) for views in ((False, True), (False,)))
    return _row(paired(workspace, name, both, plain), "mirror images", variant_has_it=True)
