"""Each system's own lung segmenter, trained on the input's mask sets, and its masks of a task's pictures."""

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cxr.data.tasks import Task
from cxr.faults import DataFault
from cxr.papers.registry import System
from cxr.prediction.segment import LungSegmenter
from cxr.provenance import data_digest
from cxr.training.pictures import Config
from cxr.training.segmentation import learn_lungs
from cxr.workspace import Workspace, file_digests, write_json

CHUNK = 64  # pictures at a time


def with_lungs(workspace: Workspace, system: System, c: Config, task: Task) -> Task:
    """The task with the lungs that the system's segmenter finds; those that it does not believe are said.

    Where the paper rejects such pictures (`reject`) they are left out of its own task; of the competition's task every
    picture must be predicted, and it is seen whole. Raises DataFault where no segmenter can be trained.
    """
    place = segmenter_of(workspace, system, c)
    packed = masks_of(workspace, place, task)
    side = task.pictures.side
    reasons = [system.rejected(np.unpackbits(mask, axis=1, count=side).astype(bool)) for mask in packed]
    believed = np.array([not reason for reason in reasons], bool)
    task = task._replace(pictures=task.pictures.with_lungs(packed, believed))
    if believed.all():
        return task
    first = int(np.flatnonzero(~believed)[0])
    leaves = c.reject and "study_id" not in task.pictures.images
    print(
        f"note: {system.NAME}, task {task.name}: lungs of {(~believed).sum()} of {len(believed)} pictures are not "
        f"believed ({task.pictures.ids[first]}: {reasons[first]}); they are "
        f"{'left out, as the paper does' if leaves else 'seen whole'}"
    )
    if not leaves:
        return task
    return task._replace(usable=task.usable & believed, fold=np.where(believed, task.fold, -1))


def segmenter_of(workspace: Workspace, system: System, c: Config) -> Path:
    """The run folder of a system's segmenter, trained if it is not yet."""
    settings, place = system.lung_settings(c), segmenter_place(workspace, system, c)
    found = learn_lungs(workspace, settings, place)
    if isinstance(found, str):
        joint = f", {system.NAME}.lungs_structures=no" if settings.structures else ""
        raise DataFault(
            f"{system.NAME}: {found}; put lung masks into the input, or take {system.NAME}.lungs=whole{joint}"
        )
    return place


def segmenter_place(workspace: Workspace, system: System, c: Config) -> Path:
    """Where that run folder is, trained or not."""
    return workspace.places.system_lungs(f"{system.NAME}_{system.lung_settings(c).network}")


def masks_of(workspace: Workspace, place: Path, task: Task) -> np.ndarray:
    """Masks of all pictures of a task, `np.packbits` of bool [N x S x S] along rows; kept for the next time."""
    path = workspace.places.task_cache(f"{task.name}_{place.name}")
    weights, note = file_digests([place / "weights.pt"]), path.with_suffix(".json")
    wanted = {
        "weights": weights,
        "pictures": data_digest(task.pictures.ids, len(task.pictures.pixels), task.pictures.side),
    }
    if path.is_file() and note.is_file() and json.loads(note.read_text()) == wanted:
        return np.load(path)
    segmenter, pixels, found = LungSegmenter(place), task.pictures.pixels, []
    for start in tqdm(range(0, len(pixels), CHUNK), desc=f"lungs of {task.name}", unit=f"{CHUNK} pictures"):
        found.append(np.packbits(segmenter.predict(np.asarray(pixels[start : start + CHUNK])), axis=2))
    note.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = np.concatenate(found)
    np.save(path, masks)
    write_json(wanted, note)
    return masks
