"""`python -m cxr footprint`: what a profile will take of disk, memory and, with --gpu, of a GPU."""

import argparse

import pandas as pd

from cxr.footprint.counts import Counts
from cxr.footprint.in_memory import KAGGLE_GPU, KAGGLE_MEMORY, OWN, gpu, memory, memory_by_stage
from cxr.footprint.on_disk import bytes_by_stage, disk
from cxr.footprint.room import KAGGLE_DISK
from cxr.profiles import load_profile

SMALL = 2e6  # bytes: less is summed up in one line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`[--profile NAME] [--set "..."] [--train N] [--test N] [--gpu]`."""
    usual = Counts()
    parser.add_argument("--profile", default="kaggle")
    parser.add_argument("--set", default="", metavar="OVERRIDES", help="as make's SET, for example 'yolo.batch=8'")
    for name in ("train", "test", "nih", "rsna", "rsna-boxed", "lungs", "pixels", "nih-test"):
        default = getattr(usual, name.replace("-", "_"))
        words = "pixels of an original image" if name == "pixels" else f"pictures of {name}"
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{words} (default %(default)s)")
    parser.add_argument("--gpu", action="store_true", help="estimate GPU memory too: runs each network, minutes")


def main(args: argparse.Namespace) -> int:
    """Print the tables. Exit code 1 where something does not fit a Kaggle session."""
    profile = load_profile(args.profile, args.set)
    counts = Counts(*(getattr(args, name) for name in Counts._fields))
    print(f"profile {profile.name}: {', '.join(f'{key} {value}' for key, value in counts._asdict().items())}")
    fits = [print_disk(disk(profile, counts)), print_memory(memory(profile, counts))]
    if args.gpu:
        fits.append(print_gpu(gpu(profile, counts)))
    return 0 if all(fits) else 1


def print_disk(table: pd.DataFrame) -> bool:
    """Parts, and the peak; whether it fits what a Kaggle session keeps."""
    print("\ndisk, GB: part, where below the working folder, stages in which it is there")
    for row in table[table["bytes"] >= SMALL].sort_values("bytes", ascending=False).itertuples():
        print(f"  {gigabytes(row.bytes)}  {row.what:40}  {row.where:36}  {row.first}-{row.last}")
    print(f"  {gigabytes(table.loc[table['bytes'] < SMALL, 'bytes'].sum())}  small parts")
    stages = bytes_by_stage(table)
    print(f"  at the end {stages.iloc[-1] / 1e9:.2f} GB")
    return verdict(f"disk, in stage {stages.idxmax()}", stages.max(), KAGGLE_DISK)


def print_memory(table: pd.DataFrame) -> bool:
    """Own memory by stage with its largest part, page cache beside it; whether it fits."""
    print("\nmemory, GB: stage, own, page cache, the largest parts")
    own, pages = memory_by_stage(table), table[table["kind"] != OWN].groupby("stage")["bytes"].sum()
    for stage, total in own.items():
        parts = table[(table["stage"] == stage) & (table["kind"] == OWN)].nlargest(3, "bytes")
        words = ", ".join(f"{row.what} {row.bytes / 1e9:.1f}" for row in parts.itertuples())
        print(f"  {stage}  {gigabytes(total)}  {gigabytes(pages.get(stage, 0))}  {words}")
    return verdict(f"memory, in stage {own.idxmax()}", own.max(), KAGGLE_MEMORY)


def print_gpu(table: pd.DataFrame) -> bool:
    """Parts by training; whether the largest fits one GPU."""
    print("\nGPU, GB, an ESTIMATE made on the CPU")
    shown = table.assign(**{name: table[name] / 1e9 for name in table.columns[2:]})
    print(shown.to_string(index=False, float_format="{:.2f}".format))
    largest = table.loc[table["sum"].idxmax()]
    return verdict(f"GPU, {largest['training']}", largest["sum"], KAGGLE_GPU)


def verdict(what: str, found: float, allowed: float) -> bool:
    """Print the peak beside what Kaggle has; whether it fits."""
    fits = found <= allowed
    words = "fits" if fits else "TOO MUCH for"
    print(f"  peak of {what}: {found / 1e9:.1f} GB, {words} Kaggle's {allowed / 1e9:.0f} GB")
    return fits


def gigabytes(count: float) -> str:
    """`  1.66`"""
    return f"{count / 1e9:6.2f}"
