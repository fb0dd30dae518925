"""Folds for cross-validation: patients and copies of a picture never cross, classes and boxes are spread evenly.

Folds by study leak: 1200 of the 3261 patients of the real train set have several studies.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.duplicates import MOST_PATIENTS, Pairs, duplicate_notes, group_images, refuse_large_groups
from cxr.data.labelled import LABELLED, check_labels, read_folds, read_labelled
from cxr.data.leaks import check_known, check_leaks, exposed_shares, find_leaks, leak_words
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.tables import FOLDS, check_table, write_table

TRIES = 8  # orders of the groups; the most even result is kept
MOST_POINTS = 1.0  # percentage points that a fold's shares should differ from the whole


def make_folds(
    table: pd.DataFrame, folds: int = 5, seed: int = 0, pairs: Pairs = (), most_patients: int = MOST_PATIENTS
) -> pd.DataFrame:
    """Give every image a fold; the FOLDS table, sorted by image_id.

    `table` has image_id, study_id, patient_id, the four classes as 1 / 0, has_box, and maybe pixel_hash; `pairs` are
    image ids of near copies. The result follows from the rows and the seed, not from the order of rows. DataFault when
    pictures join more than `most_patients`, there are fewer groups than folds, or a fold would hold no box.
    """
    check_table(table, LABELLED, "images to fold")
    table, pairs = table.sort_values("image_id", ignore_index=True), list(pairs)
    check_labels(table, "images to fold")
    refuse_large_groups(table, pairs, most_patients)
    groups = group_images(table, pairs)
    if groups.nunique() < folds:
        raise DataFault(
            f"{folds} folds need at least {folds} groups of patients, found {groups.nunique()}; "
            "ask for fewer folds or add patients"
        )
    counts = _counts(table).groupby(groups).sum()
    tries = [_spread(counts, folds, f"{seed}.{number}") for number in range(TRIES)]
    chosen = min(tries, key=lambda found: found[1])[0]
    result = table[["image_id", "study_id", "patient_id"]].assign(group=groups, fold=groups.map(chosen).astype(int))
    boxed = result.loc[table["has_box"].astype(bool), "fold"].value_counts().reindex(range(folds), fill_value=0)
    if boxed.min() == 0:
        raise DataFault(
            f"fold {boxed.idxmin()} of {folds} would have no image with a box, among {boxed.sum()} boxed "
            "images in all; ask for fewer folds or add boxed images of other patients"
        )
    return check_table(result, FOLDS, "folds")


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """What must be spread evenly, a row an image: images, boxed images, class x has-box, and studies of each class."""
    classes, boxed = table[list(STUDY_CLASSES)].astype(float), table["has_box"].astype(float)
    once = (~table["study_id"].duplicated()).astype(float)
    return pd.concat(
        [boxed * 0 + 1, boxed, classes.mul(boxed, axis=0), classes.mul(1 - boxed, axis=0), classes.mul(once, axis=0)],
        axis=1,
        ignore_index=True,
    )


def _spread(counts: pd.DataFrame, folds: int, salt: str) -> tuple[dict[str, int], float]:
    """Greedy: the largest group first, each to the fold where the sum of squared shares grows least.

    A share is a fold's part of one column of `counts`; the sum is smallest where all folds have equal parts. Groups of
    one size come in an order drawn by `salt`. Returns {group: fold} and that sum.
    """
    shares = counts.to_numpy() / np.maximum(counts.sum().to_numpy(), 1)
    drawn = [hashlib.blake2b(f"{salt}.{group}".encode()).digest() for group in counts.index]
    order = sorted(range(len(counts)), key=lambda row: (-counts.iat[row, 0], drawn[row]))
    held, chosen = np.zeros((folds, shares.shape[1])), {}
    for row in order:
        growth = held @ shares[row]  # (h + s)^2 = h^2 + 2 h s + s^2, and only 2 h s differs by fold
        fold = int(np.argmin(growth.round(12)))  # rounded, so that ties fall alike on every machine
        held[fold] += shares[row]
        chosen[counts.index[row]] = fold
    return chosen, round(float((held**2).sum()), 12)


def balance_table(folds_table: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A row a fold: images, studies, patients, share in percent of each class among studies and of boxed images."""
    joined = table.drop(columns="fold", errors="ignore").merge(folds_table[["image_id", "fold"]], on="image_id")
    studies = joined.drop_duplicates("study_id").groupby("fold")[list(STUDY_CLASSES)].mean() * 100
    by_fold = joined.groupby("fold")
    counts = by_fold[["image_id", "study_id", "patient_id"]].nunique()
    counts.columns = ["images", "studies", "patients"]
    return pd.concat([counts, studies.round(2), (by_fold["has_box"].mean() * 100).round(2).rename("boxed")], axis=1)


def deviations(folds_table: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Percentage points by which the shares of a fold (row) differ from those of the whole set.

    Columns: each class among studies; boxed images, and each class with and without a box, among images.
    """
    joined = table.drop(columns="fold", errors="ignore").merge(folds_table[["image_id", "fold"]], on="image_id")
    studies, boxed = joined.drop_duplicates("study_id"), joined["has_box"].astype(bool)
    cells = {"boxed": boxed}
    for name in STUDY_CLASSES:
        cells |= {f"{name}, boxed": (joined[name] == 1) & boxed, f"{name}, no box": (joined[name] == 1) & ~boxed}
    cells = pd.DataFrame(cells)
    parts = [
        shares.groupby(part["fold"]).mean() - shares.mean()
        for shares, part in ((studies[list(STUDY_CLASSES)].astype(float), studies), (cells.astype(float), joined))
    ]
    return pd.concat(parts, axis=1) * 100


def deviation_notes(table: pd.DataFrame) -> list[str]:
    """The largest entry of `deviations`, with a warning where it is more than it should be."""
    fold, name = table.abs().round(6).stack().idxmax()  # rounded, so that ties fall alike on every machine
    value = table.at[fold, name]
    warning = "" if abs(value) <= MOST_POINTS else f"; more than {MOST_POINTS:g}: scores of the folds differ for it"
    return [
        f"largest deviation of a fold from the whole: {value:+.2f} percentage points ({name}, fold {fold}){warning}"
    ]


def balance_notes(balance: pd.DataFrame) -> list[str]:
    """Classes that a fold does not have: an average precision there is undefined."""
    return [
        f"fold {fold} has no study of class {name}: its average precision there is undefined"
        for name in STUDY_CLASSES
        for fold in balance.index[balance[name] == 0]
    ]


def _number_of_folds(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of folds, which is a whole number from 2 on")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`IMAGES_CSV OUT.csv [--folds N] [--seed S]`, or `IMAGES_CSV --check FOLDS_CSV`."""
    parser.add_argument("images_csv", type=Path, metavar="IMAGES_CSV", help="images with labels; pixels are not needed")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "out", type=Path, nargs="?", metavar="OUT.csv", help="image_id, study_id, patient_id, group, fold"
    )
    task.add_argument(
        "--check", type=Path, metavar="FOLDS_CSV", help="make none, but list what leaks in these (image_id, fold)"
    )
    parser.add_argument("--folds", type=_number_of_folds, default=5, help="how many (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="order in which groups are dealt out (default 0)")
    parser.add_argument(
        "--most-patients",
        type=int,
        default=MOST_PATIENTS,
        metavar="N",
        help="that pictures may join to one group (default %(default)s)",
    )


def main(args: argparse.Namespace) -> int:
    """Make folds, check them and print their balance; or check those of elsewhere: 1 if anything leaks."""
    table, notes = read_labelled(args.images_csv)
    if args.check:
        return _check(args.check, table)
    folds = make_folds(table, args.folds, args.seed, most_patients=args.most_patients)
    check_leaks(folds, table)
    write_table(folds, args.out, FOLDS)
    balance = balance_table(folds, table)
    print(balance.to_string())
    for note in [*notes, *duplicate_notes(table), *balance_notes(balance), *deviation_notes(deviations(folds, table))]:
        print(f"note: {note}")
    print(f"{args.out}: {len(folds)} images in {args.folds} folds, no patient crosses")
    return 0


def _check(folds_csv: Path, table: pd.DataFrame) -> int:
    """Print one line a leak of a folds file."""
    folds = read_folds(folds_csv)
    check_known(folds, table, folds_csv)
    leaks = find_leaks(folds, table)
    for leak in leaks.itertuples():
        print(f"{leak.kind} {leak_words(leak)}")
    for fold, share in exposed_shares(folds, table, leaks).items():
        print(f"fold {fold}: {share:.1%} of its images share a patient or a study with another fold")
    missing = len(table) - folds["image_id"].nunique()
    if missing:
        print(f"note: {folds_csv}: {missing} image(s) of the images table have no fold")
    hashed = "pixel_hash" in table.columns
    if not hashed:
        print("note: without a column pixel_hash (`python -m cxr convert` writes it) copies were not looked for")
    counts = leaks["kind"].value_counts()
    nothing = "no patient, study or exact copy of a picture" if hashed else "no patient and no study"
    words = ", ".join(f"{count} {kind}(s)" for kind, count in counts.items()) or nothing
    print(f"{folds_csv}: {words} in several of {folds['fold'].nunique()} folds")
    return 1 if len(leaks) else 0
