"""Tasks for the papers' systems: their own, from collections, and the competition's classes on the spine's folds."""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.collections.adapters import Place
from cxr.data.collections.collect import Wanted, collect
from cxr.data.collections.contract import read_collection, write_collection
from cxr.data.collections.copies import convert_any
from cxr.data.collections.label_maps import LABEL_MAPS
from cxr.data.pictures import cache_pictures
from cxr.data.prepare import load_training
from cxr.data.tasks import OWN_CLASSES, STUDIES, Pictures, Task, make_task
from cxr.faults import DataFault
from cxr.images.pool import worker_count
from cxr.labels import STUDY_CLASSES
from cxr.phantom.collection import make_collection
from cxr.stamps import modules_digest
from cxr.training.start import SIIM, source_name
from cxr.workspace import Workspace

PHANTOM_SOURCE = "phantom collection"


def study_task(workspace: Workspace) -> Task:
    """The competition's four classes on the spine's folds: all training images are tested, those of role `train` are
    learned from."""
    images, _, pixels = load_training(workspace)
    targets = images[list(STUDY_CLASSES)].to_numpy(float).argmax(1)
    pictures = Pictures(images[["image_id", "patient_id", "height", "width", "study_id"]], targets, pixels)
    nothing = np.zeros(len(images), bool)
    usable = (images["role"] == "train").to_numpy()
    sources = (source_name(workspace, SIIM),)
    return Task(STUDIES, STUDY_CLASSES, pictures, images["fold"].to_numpy(int), nothing, usable, sources)


def own_task(workspace: Workspace, name: str, folds: int = 1, children: bool = False) -> Task:
    """A paper's own task from `input/collections/<name>.csv`, a table of `cxr collect`, or from the phantom's
    collection where there is none, which is said.

    children: with the phantom's children, which all other tasks leave out (paper 001, table 1). Raises DataFault for a
    table that lacks a class or holds others, and where none of its pictures can be read.
    """
    table, is_phantom = collection_of(workspace, name, children)
    classes = OWN_CLASSES[name]
    strange = sorted(set(table["label"]) - set(classes))
    if strange:
        raise DataFault(
            f"{name}: the collection has the class {strange[0]}, the task knows {', '.join(classes)}; make it with "
            f"`cxr collect --label-map {name}`"
        )
    kept, pixels = _read_pictures(workspace, f"{name}_children" if children else name, table)
    sources = [f"phantom of {source}" if is_phantom else source for source in sorted(set(kept["source"]))]
    seed = workspace.profile.collections.seed
    return make_task(name, classes, kept, pixels, sources, folds, seed)


def collection_of(workspace: Workspace, name: str, children: bool = False) -> tuple[pd.DataFrame, bool]:
    """Rows of a task's collection, and whether it is the phantom's."""
    if name not in OWN_CLASSES:
        raise DataFault(f"{name}: no such task; choose one of {', '.join(OWN_CLASSES)}")
    own = workspace.places.collections / f"{name}.csv"
    if own.is_file() and not children:
        print(f"{own}: {name} classes")
        return read_collection_with_split(own), False
    found = phantom_collection(workspace, name, children)
    print(f"PHANTOM collection for task {name}: put {own} there to learn from pictures of patients")
    return found, True


def read_collection_with_split(path: Path) -> pd.DataFrame:
    """A collection as text has it, `group` filled up from the patients."""
    table = read_collection(path)
    return table if "group" in table else table.assign(group=table["patient_id"])


def phantom_collection(workspace: Workspace, name: str, children: bool) -> pd.DataFrame:
    """The phantom's collection by a label map, made where it is not there yet."""
    settings, root = workspace.profile.collections, workspace.places.phantom_collections
    code = modules_digest("cxr.phantom.collection")[:8]
    source = root / f"ieee8023_{settings.pictures}_{settings.seed}_{code}"
    if not (source / "metadata.csv").is_file():
        make_collection(source, settings.pictures, settings.seed)
    path = source / f"{name}{'_children' if children else ''}{settings.split.replace(',', '_')}.csv"
    if not path.is_file():
        shares = tuple(float(share) for share in settings.split.split(","))
        if len(shares) != 3 or abs(sum(shares) - 1) > 1e-6:
            raise DataFault(f"collections.split={settings.split}: three shares that sum to 1 are needed, as .7,.1,.2")
        wanted = Wanted(frontal=True, adults=not children, label_map=LABEL_MAPS[name], split=shares)
        found = collect([Place("ieee8023", source)], wanted, source / f"{name}.thumbnails.npy", worker_count())
        write_collection(found.table.assign(source=PHANTOM_SOURCE), path)
    return read_collection_with_split(path)


def _read_pictures(workspace: Workspace, name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows whose pictures can be read, with height and width, and their cache uint8 [N x S x S]."""
    size = workspace.profile.images.cache_size
    cache = workspace.places.task_cache(f"{name}_{size}")
    files, ids = [Path(path) for path in table["path"]], list(table["image_id"])
    read, failures = cache_pictures(files, ids, size, cache, worker_count(), convert_any)
    if len(failures):
        print(f"note: {name}: {len(failures)} picture(s) left out, the first: {failures['reason'].iloc[0]}")
    if read.empty:
        raise DataFault(f"{name}: none of {len(table)} pictures can be read; the first: {failures['reason'].iloc[0]}")
    rows = read[["image_id", "height", "width"]].merge(table, on="image_id", how="left", validate="one_to_one")
    return rows, np.load(cache, mmap_mode="r")


def describe(task: Task) -> pd.DataFrame:
    """Pictures by class and fold, -1 for those that are never tested."""
    names = [task.classes[number] for number in task.pictures.targets]
    part = np.where(task.validation, "validation", [f"fold {fold}" if fold >= 0 else "train" for fold in task.fold])
    return pd.crosstab(pd.Series(names, name="class"), pd.Series(part, name="part")).reindex(list(task.classes))
