"""Whether the disk has room for what a run will write, before it begins."""

import shutil
from pathlib import Path

from cxr.data.counts import companion_labels
from cxr.data.mask_sets.sets import MASK_SETS
from cxr.footprint.counts import Counts
from cxr.footprint.on_disk import bytes_by_stage, disk, peak_bytes
from cxr.paths import on_kaggle
from cxr.profiles import PROFILES, Profile
from cxr.workspace import Workspace

KAGGLE_DISK = 20e9  # bytes that a session keeps of /kaggle/working
USUAL, LARGEST = 0.5e9, 2.6e9  # bytes of weights: more than any network that a profile names; than any there is
SMALLER = 256  # px, a cache size to fall back to


def disk_notes(workspace: Workspace) -> list[str]:
    """A line for stage 00 where the disk has less room than the run will need at its height; none otherwise.

    What an earlier run of this profile left counts as room: it is written over or kept.
    """
    places, profile, counts = workspace.places, workspace.profile, counts_of(workspace)
    taken = sum(_size(folder) for folder in (places.root, *([places.images] if profile.images.png else [])))
    room = _free(places.working) + taken
    room = min(room, KAGGLE_DISK) if on_kaggle() else room
    # most machines have room for larger networks than these: then none need be built, which takes ten seconds
    weights = USUAL if _networks(profile) <= set().union(*map(_networks, PROFILES.values())) else LARGEST
    if peak_bytes(disk(profile, counts, lambda _: weights)) <= room:
        return []
    stages = bytes_by_stage(disk(profile, counts))
    need, stage = int(stages.max()), stages.idxmax()
    if need <= room:
        return []
    savings = {"images.png=no": profile.images.png, "images.keep_caches=no": profile.images.keep_caches}
    ways = " ".join(words for words, helps in savings.items() if helps) or f"images.cache_size={SMALLER}"
    return [
        f"{places.working}: {room / 1e9:.1f} GB of room, but in stage {stage} this run will hold {need / 1e9:.1f} GB; "
        f'make space, or give SET="{ways}" (python -m cxr footprint --profile {profile.name} shows what takes it)'
    ]


def counts_of(workspace: Workspace) -> Counts:
    """Pictures in the input, as stage 00 found it; of NIH and RSNA by their label files."""
    found, usual = workspace.inputs, Counts()
    others, _ = companion_labels(workspace)
    nih, rsna = others.get("NIH"), others.get("RSNA")
    return usual._replace(
        train=found["train_images"],
        test=found["test_images"],
        nih=0 if nih is None else int((nih["part"] == "train_val").sum()),
        nih_test=0 if nih is None else int((nih["part"] == "test").sum()),
        rsna=0 if rsna is None else len(rsna),
        rsna_boxed=0 if rsna is None else int((rsna["has_box"] == 1).sum()),
        lungs=usual.lungs if any(map(workspace.companion, MASK_SETS)) else 0,
    )


def _networks(profile: Profile) -> set[str]:
    return {profile.nih.network, profile.faster_rcnn.network, profile.study.network, profile.yolo.model}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
