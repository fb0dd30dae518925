"""Which images must stay together: of one patient, of one study, of the same picture under another name.

Exact copies are found by the hash of their pixels. Near copies come from `near_duplicates`, or as `pairs` of image ids
from anywhere.
"""

from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd

from cxr.data.near_duplicates import near_copies
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES

Pairs = Iterable[tuple[str, str]]  # image ids of the same picture
MOST_PATIENTS = 3  # joined by pictures: more points to a fault, not to copies
EXACT = "pixel_hash"
COLUMNS = (
    "image_id", "other_id", "patient_id", "other_patient_id", "same_patient", "how", "hamming", "correlation",
    "conflict",
)  # fmt: skip


class Groups:
    """Union-find with path halving: `join` items, then `root` names the component of one."""

    def __init__(self) -> None:
        self.parent: dict[Hashable, Hashable] = {}

    def root(self, item: Hashable) -> Hashable:
        parent = self.parent
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(self, one: Hashable, other: Hashable) -> None:
        self.parent[self.root(one)] = self.root(other)


def exact_pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of image ids with one `pixel_hash`, each copy with the first of its kind; none without that column."""
    if "pixel_hash" not in table.columns:
        return []
    hashed = table.loc[table["pixel_hash"].notna(), ["image_id", "pixel_hash"]].sort_values("image_id")
    first = hashed.groupby("pixel_hash")["image_id"].transform("first")
    return [pair for pair in zip(first, hashed["image_id"], strict=True) if pair[0] != pair[1]]


def same_picture_groups(table: pd.DataFrame, pairs: Pairs = ()) -> list[list[str]]:
    """Sets of image ids that show one picture: exact copies and `pairs`, sorted; single images are left out."""
    groups, found = Groups(), {}
    for one, other in [*exact_pairs(table), *pairs]:
        groups.join(one, other)
    for image_id in sorted(groups.parent):
        found.setdefault(groups.root(image_id), []).append(image_id)
    return sorted(found.values())


def group_images(table: pd.DataFrame, pairs: Pairs = ()) -> pd.Series:
    """The group of every row: connected components over patients, studies and pictures.

    A group is named by its smallest patient_id, so the name depends neither on row order nor on the way of linking.
    """
    groups = Groups()
    for row in table[["image_id", "study_id", "patient_id"]].itertuples(index=False):
        groups.join(("image", row.image_id), ("patient", row.patient_id))
        groups.join(("study", row.study_id), ("patient", row.patient_id))
    for one, other in [*exact_pairs(table), *pairs]:
        groups.join(("image", one), ("image", other))
    roots = pd.Series([str(groups.root(("image", image_id))) for image_id in table["image_id"]], index=table.index)
    return table.groupby(roots)["patient_id"].transform("min")


def refuse_large_groups(table: pd.DataFrame, pairs: Pairs = (), most: int = MOST_PATIENTS) -> None:
    """Raise DataFault naming a group that pictures join over more than `most` patients."""
    links, patient_of = [*exact_pairs(table), *pairs], dict(zip(table["image_id"], table["patient_id"], strict=True))
    groups, members = Groups(), {}
    for one, other in links:
        groups.join(patient_of[one], patient_of[other])
    for patient in sorted(groups.parent):
        members.setdefault(groups.root(patient), []).append(patient)
    largest = max(members.values(), key=len, default=[])
    if len(largest) > most:
        shown = [f"{one} = {other}" for one, other in links if patient_of[one] in largest]
        raise DataFault(
            f"pictures join {len(largest)} patients to one group ({', '.join(largest[:5])}"
            f"{', ...' if len(largest) > 5 else ''}), more than {most}, which looks like a fault and not like copies; "
            f"look at these pairs of images: {', '.join(shown[:3])}{', ...' if len(shown) > 3 else ''}; where they "
            "differ correct the files or their conversion; where they are one picture leave one in the input or "
            "allow more (folds.most_patients)"
        )


def find_duplicates(images: pd.DataFrame, thumbnails: np.ndarray) -> pd.DataFrame:
    """Pairs of images that show one picture, exact copies and near ones (COLUMNS), sorted by image id.

    images: image_id, patient_id, study_id, pixel_hash, and for `conflict` the four classes, has_box and role; rows as
    in `thumbnails` uint8 [N x 64 x 64]. how: `pixel_hash`, `as it is` or `registered`; hamming in bits of 64;
    correlation at 64 px; conflict: `class`, `boxes` or both, where the labels of the two images contradict each other.
    Of exact copies only the first is compared with other pictures.
    """
    exact = exact_pairs(images)
    rows = np.flatnonzero(~images["image_id"].isin([copy for _, copy in exact]))
    near = near_copies(thumbnails[rows])
    ids = images["image_id"].to_numpy()[rows]
    found = [(one, other, EXACT, 0, 1.0) for one, other in exact]
    found += [
        (*sorted((ids[pair.row], ids[pair.other])), pair.how, pair.hamming, pair.correlation)
        for pair in near.itertuples()
    ]
    table = pd.DataFrame(found, columns=["image_id", "other_id", "how", "hamming", "correlation"])
    one, other = (images.set_index("image_id").reindex(table[name]) for name in ("image_id", "other_id"))
    table["patient_id"], table["other_patient_id"] = one["patient_id"].to_numpy(), other["patient_id"].to_numpy()
    table["same_patient"] = (table["patient_id"] == table["other_patient_id"]).astype(int)
    table["conflict"] = _conflicts(one, other)
    return table[list(COLUMNS)].sort_values(["image_id", "other_id"], ignore_index=True)


def _conflicts(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """What two labels of one picture disagree about. A boxless duplicate that leaves training contradicts nothing."""
    if not set(STUDY_CLASSES) <= set(one.columns):
        return [""] * len(one)
    classes = (one[list(STUDY_CLASSES)].to_numpy() != other[list(STUDY_CLASSES)].to_numpy()).any(axis=1)
    boxes = one["has_box"].to_numpy().astype(bool) != other["has_box"].to_numpy().astype(bool)
    for images in (one, other):
        if "role" in images.columns:
            boxes &= images["role"].to_numpy() == "train"
    words = zip(np.where(classes, "class", ""), np.where(boxes, "boxes", ""), strict=True)
    return [" and ".join(filter(None, pair)) for pair in words]


def as_pairs(duplicates: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of image ids of a table of duplicates."""
    return list(zip(duplicates["image_id"], duplicates["other_id"], strict=True))


def duplicate_notes(table: pd.DataFrame, pairs: Pairs = ()) -> list[str]:
    """What a person should know about copies: how many, and the largest group."""
    copies = same_picture_groups(table, pairs)
    if not copies:
        return []
    patients = table.set_index("image_id")["patient_id"]
    counts = [patients.reindex(group).nunique() for group in copies]
    largest = max(range(len(copies)), key=lambda index: len(copies[index]))
    return [
        f"{len(copies)} picture(s) stand under several image ids, {sum(count > 1 for count in counts)} of them under "
        f"several patients; the largest group has {len(copies[largest])} images of {counts[largest]} patient(s)"
    ]


def conflict_notes(duplicates: pd.DataFrame) -> list[str]:
    """Copies whose labels contradict each other: both stay in training, a person may want to know which."""
    wrong = duplicates[duplicates["conflict"] != ""]
    if wrong.empty:
        return []
    first = wrong.iloc[0]
    return [
        f"{len(wrong)} pair(s) of copies have labels that contradict each other, the first: {first['image_id']} and "
        f"{first['other_id']} ({first['conflict']})"
    ]
