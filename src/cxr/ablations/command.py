"""`python -m cxr ablations [--only PART ...]` (`make ablations`, after `make all`): measure, keep, report.

What a part found lies in `ablations.json` under its name, with digests of the tables that it was compared with: the
report shows it as long as these stay the same.
"""

import argparse
import importlib
import json

from cxr.ablations.choices import CHOICES
from cxr.paths import find_places
from cxr.report import write_report
from cxr.workspace import Workspace, open_run_folder, write_json

# each is a module here with `measure(workspace) -> dict`, and prints what it found
PARTS = {
    "pretraining": "every model without pretraining",
    "views": "every model on the lungs alone: cropped, and masked",
    "choices": "single choices of the winners' recipe: heads, class weights, averaged weights, mirror images",
    "baseline": "the run beside the trivial baseline, out of fold",
    "plain": "the detectors beside a plain ultralytics training, three seeds",
    "segmenters": "lung segmenters side by side, with less data, and from one data set on another",
    "systems": "the papers' systems beside what their papers compare them with, each on its own task",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, which parts."""
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--working", default="")
    parser.add_argument("--submissions", default="")
    words = "; ".join(f"{name}: {text}" for name, text in PARTS.items())
    parser.add_argument(
        "--choices", nargs="+", choices=CHOICES, metavar="NAME", help=f"of the part: {', '.join(CHOICES)}"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=words)


def main(args: argparse.Namespace) -> int:
    """Measure the parts one after another; each is kept as soon as it is done."""
    workspace = open_run_folder(find_places(args.profile, "", args.working, args.submissions).root)
    for name in args.only:
        more = [args.choices] if name == "choices" and args.choices else []
        keep(workspace, name, importlib.import_module(f"cxr.ablations.{name}").measure(workspace, *more))
    print(f"in {write_report(workspace)}")
    return 0


def keep(workspace: Workspace, name: str, found: dict) -> None:
    """Put what a part found into `ablations.json`, beside the others."""
    path = workspace.places.ablations
    known = json.loads(path.read_text()) if path.is_file() else {}
    known[name] = found
    write_json({part: known[part] for part in PARTS if part in known}, path)
