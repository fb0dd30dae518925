"""A classification task as the papers' systems take it: pictures with lungs, a class each, folds. Where the pictures
come from is left to who makes it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from cxr.data.draw import hold_out
from cxr.faults import DataFault

VALIDATED = 0.1  # of the patients to learn from (paper 002: .1; papers 000 and 003 have a part of their own too)
STUDIES = "studies"  # the name of the competition's task
OWN_CLASSES = {  # of the label maps of `cxr collect`; with two classes the second is what is looked for
    "two": ("normal", "covid"),
    "three": ("normal", "pneumonia", "covid"),
    "four": ("normal", "bacterial", "tuberculosis", "viral"),
}


class Pictures:
    """Some pictures of a task, read when they are asked for.

    images: image_id, patient_id, height, width, a row each; targets: int [N], class numbers; pixels: uint8
    [M x S x S]; masks: of lungs, `np.packbits` of bool [M x S x S] along rows, None without any; believed: bool [M];
    rows: int [N], of pixels and masks.
    """

    def __init__(
        self,
        images: pd.DataFrame,
        targets: np.ndarray,
        pixels: np.ndarray,
        masks: np.ndarray | None = None,
        believed: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ):
        self.images, self.targets = images.reset_index(drop=True), np.asarray(targets, int)
        self.pixels, self.masks, self.believed = pixels, masks, believed
        self.rows = np.arange(len(images)) if rows is None else np.asarray(rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> list[str]:
        return list(self.images["image_id"])

    @property
    def side(self) -> int:
        """S, px."""
        return self.pixels.shape[-1]

    @property
    def known_lungs(self) -> np.ndarray:
        """Whether a picture's lung mask is believed, bool [N]."""
        return np.zeros(len(self), bool) if self.believed is None else self.believed[self.rows]

    def picture(self, index: int) -> np.ndarray:
        """uint8 [S x S]."""
        return np.asarray(self.pixels[self.rows[index]])

    def mask(self, index: int) -> np.ndarray | None:
        """Lungs, bool [S x S]; None where there is no mask that is believed."""
        if self.masks is None or not self.believed[self.rows[index]]:
            return None
        return np.unpackbits(self.masks[self.rows[index]], axis=1, count=self.side).astype(bool)

    def take(self, chosen: np.ndarray) -> "Pictures":
        """Some of them, by a bool or index array."""
        chosen = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen, int)
        images = self.images.iloc[chosen]
        return Pictures(images, self.targets[chosen], self.pixels, self.masks, self.believed, self.rows[chosen])

    def with_lungs(self, masks: np.ndarray, believed: np.ndarray) -> "Pictures":
        """The same pictures with masks of all rows of `pixels`."""
        return Pictures(self.images, self.targets, self.pixels, masks, believed, self.rows)

    def relabelled(self, targets: np.ndarray) -> "Pictures":
        """The same pictures with other classes."""
        return Pictures(self.images, targets, self.pixels, self.masks, self.believed, self.rows)


class Task(NamedTuple):
    """Pictures to be classified, and which of them are learned from when."""

    name: str
    classes: tuple[str, ...]
    pictures: Pictures
    fold: np.ndarray  # int [N], in which a picture is tested; -1: in none
    validation: np.ndarray  # bool [N]: shows when to stop, where the data has a part for that; else all False
    usable: np.ndarray  # bool [N]: may be learned from
    sources: tuple[str, ...]  # names of data sets, for records

    @property
    def folds(self) -> list[int]:
        return sorted(set(self.fold.tolist()) - {-1})

    def parts(self, fold: int) -> tuple[Pictures, Pictures, Pictures]:
        """Pictures to learn from, to validate on and to test. Without a part for validation a tenth of the patients to
        learn from is set aside. A class that no picture to learn from has is said."""
        tested = self.fold == fold
        learned = self.usable & ~tested & ~self.validation
        aside = self.validation & ~tested
        if not aside.any():
            patients = self.pictures.images["patient_id"].to_numpy()
            aside = learned & _even_hold_out(patients, self.pictures.targets, learned)
            learned = learned & ~aside
        training = self.pictures.take(learned)
        missing = [name for number, name in enumerate(self.classes) if not (training.targets == number).any()]
        if missing:
            print(
                f"note: task {self.name}, fold {fold}: none of {len(training)} pictures to learn from is "
                f"{', '.join(missing)}, so nothing can be learned of that"
            )
        return training, self.pictures.take(aside), self.pictures.take(tested)


def _even_hold_out(patients: np.ndarray, targets: np.ndarray, among: np.ndarray) -> np.ndarray:
    """About a tenth of the patients of each class, at least one of a class that three have; bool [N]."""
    chosen = np.zeros(len(patients), bool)
    for number in np.unique(targets[among]):
        rows = np.flatnonzero(among & (targets == number))
        if len(set(patients[rows])) >= 3:
            chosen[rows] = hold_out(pd.Series(patients[rows]), VALIDATED)
    # a patient of two classes goes whole
    return np.isin(patients, patients[chosen]) if chosen.any() else hold_out(pd.Series(patients), VALIDATED)


def make_task(
    name: str,
    classes: Sequence[str],
    table: pd.DataFrame,
    pixels: np.ndarray,
    sources: Sequence[str],
    folds: int = 1,
    seed: int = 0,
) -> Task:
    """A paper's own task from rows of a collection.

    table: image_id, label, patient_id, group, height, width, maybe split; row i is row i of pixels. folds: 1 takes the
    table's split (train, validation, test); more are drawn by patients, each class evenly. Raises DataFault for a class
    without pictures and for fewer patients of a class than folds.
    """
    numbers = {label: number for number, label in enumerate(classes)}
    targets = table["label"].map(numbers)
    counts = table.drop_duplicates(["group", "label"])["label"].value_counts().reindex(list(classes), fill_value=0)
    least = max(folds, 2)
    if counts.min() < least:
        found = ", ".join(f"{label} {count}" for label, count in counts.items())
        raise DataFault(
            f"task {name}: {counts.min()} patients are {counts.idxmin()}, at least {least} are needed for {folds} "
            f"fold(s); found {found}; add pictures of that class"
        )
    validation = np.zeros(len(table), bool)
    if folds == 1:
        if "split" not in table:
            raise DataFault(f"task {name}: the collection has no split; make it again with `--split .7 .1 .2`")
        fold = np.where(table["split"] == "test", 0, -1)
        validation = (table["split"] == "validation").to_numpy()
    else:
        # whole groups, by the label of their first picture: few have several
        first = table.drop_duplicates("group")
        splitter, of = StratifiedKFold(folds, shuffle=True, random_state=seed), {}
        for number, (_, tested) in enumerate(splitter.split(first, first["label"])):
            of |= dict.fromkeys(first["group"].iloc[tested], number)
        fold = table["group"].map(of).to_numpy(int)
    images = table[["image_id", "patient_id", "height", "width", *_others(table)]]
    pictures = Pictures(images, targets.to_numpy(), pixels)
    return Task(name, tuple(classes), pictures, fold, validation, np.ones(len(table), bool), tuple(sources))


def _others(table: pd.DataFrame) -> list[str]:
    return [name for name in ("label", "age", "view", "source", "group") if name in table]


def share_of_patients(task: Task, share: float) -> Task:
    """The same task with only a share of its patients to learn from (paper 002, figure 12), each class evenly."""
    patients, keep = task.pictures.images["patient_id"].to_numpy(), np.zeros(len(task.fold), bool)
    for number in range(len(task.classes)):
        rows = np.flatnonzero(task.pictures.targets == number)
        keep[rows] = hold_out(pd.Series(patients[rows]), share) if len(rows) else False
    return task._replace(usable=task.usable & keep)


def changed_pictures(task: Task, change: Callable[[np.ndarray], np.ndarray]) -> Task:
    """The same task with every picture changed, uint8 [S x S] to the same (text removed, one histogram)."""
    p = task.pictures
    pixels = np.stack([change(np.asarray(picture)) for picture in p.pixels])
    return task._replace(pictures=Pictures(p.images, p.targets, pixels, p.masks, p.believed, p.rows))
