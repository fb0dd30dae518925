"""`python -m cxr collect`: sources in, one table of pictures out, with counts of what every rule dropped."""

import argparse
from pathlib import Path

import pandas as pd

from cxr.data.collections.adapters import ADAPTERS, Place
from cxr.data.collections.collect import Collected, Wanted, collect
from cxr.data.collections.contract import PARTS, write_collection
from cxr.data.collections.label_maps import LABEL_MAPS, load_label_map
from cxr.images.convert import positive
from cxr.images.pool import worker_count
from cxr.tables import write_csv

MOST_LABELS = 15  # rows of the printed table; NIH alone has hundreds of combinations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ADAPTER=FOLDER [ADAPTER=FOLDER ...] OUT.csv` and what to keep."""
    parser.add_argument(
        "places", type=_place, nargs="+", metavar="ADAPTER=FOLDER", help=f"a source; adapters: {', '.join(ADAPTERS)}"
    )
    parser.add_argument(
        "out", type=_csv, metavar="OUT.csv", help="image_id, path, label, patient_id, age, sex, view, ..."
    )
    parser.add_argument("--frontal", action="store_true", help="no lateral views; unknown ones stay")
    parser.add_argument("--known-views", action="store_true", help="with --frontal: unknown ones go too")
    parser.add_argument("--adults", action="store_true", help="nobody under 18; unknown ages stay")
    parser.add_argument("--known-ages", action="store_true", help="with --adults: unknown ones go too")
    parser.add_argument(
        "--label-map",
        metavar="NAME|CSV",
        help=f"{', '.join(LABEL_MAPS)}, or a CSV of pattern,class; else labels as written",
    )
    parser.add_argument(
        "--split", type=_share, nargs=3, metavar=("TRAIN", "VALIDATION", "TEST"), help="shares, for example .7 .1 .2"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    parser.add_argument("--keep-copies", action="store_true", help="open no picture: copies and damaged files stay")
    parser.add_argument(
        "--workers", type=positive, default=worker_count(), metavar="N", help="processes (default %(default)s)"
    )
    parser.set_defaults(usage_error=parser.error)


def main(args: argparse.Namespace) -> int:
    """Print counts, write OUT.csv, and beside it OUT.dropped.csv and the thumbnails that copies were looked for in."""
    if args.split and abs(sum(args.split) - 1) > 1e-6:
        args.usage_error(f"--split {' '.join(f'{share:g}' for share in args.split)}: the shares must sum to 1")
    if (args.known_views and not args.frontal) or (args.known_ages and not args.adults):
        args.usage_error("--known-views goes with --frontal, --known-ages with --adults")
    wanted = Wanted(
        frontal=args.frontal,
        known_views=args.known_views,
        adults=args.adults,
        known_ages=args.known_ages,
        label_map=load_label_map(args.label_map) if args.label_map else (),
        copies=args.keep_copies,
        split=tuple(args.split) if args.split else None,
        seed=args.seed,
    )
    collected = collect(args.places, wanted, args.out.with_suffix(".thumbnails.npy"), args.workers)
    write_collection(collected.table, args.out)
    write_csv(collected.dropped, args.out.with_suffix(".dropped.csv"))
    show(collected)
    people = collected.table["group"].nunique()
    print(f"{args.out}: {len(collected.table)} of {len(collected.found)} pictures, {people} patients")
    return 0


def show(collected: Collected) -> None:
    """Counts before and after, of every rule by source, and everything that a person should know, one line each."""
    print("found, by label and source")
    print(count_table(collected.found).to_string())
    print("\nrules, in this order")
    for line in collected.lines:
        print(f"  {line}")
    if len(collected.dropped):
        print("\ndropped, by rule and source")
        rule, source = collected.dropped["rule"], collected.dropped["source"]
        print(pd.crosstab(rule, source, margins=True, margins_name="sum").to_string())
    print("\nremaining, by label and source")
    print(count_table(collected.table).to_string())
    if "split" in collected.table:
        print("\nremaining, by label and part")
        print(count_table(collected.table, "split").reindex(columns=[*PARTS, "sum"], fill_value=0).to_string())
    for note in collected.notes:
        print(f"note: {note}")


def count_table(table: pd.DataFrame, by: str = "source") -> pd.DataFrame:
    """Pictures by label (rows, the commonest first, the rarest as one row) and source (columns), with sums."""
    counts = pd.crosstab(table["label"], table[by])
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    if len(counts) > MOST_LABELS:
        rest = counts.iloc[MOST_LABELS - 1 :]
        counts = pd.concat([counts.iloc[: MOST_LABELS - 1], rest.sum().to_frame(f"{len(rest)} others").T])
    counts.loc["sum"] = counts.sum()
    return counts.assign(sum=counts.sum(axis=1)).rename_axis(index="label", columns=by)


def _place(text: str) -> Place:
    adapter, equals, folder = text.partition("=")
    if not equals or adapter not in ADAPTERS or not folder:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADAPTER=FOLDER; adapters: {', '.join(ADAPTERS)}")
    return Place(adapter, Path(folder))


def _csv(text: str) -> Path:
    if not text.endswith(".csv"):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a .csv to write")
    return Path(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return share
