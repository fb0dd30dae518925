"""Lung segmenters side by side on the same pictures, with less and less data, and from one data set on another.

Every picture is segmented by a network that saw no picture of its patient: two folds of patients. All networks get the
profile's size, epochs and learning rate, and widths that stand to their published ones as the profile's U-Net to its
own, so that the question is which one learns most at this cost; library encoders have their own width.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.data.draw import hash_order
from cxr.evaluation.means import mean_interval
from cxr.evaluation.segmenters import network_table
from cxr.faults import DataFault
from cxr.images.lungs import UNKNOWN
from cxr.images.overlap import dice_jaccard
from cxr.models.segmenters import ENCODERS, NETWORKS, parameter_count
from cxr.profiles import Lungs
from cxr.tables import write_csv
from cxr.training.segmentation import FEWEST, LungPictures, load_lung_pictures, segment, train_segmenter
from cxr.workspace import Workspace

SHARES = (1.0, 0.5, 0.3, 0.1)  # of the training patients (paper 002, section V)
FOLDS = 2
PUBLISHED = {"unet": 32, "resunet": 64, "resunet_a": 32, "trans_resunet": 64, "fc_densenet67": 48, "fc_densenet103": 48}


def measure(workspace: Workspace) -> dict:
    """Train them all; rows of `networks`, `shares` and `sets`; `tables/segmenters.csv` has the single pictures."""
    settings = replace(workspace.profile.lungs, structures=False)
    pictures = load_lung_pictures(workspace, settings)
    if isinstance(pictures, str):
        raise DataFault(f"no segmenters to compare: {pictures}")
    folder, resamples = workspace.places.root / "models" / "segmenters", workspace.profile.fusion.resamples

    def dice(name: str, s: Lungs, parts: Iterator) -> pd.DataFrame:
        found = [_trained(name, s, *part, folder / f"{name}_{number}") for number, part in enumerate(parts)]
        return pd.concat(found, ignore_index=True)

    single = {name: dice(name, of_network(settings, name), folds(pictures)) for name in _order(settings.network)}
    networks = network_table(pd.concat(single.values()), resamples)
    chosen = [of_network(settings, name) for name in networks["network"]]
    networks["parameters"] = [parameter_count(s.network, s.width, s.depth) for s in chosen]
    less = {share: dice(f"share_{share:g}", settings, folds(pictures, share)) for share in SHARES}
    shares = [(share, *_summary(table, resamples)) for share, table in less.items()]
    across = [(a, b, *_summary(table, resamples)) for a, b, table in across_sets(pictures, dice, settings)]
    write_csv(pd.concat([*single.values(), *less.values()]), workspace.places.tables / "segmenters.csv")
    ends = ["n", "dice", "low", "high"]
    tables = {
        "networks": networks,
        "shares": pd.DataFrame(shares, columns=["share", *ends]),
        "sets": pd.DataFrame(across, columns=["trained on", "tested on", *ends]),
    }
    for table in tables.values():
        print(table.round(3).to_string(index=False), end="\n\n")
    return {name: _plain(table) for name, table in tables.items()}


def _order(first: str) -> list[str]:
    """The profile's network comes first: the others are compared with it."""
    return [first, *(name for name in NETWORKS if name != first)]


def of_network(s: Lungs, name: str) -> Lungs:
    """Settings for another network, as wide in proportion."""
    if name in ENCODERS:
        return replace(s, network=name, width=0, depth=0)
    share = (s.width or PUBLISHED[s.network]) / PUBLISHED[s.network]
    return replace(s, network=name, width=round(share * PUBLISHED[name]), depth=s.depth if name == s.network else 0)


def folds(pictures: LungPictures, share: float = 1.0) -> Iterator[tuple[LungPictures, LungPictures]]:
    """To learn from and to test on, twice; share: of the patients to learn from, the smaller part in the larger."""
    patients = pictures.pairs["patient_id"]
    order = hash_order(patients)
    for number in range(FOLDS):
        tested = set(order[number::FOLDS])
        others = [name for name in order if name not in tested]
        kept = others[: max(2, round(share * len(others)))]
        yield pictures.rows(patients.isin(kept).to_numpy()), pictures.rows(patients.isin(tested).to_numpy())


def across_sets(pictures: LungPictures, dice, settings: Lungs) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Trained on one set and tested on each; on itself by folds. Sets with fewer than FEWEST pictures are left out."""
    sources = pictures.pairs["source"]
    names = [name for name, count in sources.value_counts().items() if count >= FEWEST]
    parts = {name: pictures.rows((sources == name).to_numpy()) for name in sorted(names)}
    for one, training in parts.items():
        for other, tested in parts.items():
            pairs = folds(training) if one == other else iter([(training, tested)])
            yield one, other, dice(f"{one}_on_{other}", settings, pairs)


def _trained(name: str, s: Lungs, training: LungPictures, tested: LungPictures, folder) -> pd.DataFrame:
    """One training, and the scores of each picture that it did not see."""
    print(f"{name}: {len(training.pairs)} pictures to learn from, {len(tested.pairs)} to test on", flush=True)
    network, record = train_segmenter(s, training, None, folder, np.inf)
    dice, jaccard = dice_jaccard(segment(network, s, tested.pixels) == 1, tested.masks == 1, tested.masks != UNKNOWN)
    columns = tested.pairs[["image_id", "patient_id", "source"]].reset_index(drop=True)
    return columns.assign(network=name, dice=dice, jaccard=jaccard, seconds=record["seconds"])


def _summary(table: pd.DataFrame, resamples: int) -> tuple:
    dice = table["dice"].to_numpy()
    return len(dice), *mean_interval(dice, table["patient_id"].to_numpy(), resamples)


def _plain(table: pd.DataFrame) -> list[dict]:
    """Rows for JSON: rounded, and without what has no value."""
    rows = table.to_dict("records")
    return [{key: _rounded(value) for key, value in row.items() if value == value} for row in rows]


def _rounded(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.3g}") if abs(value) < 0.001 else round(value, 4)
