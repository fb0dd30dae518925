"""`python -m cxr lungs FOLDERS ...`: lung segmenters compared on folders of masks, without a run of the pipeline.

Writes `lungs_comparison.csv` (a row a tested picture), `.json` (the tables that are printed) and `.png`.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from pandas.api.typing import DataFrameGroupBy

from cxr.ablations.segmenter_trainings import BY_NETWORK, BY_SHARE, FOLDS, Task, across_sets, folds, scores
from cxr.ablations.segmenters import of_network, of_networks, of_shares, tables, tell
from cxr.data.mask_sets.sets import annotated, find_mask_sets, read_mask_sets
from cxr.data.masks import load_pairs
from cxr.evaluation.bootstrap import RESAMPLES
from cxr.faults import DataFault
from cxr.figures.pictures import DPI
from cxr.figures.segmenters import comparison
from cxr.models.segmenters import NETWORKS
from cxr.profiles import PROFILES, Lungs
from cxr.tables import write_csv
from cxr.training.lung_recipes import PAPERS
from cxr.training.segmentation import FEWEST, LungPictures
from cxr.workspace import write_json

CHANGES = ("size", "width", "epochs", "batch", "lr")  # settings that have an option of their own


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which masks, which networks, at which cost."""
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="a set of lung masks, a folder of such sets, or NAME=FOLDER"
    )
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=["unet"], metavar="NAME", help=", ".join(NETWORKS)
    )
    parser.add_argument(
        "--recipes", nargs="+", choices=PAPERS, default=[], metavar="PAPER",
        help=f"as papers train, with their own settings: {', '.join(PAPERS)}",
    )  # fmt: skip
    parser.add_argument(
        "--shares", nargs="+", type=_share, default=[], metavar="S", help="of the patients to learn from: 1 .5 .3 .1"
    )
    parser.add_argument("--cross", action="store_true", help="train on each set and test on every other")
    parser.add_argument("--folds", type=int, default=FOLDS, metavar="N", help="of patients (default %(default)s)")
    parser.add_argument("--profile", choices=PROFILES, default="demo", help="whose settings (default %(default)s)")
    for name in CHANGES:
        kind = _positive(float if name == "lr" else int)
        parser.add_argument(f"--{name}", type=kind, help="in place of the profile's, and of the papers'")
    parser.add_argument("--minutes", type=_positive(float), default=math.inf, help="for all trainings together")
    parser.add_argument("--out", type=Path, default=Path("working/lungs_comparison"), metavar="DIR")


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: a share lies above 0 and is at most 1")
    return value


def _positive(kind: type) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text}: must be above 0")
        return value

    convert.__name__ = kind.__name__  # in argparse's message about text that is no number
    return convert


def main(args: argparse.Namespace) -> int:
    """Train what is not trained yet, print the tables, write them and the figure."""
    tasks = list(plan(args, read_pairs(args)))
    singles = scores(tasks, args.out / "models", 60 * args.minutes)
    found = tell(tables(singles, tasks, RESAMPLES))
    networks = singles[singles["compared"] == BY_NETWORK].groupby("name", sort=False)
    for line in (*_by_source(networks), *_cut_short(singles)):
        print(line)
    write_csv(singles, args.out / "lungs_comparison.csv")
    write_json({**found, "folders": [str(folder) for folder in args.folders]}, args.out / "lungs_comparison.json")
    dice = {name: table["dice"].to_numpy() for name, table in networks}
    comparison(dice, found.get(BY_SHARE, [])).savefig(args.out / "lungs_comparison.png", dpi=DPI)
    print(f"in {args.out}")
    return 0


def _by_source(networks: DataFrameGroupBy) -> Iterator[str]:
    """Who drew the masks decides what can be reached: some leave out what lies behind the heart."""
    for name, table in networks:
        means = table.groupby("source")["dice"].agg(["mean", "size"])
        yield f"{name}: " + ", ".join(f"{source} {mean:.3f} (n {n:.0f})" for source, (mean, n) in means.iterrows())


def _cut_short(singles: pd.DataFrame) -> Iterator[str]:
    cut = singles[singles["clock_bound"]].groupby(["compared", "name"], sort=False)["epochs"].min()
    for (compared, name), epochs in cut.items():
        yield f"note: {compared}, {name}: cut short by --minutes in epoch {epochs}"


def read_pairs(args: argparse.Namespace) -> pd.DataFrame:
    """All pictures of the folders; those with right and left apart where a recipe learns these. DataFault where there
    are too few."""
    pairs, findings = read_mask_sets(find_mask_sets(args.folders))
    for line in findings:
        print(f"note: {line}")
    apart = [name for name in args.recipes if PAPERS[name].structures]
    if apart:
        both = annotated(pairs, "right") & annotated(pairs, "left")
        print(f"note: {', '.join(apart)} learns right and left apart: {both.sum()} of {len(pairs)} pictures have both")
        pairs = pairs[both].reset_index(drop=True)
    if len(pairs) < FEWEST:
        remedy = f"leave out {', '.join(apart)}, or add sets" if apart else "add sets"
        raise DataFault(
            f"{', '.join(args.folders)}: {len(pairs)} pictures to compare on, {FEWEST} are needed; {remedy}"
        )
    return pairs


def plan(args: argparse.Namespace, pairs: pd.DataFrame) -> Iterator[Task]:
    """All trainings that the options ask for."""
    changes = {name: getattr(args, name) for name in CHANGES if getattr(args, name) is not None}
    networks = list(dict.fromkeys(args.networks))
    base = replace(PROFILES[args.profile].lungs, structures=False)
    first = replace(of_network(base, networks[0]), **changes)
    pictures = load(pairs, first)
    yield from of_networks(pictures, first, networks, args.folds)
    for name in dict.fromkeys(args.recipes):
        s = _recipe(name, first, changes)
        yield from (Task(BY_NETWORK, name, s, *parts) for parts in folds(load(pairs, s), count=args.folds))
    yield from of_shares(pictures, first, dict.fromkeys(args.shares), args.folds)
    if args.cross:
        yield from across_sets(pictures, first, FEWEST, args.folds)


def _recipe(name: str, first: Lungs, changes: dict) -> Lungs:
    """A paper's settings with the options' in their place; a width is that of the first network, in proportion."""
    s = PAPERS[name]
    width = of_network(first, s.network).width if "width" in changes else s.width
    return replace(s, **{**changes, "width": width})


def load(pairs: pd.DataFrame, s: Lungs) -> LungPictures:
    """Pictures and masks, or maps of structures, at the size of these settings."""
    return LungPictures(pairs, *load_pairs(pairs, s.size, s.structures))
