"""Folds for cross-validation: patients and copies of a picture never cross, classes and boxes are spread evenly.

Folds by study leak: 1200 of the 3261 patients of the real train set have several studies.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.duplicates import Pairs, duplicate_notes, group_images, same_picture_groups
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES, STUDY_COLUMNS, parse_boxes
from cxr.tables import FOLDS, Contract, check_table, read_csv, write_table

TRIES = 8  # orders of the groups; the most even result is kept
LABELLED = Contract("table for folds", ("image_id", "study_id", "patient_id"), STUDY_CLASSES, key="image_id")
BOX_SOURCES = ("has_box", "boxes", "label")  # each tells whether an image has a box; the first one found is used
NAMES = {name.replace("_", ""): name for name in (*LABELLED.columns, *BOX_SOURCES, "pixel_hash")}
NAMES |= {name.lower().replace(" ", ""): short for name, short in STUDY_COLUMNS.items()}
NAMES |= {"studyinstanceuid": "study_id"}


def make_folds(table: pd.DataFrame, folds: int = 5, seed: int = 0, pairs: Pairs = ()) -> pd.DataFrame:
    """Give every image a fold; the FOLDS table, sorted by image_id.

    `table` has image_id, study_id, patient_id, the four classes as 1 / 0, has_box, and maybe pixel_hash; `pairs` are
    image ids of near copies. The result follows from the rows and the seed, not from the order of rows. DataFault when
    there are fewer groups than folds, or a fold would hold no box.
    """
    check_table(table, LABELLED, "images to fold")
    _check_labels(table)
    table = table.sort_values("image_id", ignore_index=True)
    groups = group_images(table, list(pairs))
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


def _check_labels(table: pd.DataFrame) -> None:
    """Exactly one class a study, and the same one on all its images."""
    classes = table[list(STUDY_CLASSES)]
    wrong = ~(classes.isin([0, 1]).all(axis=1) & (classes.sum(axis=1) == 1))
    if wrong.any():
        raise DataFault(
            f"image {table['image_id'][wrong].iloc[0]} and {wrong.sum() - 1} more have not exactly one 1 "
            f"among {', '.join(STUDY_CLASSES)}; correct these rows"
        )
    differ = classes.groupby(table["study_id"]).nunique().max(axis=1) > 1
    if differ.any():
        raise DataFault(f"study {differ.index[differ][0]} has images with different labels; give all of them its label")


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


def check_leaks(folds_table: pd.DataFrame, images_table: pd.DataFrame, pairs: Pairs = ()) -> None:
    """Raise DataFault naming patients, studies or pictures that stand in more than one fold.

    Patients and pictures are taken from the images table, which comes from the DICOM headers: a folds file of elsewhere
    is checked against the truth, not against itself.
    """
    check_table(folds_table, FOLDS, "folds")
    unknown = sorted(set(folds_table["image_id"]) - set(images_table["image_id"]))
    if unknown:
        raise DataFault(
            f"{len(unknown)} image(s) of the folds are not in the images table ({', '.join(unknown[:3])}), "
            "so leaks cannot be ruled out; make the folds again from this images table"
        )
    table = images_table.drop(columns=["fold", "group"], errors="ignore")
    table = table.merge(folds_table[["image_id", "group", "fold"]], on="image_id")
    copies = {image: group[0] for group in same_picture_groups(table, list(pairs)) for image in group}
    table["picture"] = table["image_id"].map(copies)
    for column, noun in {"patient_id": "patient", "study_id": "study", "picture": "picture"}.items():
        spread = table.groupby(column)["fold"].agg(lambda folds: sorted(set(folds)))
        crossing = spread[spread.map(len) > 1]
        if len(crossing):
            names = ", ".join(f"{name} in folds {' and '.join(map(str, held))}" for name, held in crossing[:3].items())
            raise DataFault(
                f"folds leak: {len(crossing)} {noun}(s) stand in several folds ({names}); "
                "make the folds again, by `python -m cxr folds`"
            )


def balance_table(folds_table: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A row a fold: images, studies, patients, share in percent of each class among studies and of boxed images."""
    joined = table.drop(columns="fold", errors="ignore").merge(folds_table[["image_id", "fold"]], on="image_id")
    studies = joined.drop_duplicates("study_id").groupby("fold")[list(STUDY_CLASSES)].mean() * 100
    by_fold = joined.groupby("fold")
    counts = by_fold[["image_id", "study_id", "patient_id"]].nunique()
    counts.columns = ["images", "studies", "patients"]
    return pd.concat([counts, studies.round(2), (by_fold["has_box"].mean() * 100).round(2).rename("boxed")], axis=1)


def balance_notes(balance: pd.DataFrame) -> list[str]:
    """Classes that a fold does not have: an average precision there is undefined."""
    return [
        f"fold {fold} has no study of class {name}: its average precision there is undefined"
        for name in STUDY_CLASSES
        for fold in balance.index[balance[name] == 0]
    ]


def read_labelled(csv: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """An images table with labels, in our names or in those of the competition's files and of published fold files.

    Rows without any label (test images, other sources) are left out. Returns what `make_folds` wants, and findings.
    """
    read_csv(csv)  # complains in words about a missing or unreadable file
    raw = pd.read_csv(csv, dtype=str)  # ids of digits alone must stay text
    table = _our_names(raw)
    source = next((name for name in BOX_SOURCES if name in table.columns), None)
    missing = [name for name in LABELLED.columns if name not in table.columns]
    missing += [] if source else [" or ".join(BOX_SOURCES)]
    if missing:
        raise DataFault(
            f"{csv}: column {', '.join(missing)} is missing; found {', '.join(raw.columns)}. Folds need "
            "image_id, study_id, patient_id, the four classes, and one of " + ", ".join(BOX_SOURCES)
        )
    unlabelled = table[list(STUDY_CLASSES)].isna().all(axis=1)
    notes = [f"{csv}: {unlabelled.sum()} row(s) without a label are left out"] if unlabelled.any() else []
    table = table[~unlabelled].reset_index(drop=True)
    if table.empty:
        raise DataFault(f"{csv}: no row has a label in {', '.join(STUDY_CLASSES)}; folds are made from training images")
    check_table(table, LABELLED, csv)
    table[list(STUDY_CLASSES)] = table[list(STUDY_CLASSES)].astype(float)
    table["has_box"] = [
        _has_box(source, text, f"{csv}: image {image_id}")
        for image_id, text in zip(table["image_id"], table[source], strict=True)
    ]
    return table, notes


def _our_names(table: pd.DataFrame) -> pd.DataFrame:
    """Rename known aliases, whatever their case, spaces and underscores; a column that has our name already wins."""
    renamed = {}
    for column in table.columns:
        name = NAMES.get(column.lower().replace(" ", "").replace("_", ""))
        if name and name not in table.columns and name not in renamed.values():
            renamed[column] = name
    return table.rename(columns=renamed)


def _has_box(source: str, text: object, place: str) -> bool:
    """Read one cell of has_box (1 or true), boxes (a literal) or label (`opacity ...` or `none ...`)."""
    if source == "boxes":
        return len(parse_boxes(text)) > 0
    word = str(text).strip().lower().split(" ")[0]
    known = (
        {"opacity": True, "none": False}
        if source == "label"
        else {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
    )
    if word not in known:
        raise DataFault(f"{place}: {source} is {text!r}, expected one of {', '.join(known)}; correct that row")
    return known[word]


def _number_of_folds(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of folds, which is a whole number from 2 on")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images_csv", type=Path, metavar="IMAGES_CSV", help="images with labels; pixels are not needed")
    parser.add_argument("out", type=Path, metavar="OUT.csv", help="image_id, study_id, patient_id, group, fold")
    parser.add_argument("--folds", type=_number_of_folds, default=5, help="how many (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="order in which groups are dealt out (default 0)")


def main(args: argparse.Namespace) -> int:
    table, notes = read_labelled(args.images_csv)
    folds = make_folds(table, args.folds, args.seed)
    check_leaks(folds, table)
    write_table(folds, args.out, FOLDS)
    balance = balance_table(folds, table)
    print(balance.to_string())
    for note in [*notes, *duplicate_notes(table), *balance_notes(balance)]:
        print(f"note: {note}")
    print(f"{args.out}: {len(folds)} images in {args.folds} folds, no patient crosses")
    return 0
