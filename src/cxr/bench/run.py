"""`python -m cxr bench`: all tables, or some."""

import argparse
import importlib
from pathlib import Path

import cv2

PARTS = ("pixels", "growth", "samples", "networks", "inference", "metric", "fusion", "lungs", "submission", "page")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which pieces, how often, and where the other programs live."""
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each piece (default %(default)s)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--peers", type=Path, default=Path(".venv-peers/bin/python"), metavar="PYTHON",
        help="Python that has dicom2jpg and SimpleITK (`make peers`; default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--run", type=Path, default=Path("working/demo"), help="finished run whose models predict (default %(default)s)"
    )


def main(args: argparse.Namespace) -> int:
    """Print the tables."""
    cv2.setNumThreads(1)
    for part in args.only:
        run_part(part, args)
    return 0


def run_part(part: str, args: argparse.Namespace) -> None:
    """One part; imported when its turn comes, so that torch does not stand beside what is timed without it."""
    module = importlib.import_module(f"cxr.bench.{part}")
    if part == "pixels":
        module.main(args.repeats, args.peers)
    elif part in ("submission", "inference", "page"):
        module.main(args.repeats, args.run)
    else:
        module.main(args.repeats)
