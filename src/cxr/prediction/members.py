"""Foreign members: predictions of a model from anywhere, as one CSV in `input/members`, that join fusion and blending.

A file is one of our tables: boxes, study scores or image scores. It holds out-of-fold rows about the training images,
from which its weight is tuned, and rows about the test images, which that weight is used for.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.boxes import area_xyxy
from cxr.data.external import REPEATING
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS, BOXES, IMAGE_SCORES, STUDY_SCORES, Contract, check_table, read_csv

BOX_MEMBER, STUDY_MEMBER, IMAGE_MEMBER = "boxes", "studies", "images"
CONTRACTS = {BOX_MEMBER: BOXES, IMAGE_MEMBER: IMAGE_SCORES, STUDY_MEMBER: STUDY_SCORES}
TOLERANCE = 1.0  # px over the border that count as rounding


@dataclass(frozen=True)
class Member:
    """One foreign model's predictions, checked against the training images."""

    name: str
    kind: str  # BOX_MEMBER, STUDY_MEMBER or IMAGE_MEMBER
    table: pd.DataFrame  # all rows of the file: training and test
    named: float  # share of the training images (studies) that it has rows about
    sources: tuple[str, ...] | None  # what it was trained on; None: not declared
    notes: tuple[str, ...]  # what the user should know, one line each

    @property
    def is_detector(self) -> bool:
        return self.kind == BOX_MEMBER

    @property
    def key(self) -> str:
        return "study_id" if self.kind == STUDY_MEMBER else "image_id"

    def on(self, images: pd.DataFrame) -> pd.DataFrame:
        """Its rows about these images (image_id, study_id, height, width), boxes clipped to them: for `combine`."""
        table = self.table[self.table[self.key].isin(images[self.key])].reset_index(drop=True)
        return _clip(table, images)[0] if self.is_detector else table


def read_members(folder: Path, images: pd.DataFrame, taken: Collection[str] = ()) -> list[Member]:
    """Every CSV of the folder as a member, by name; none if there is no folder.

    images: the training images (image_id, study_id, height, width); taken: names that our own models have. Raises
    DataFault for a broken file, for rows that cannot be tuned out of fold, and for a forbidden training source: whoever
    put a member there must take it out knowingly.
    """
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.suffix == ".csv" and not path.name.startswith("."))
    names = [path.stem for path in files]
    alone = sorted(p for p in folder.glob("*.json") if p.stem not in names and not p.name.startswith("."))
    if alone:
        raise DataFault(f"{alone[0]}: names the sources of a member, but {alone[0].stem}.csv is not beside it; add it")
    for path in files:
        if path.stem in taken:
            raise DataFault(f"{path}: {path.stem} is the name of one of our own models; give the file another name")
    return [_read_member(path, images) for path in files]


def uncovered(members: Iterable[Member], images: pd.DataFrame) -> list[str]:
    """Why members cannot join on these images (image_id, study_id), one line a member; empty if all can.

    Class members need a row for each. An image without boxes has no row in a box member, so that one counts as absent
    when it names the images less than half as often as it names training images.
    """
    lines = []
    for member in members:
        wanted = images[member.key].drop_duplicates()
        missing = wanted[~wanted.isin(member.table[member.key])]
        allowed = 1 - 0.5 * member.named if member.is_detector else 0.0
        if len(missing) > allowed * len(wanted):
            lines.append(
                f"member {member.name} has no row for {len(missing)} of {len(wanted)} {member.key}s, "
                f"the first is {missing.iloc[0]}"
            )
    return lines


def refuse_sources(owner: str | Path, sources: Iterable[str], remedy: str) -> None:
    """Raise DataFault when a training source holds pictures of the test set; file names count too."""
    for source in sources:
        found = [name for name in REPEATING if name in str(source).lower()]
        if found:
            raise DataFault(
                f"{owner}: trained on {source!r}, and {found[0].upper()} repeats pictures of the test set; {remedy}"
            )


def _read_member(path: Path, images: pd.DataFrame) -> Member:
    sources = _read_sources(path.with_suffix(".json"))
    refuse_sources(path, sources or (), "take the member out of the folder")
    table = read_csv(path)
    kind = _kind(path, table)
    table = check_table(table, CONTRACTS[kind], path)[CONTRACTS[kind].columns]
    key = "study_id" if kind == STUDY_MEMBER else "image_id"
    wanted = images[key].drop_duplicates()
    missing = wanted[~wanted.isin(table[key])]
    _check_training_rows(path, kind, key, table, wanted, missing)
    notes = [] if sources is not None else [f"member {path.stem}: training sources not declared; it joins on trust"]
    if kind == BOX_MEMBER:
        check_boxes(path, table)
        training = table[table["image_id"].isin(wanted)]
        clipped, changed = _clip(training, images)
        if changed or len(clipped) < len(training):
            notes.append(
                f"member {path.stem}: of {len(training)} boxes on training images {changed} reached over the border "
                f"and were clipped, {len(training) - len(clipped)} lay outside or were empty and were dropped"
            )
    return Member(path.stem, kind, table, 1 - len(missing) / len(wanted), sources, tuple(notes))


def _kind(path: Path, table: pd.DataFrame) -> str:
    """Which of our tables the columns make it."""
    for kind, contract in CONTRACTS.items():
        if set(_telling(contract)) <= set(table.columns):
            return kind
    raise DataFault(
        f"{path}: columns {', '.join(table.columns)} are no member's; give {', '.join(BOXES.columns)}, or image_id or "
        f"study_id with {', '.join(STUDY_CLASSES)}"
    )


def _telling(contract: Contract) -> list[str]:
    """Columns that decide the kind; a box table without `label` is one, and is told what it lacks."""
    return [name for name in contract.columns if name != "label"]


def _check_training_rows(
    path: Path, kind: str, key: str, table: pd.DataFrame, wanted: pd.Series, missing: pd.Series
) -> None:
    if len(missing) == len(wanted):
        hint = "; ids carry no _image or _study here" if table[key].str.endswith(("_image", "_study")).any() else ""
        raise DataFault(
            f"{path}: no row about any of {len(wanted)} training {key}s, so it cannot be tuned out of fold; "
            f"add its out-of-fold predictions{hint}"
        )
    if kind != BOX_MEMBER and len(missing):
        raise DataFault(
            f"{path}: no row for {len(missing)} of {len(wanted)} training {key}s, the first is {missing.iloc[0]}; "
            "add its out-of-fold predictions"
        )


def check_boxes(path: Path, table: pd.DataFrame) -> None:
    """Raise DataFault unless a BOXES table holds opacities, as corners in pixels. An empty one does."""
    if table.empty:
        return
    labels = table["label"].unique()
    if list(labels) != ["opacity"]:
        raise DataFault(
            f"{path}: label {next(n for n in labels if n != 'opacity')!r}; only opacity has boxes, name it so"
        )
    corners = table[BOX_COLUMNS].to_numpy(float)
    inverted = np.flatnonzero((corners[:, 2:] < corners[:, :2]).any(axis=1))
    if len(inverted):
        raise DataFault(
            f"{path}: the box of row {inverted[0] + 1} ends before it begins ({len(inverted)} such rows); "
            "give corners x_min, y_min, x_max, y_max, not width and height"
        )
    if corners.max() <= 1:
        raise DataFault(f"{path}: all coordinates lie in 0..1; give pixels of the original image")


def _clip(table: pd.DataFrame, images: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Boxes cut at the border of their images; those that lie outside are dropped. Also how many were clipped."""
    sizes = images.drop_duplicates("image_id").set_index("image_id").loc[table["image_id"]]
    before = table[BOX_COLUMNS].to_numpy(float)
    after = np.clip(before, 0, sizes[["width", "height", "width", "height"]].to_numpy(float))
    inside = area_xyxy(after) > 0
    changed = int((inside & (np.abs(after - before).max(axis=1, initial=0) > TOLERANCE)).sum())
    table = table.copy()
    table[BOX_COLUMNS] = after
    return table[inside].reset_index(drop=True), changed


def _read_sources(path: Path) -> tuple[str, ...] | None:
    """`training_sources` of the JSON beside a member; None without the file."""
    if not path.is_file():
        return None
    try:
        sources = json.loads(path.read_text())["training_sources"]
    except (ValueError, KeyError, TypeError):
        sources = None
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise DataFault(f'{path}: not of the form {{"training_sources": ["NIH ChestX-ray14", ...]}}; write it so')
    return tuple(sources)
