"""Which images must stay together: of one patient, of one study, of the same picture under another name.

Exact copies are found by the hash of their pixels. Near copies come in as `pairs` of image ids, so that whoever finds
them (candidates by perceptual hash, confirmed by correlation) only has to list them.
"""

from collections.abc import Hashable, Iterable

import pandas as pd

Pairs = Iterable[tuple[str, str]]  # image ids of the same picture
MOST_PATIENTS = 3  # the same picture under more patients than this points to a fault, not to copies


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


def duplicate_notes(table: pd.DataFrame, pairs: Pairs = ()) -> list[str]:
    """What a person should know about copies: how many, the largest group, and any with suspiciously many patients."""
    copies = same_picture_groups(table, pairs)
    if not copies:
        return []
    patients = table.set_index("image_id")["patient_id"]
    counts = [patients.reindex(group).nunique() for group in copies]
    shared = sum(count > 1 for count in counts)
    notes = [
        f"{len(copies)} picture(s) stand under several image ids, {shared} of them under several patients; "
        f"the largest group has {max(map(len, copies))} images"
    ]
    notes += [
        f"picture of {group[0]} stands under {count} patients, more than {MOST_PATIENTS}: check that these are "
        f"copies and not a fault of the pixels ({', '.join(group[:3])}, ...)"
        for group, count in zip(copies, counts, strict=True)
        if count > MOST_PATIENTS
    ]
    return notes
