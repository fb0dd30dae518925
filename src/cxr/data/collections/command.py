"""`python -m cxr collect ADAPTER=FOLDER ... OUT.csv`: pictures of many sources in one checked table, with counts."""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

from cxr.data.collections import rules
from cxr.data.collections.chexpert import read_chexpert
from cxr.data.collections.class_folders import read_class_folders
from cxr.data.collections.contract import COLLECTION, COLUMNS
from cxr.data.collections.covidx import read_covidx
from cxr.data.collections.ieee8023 import read_ieee8023
from cxr.data.collections.known import read_nih_collection, read_rsna_collection
from cxr.data.collections.split import PARTS, split
from cxr.faults import DataFault
from cxr.tables import write_table

ADAPTERS = {
    "ieee8023": read_ieee8023,
    "covidx": read_covidx,
    "nih": read_nih_collection,
    "rsna": read_rsna_collection,
    "chexpert": read_chexpert,
    "classes": read_class_folders,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sources, the table to write, rules."""
    parser.add_argument(
        "sources", nargs="+", metavar="ADAPTER=FOLDER", help=f"{', '.join(ADAPTERS)}; the first of two copies is kept"
    )
    parser.add_argument("out", type=Path, metavar="OUT.csv")
    parser.add_argument("--frontal", action="store_true", help="no lateral views")
    parser.add_argument("--adults", action="store_true", help="age from 18 on")
    parser.add_argument("--unknown-age", choices=("keep", "drop"), default="keep", help="with --adults (default keep)")
    parser.add_argument(
        "--copies", action="store_true", help="keep copies (otherwise every picture is read and compared)"
    )
    parser.add_argument("--labels", nargs="+", default=[], metavar="OLD=NEW", help="rename labels; others are dropped")
    parser.add_argument("--split", nargs=3, type=float, metavar="SHARE", help=f"a column `part`: {', '.join(PARTS)}")
    parser.add_argument("--seed", type=int, default=0, help="of the split")


def main(args: argparse.Namespace) -> int:
    """Write the table and print what is in it and what was dropped."""
    tables = [_read(text) for text in args.sources]
    table = pd.concat(tables, ignore_index=True)
    twice = table["image_id"].duplicated()
    if twice.any():
        raise DataFault(f"{table['image_id'][twice].iloc[0]}: in two sources; give each folder once")
    table, counts = rules.apply(table, _rules(args))
    for row in counts.itertuples():
        print(f"{row.rule}: {row.dropped} of {row.before} dropped ({row.words})")
    if args.split:
        table["part"] = split(table, args.split, args.seed)
        print(table.groupby(["part", "label"]).size().unstack(fill_value=0).to_string())
    print(table.groupby(["source", "label"]).size().unstack(fill_value=0).to_string())
    write_table(table[[*COLUMNS, *(["part"] if args.split else [])]], args.out, COLLECTION)
    print(f"{args.out}: {len(table)} pictures of {table['patient_id'].nunique()} patients")
    return 0


def _read(text: str) -> pd.DataFrame:
    adapter, _, folder = text.partition("=")
    if adapter not in ADAPTERS or not folder:
        raise DataFault(f"{text}: not of the form ADAPTER=FOLDER with one of {', '.join(ADAPTERS)}")
    if not Path(folder).is_dir():
        raise DataFault(f"{text}: no such folder")
    table, findings = ADAPTERS[adapter](Path(folder))
    for line in findings:
        print(f"note: {line}")
    return table


def _rules(args: argparse.Namespace) -> dict[str, rules.Rule]:
    chosen: dict[str, rules.Rule] = {"paediatric source": rules.no_paediatric_source}
    if args.labels:
        chosen["labels"] = partial(_rename, dict(_pair(text) for text in args.labels))
    if args.frontal:
        chosen["frontal"] = rules.frontal
    if args.adults:
        chosen["adults"] = partial(rules.adult, unknown=args.unknown_age)
    if not args.copies:
        chosen["copies"] = rules.no_copies
    return chosen


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals or not old or not new:
        raise DataFault(f"--labels {text}: not of the form OLD=NEW")
    return old, new


def _rename(names: dict[str, str], table: pd.DataFrame) -> tuple[pd.Series, str]:
    kept = table["label"].isin(names)
    others = sorted(set(table["label"][~kept]))
    table.loc[kept, "label"] = table["label"][kept].map(names)
    return kept, f"other labels: {', '.join(others[:5])}{', ...' if len(others) > 5 else ''}"
