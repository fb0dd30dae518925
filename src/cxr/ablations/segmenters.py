"""Lung segmenters side by side on the same pictures, with less and less data, and from one data set on another.

Every picture is segmented by a network that saw no picture of its patient. All networks get the same size, epochs and
learning rate, and widths that stand to their published ones as the first one's to its own, so that the question is
which one learns most at this cost; library encoders have their own width. Recipes of papers keep their own settings.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from cxr.ablations.segmenter_trainings import BY_NETWORK, BY_SET, BY_SHARE, FOLDS, Task, across_sets, folds, scores
from cxr.evaluation.means import mean_interval
from cxr.evaluation.segmenters import network_table
from cxr.faults import DataFault
from cxr.images.lungs import STRUCTURES
from cxr.models.segmenters import ENCODERS, NETWORKS, parameter_count
from cxr.profiles import Lungs
from cxr.tables import write_csv
from cxr.training.segmentation import FEWEST, LungPictures, load_lung_pictures
from cxr.workspace import Workspace

SHARES = (1.0, 0.5, 0.3, 0.1)  # of the training patients (paper 002, section V)
PUBLISHED = {"unet": 32, "resunet": 64, "resunet_a": 32, "trans_resunet": 64, "fc_densenet67": 48, "fc_densenet103": 48}
ENDS = ["n", "dice", "low", "high"]


def measure(workspace: Workspace) -> dict:
    """All networks, shares and sets; rows of each comparison; `tables/segmenters.csv` has the single pictures."""
    settings = replace(workspace.profile.lungs, structures=False)
    pictures = load_lung_pictures(workspace, settings)
    if isinstance(pictures, str):
        raise DataFault(f"no segmenters to compare: {pictures}")
    networks = [settings.network, *(name for name in NETWORKS if name != settings.network)]
    tasks = [*of_networks(pictures, settings, networks, FOLDS), *of_shares(pictures, settings, SHARES, FOLDS)]
    tasks += across_sets(pictures, settings, FEWEST, FOLDS)
    singles = scores(tasks, workspace.places.root / "models" / "segmenters", math.inf)
    write_csv(singles, workspace.places.tables / "segmenters.csv")
    return tell(tables(singles, tasks, workspace.profile.fusion.resamples))


def of_networks(pictures: LungPictures, s: Lungs, networks: Iterable[str], count: int) -> Iterator[Task]:
    """Each network on the same folds."""
    for name in networks:
        yield from (Task(BY_NETWORK, name, of_network(s, name), *parts) for parts in folds(pictures, count=count))


def of_shares(pictures: LungPictures, s: Lungs, shares: Iterable[float], count: int) -> Iterator[Task]:
    """The first network with a share of the patients to learn from."""
    for share in shares:
        yield from (Task(BY_SHARE, f"{share:g}", s, *parts) for parts in folds(pictures, share, count))


def of_network(s: Lungs, name: str) -> Lungs:
    """Settings for another network, as wide in proportion; as published where `s` is of a library encoder, which has
    a width of its own."""
    if name == s.network:
        return s
    if name in ENCODERS:
        return replace(s, network=name, width=0, depth=0)
    published = PUBLISHED.get(s.network)
    share = s.width / published if s.width and published else 1
    return replace(s, network=name, width=round(share * PUBLISHED[name]), depth=0)


def tables(singles: pd.DataFrame, tasks: Sequence[Task], resamples: int) -> dict[str, pd.DataFrame]:
    """A table a comparison that has rows. networks: network, n, dice, low, high, jaccard, difference, p,
    p_holm, parameters; shares: share; sets: trained on, tested on."""
    groups, found = {name: group for name, group in singles.groupby("compared", sort=False)}, {}
    if BY_NETWORK in groups:
        chosen = {task.name: task.settings for task in tasks if task.compared == BY_NETWORK}
        table = network_table(groups[BY_NETWORK].rename(columns={"name": "network"}), resamples)
        found[BY_NETWORK] = table.assign(parameters=[_parameters(chosen[name]) for name in table["network"]])
    for name, columns in ((BY_SHARE, ["name"]), (BY_SET, ["name", "source"])):
        if name in groups:
            rows = [(*key, *_summary(group, resamples)) for key, group in groups[name].groupby(columns, sort=False)]
            found[name] = pd.DataFrame(rows, columns=[*columns, *ENDS])
    if BY_SHARE in found:
        found[BY_SHARE] = found[BY_SHARE].rename(columns={"name": "share"}).astype({"share": float})
    if BY_SET in found:
        found[BY_SET] = found[BY_SET].rename(columns={"name": "trained on", "source": "tested on"})
    return found


def _parameters(s: Lungs) -> int:
    return parameter_count(s.network, s.width, s.depth, len(STRUCTURES) if s.structures else 1)


def _summary(group: pd.DataFrame, resamples: int) -> tuple:
    dice = group["dice"].to_numpy()
    return len(dice), *mean_interval(dice, group["patient_id"].to_numpy(), resamples)


def tell(found: dict[str, pd.DataFrame]) -> dict[str, list[dict]]:
    """Print the tables, and give their rows for JSON: rounded, and without what has no value."""
    for table in found.values():
        print(table.round(3).to_string(index=False), end="\n\n")
    rows = {name: table.to_dict("records") for name, table in found.items()}
    return {name: [_plain(row) for row in table] for name, table in rows.items()}


def _plain(row: dict) -> dict:
    return {key: _rounded(value) for key, value in row.items() if value == value}


def _rounded(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.3g}") if abs(value) < 0.001 else round(value, 4)
