"""The phantom: a whole input/ folder of synthetic chest radiographs in the layouts that Kaggle mounts.

OUT/input/siim-covid19-detection                train/ test/ <study>/<series>/<image>.dcm, three CSV files
OUT/input/rsna-pneumonia-detection-challenge    8-bit DICOM, boxes, classes
OUT/input/data                                  NIH ChestX-ray14
OUT/input/chest-xray-masks-and-labels           lung masks
OUT/input/jsrt                                  masks of left lung, right lung, heart
OUT/solution.csv                                the truth of SIIM test, outside input/
"""

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

from cxr.faults import DataFault
from cxr.phantom import companions, masks, siim
from cxr.phantom.plan import DEFAULT_STUDIES, MINIMUM_STUDIES, plan_siim
from cxr.phantom.shortcuts import ELSEWHERE, MARKED_CLASS, SHARE, SHORTCUTS

FEWEST = 12  # pictures of NIH and RSNA: every class and both parts have some


class Part(NamedTuple):
    """One data set: `draw(row, folder, seed)` makes a picture, `tables(plan, drawn, folder)` the files beside them."""

    folder: str
    plan: pd.DataFrame
    draw: Callable
    tables: Callable | None


def make_phantom(
    out: Path,
    studies: int | None = None,
    seed: int = 0,
    like: Path | None = None,
    workers: int | None = None,
    nih: int | None = None,
    rsna: int | None = None,
    shortcut: str | None = None,
) -> None:
    """Write OUT/input and OUT/solution.csv. Same arguments: same bytes, whatever `workers` is.

    `studies` counts train and test together, a quarter is test; the companions grow with it, unless `nih` and `rsna`
    name numbers of pictures. `like` is a folder of real label files whose structure is taken over. `shortcut`: one of
    SHORTCUTS, planted into the SIIM part, train and test; None for an honest phantom. An interrupted run leaves no
    OUT/input. Raises DataFault when OUT/input already exists or `like` cannot be used.
    """
    out = Path(out)
    if (out / "input").exists() or out.is_file():
        taken = out if out.is_file() else out / "input"
        raise DataFault(f"{taken} already exists; remove it or name another folder, nothing is overwritten")
    partial, solution = out / ".input.partial", out / ".solution.partial"
    parts = plan_parts(studies, seed, like, solution, nih, rsna, shortcut)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    drawn = _draw(parts, partial, seed, workers or cpu_count())
    for part in parts:
        results, drawn = drawn[: len(part.plan)], drawn[len(part.plan) :]
        if part.tables:
            part.tables(part.plan, results, partial / part.folder)
    os.replace(solution, out / "solution.csv")
    os.replace(partial, out / "input")


def plan_parts(
    studies: int | None,
    seed: int,
    like: Path | None,
    solution: Path,
    nih: int | None = None,
    rsna: int | None = None,
    shortcut: str | None = None,
) -> list[Part]:
    """All data sets. RSNA and NIH hold a quarter as many pictures as SIIM has studies, each mask set an eighth."""
    plan = plan_siim(studies, seed, like, shortcut)
    quarter, eighth = (max(least, round(plan["study_id"].nunique() / n)) for n, least in ((4, FEWEST), (8, 8)))

    def siim_tables(table: pd.DataFrame, boxes: list, root: Path) -> None:
        siim.write_tables(table, boxes, root, solution)

    rsna_plan, nih_plan = companions.plan_rsna(rsna or quarter, seed), companions.plan_nih(nih or quarter, seed)
    return [
        Part(siim.FOLDER, plan, siim.write_image, siim_tables),
        Part(companions.RSNA, rsna_plan, companions.write_rsna_image, companions.write_rsna_tables),
        Part(companions.NIH, nih_plan, companions.write_nih_image, companions.write_nih_tables),
        Part(masks.LUNGS, masks.plan_lungs(eighth, seed), masks.write_lungs_image, None),
        Part(masks.JSRT, masks.plan_jsrt(eighth, seed), masks.write_jsrt_image, None),
    ]


def _draw(parts: list[Part], root: Path, seed: int, workers: int) -> list:
    """Draw every picture of every part; results in the order of the plans."""
    jobs = [delayed(part.draw)(row, root / part.folder, seed) for part in parts for row in part.plan.to_dict("records")]
    results = Parallel(n_jobs=workers, batch_size=4, return_as="generator")(jobs)
    return list(tqdm(results, total=len(jobs), desc="phantom", unit="picture"))


def _from(least: int) -> Callable[[str], int]:
    """Type of an argument: a whole number, `least` or more."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder that gets input/ and solution.csv")
    parser.add_argument(
        "--studies",
        type=_from(MINIMUM_STUDIES),
        metavar="N",
        help=f"SIIM studies, a quarter is test (default {DEFAULT_STUDIES}, with --like all)",
    )
    parser.add_argument("--seed", type=_from(0), default=0, help="same seed, same bytes (default 0)")
    parser.add_argument(
        "--like",
        type=Path,
        metavar="LABEL_DIR",
        help="folder with train_study_level.csv and "
        "train_image_level.csv, *meta*.csv for patients; their structure is taken over",
    )
    for name in ("nih", "rsna"):
        text = f"{name.upper()} pictures (default: a quarter of the studies)"
        parser.add_argument(f"--{name}", type=_from(FEWEST), metavar="N", help=text)
    parser.add_argument(
        "--shortcut",
        choices=SHORTCUTS,
        help=f"plant a shortcut, to see whether the audit finds it and models take it: `marker` burns a word into "
        f"{SHARE:.0%}% of the SIIM pictures of class {MARKED_CLASS} and {ELSEWHERE:.0%}% of the others",
    )
    parser.add_argument("--workers", type=_from(1), metavar="N", help="processes (default: one a core)")


def main(args: argparse.Namespace) -> int:
    make_phantom(args.out, args.studies, args.seed, args.like, args.workers, args.nih, args.rsna, args.shortcut)
    print(f"{args.out / 'input'} and {args.out / 'solution.csv'} are written")
    return 0
