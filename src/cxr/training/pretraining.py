"""Stages 04 and 05: the shared backbone learns NIH findings, then the detectors learn RSNA opacities.

Where a data set is not in the input, the stage says so, leaves a record of it, and the run goes on without: what would
have started from here starts from a weight file or from random weights.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cxr.data.draw import draw_patients, hold_out
from cxr.data.external import refuse_repeats
from cxr.data.lung_views import WHOLE
from cxr.data.multilabel import multilabel_loader
from cxr.data.nih import FINDINGS, read_nih
from cxr.data.pictures import Rows, cache_pictures
from cxr.data.rsna import cache_rsna, read_rsna
from cxr.data.yolo_labels import write_yolo
from cxr.images.pool import worker_count
from cxr.images.resize import to_cache_size
from cxr.models.architectures import FASTER_RCNN
from cxr.models.backbones import load_backbone
from cxr.models.classifiers import MultiLabelNet
from cxr.profiles import FasterRcnn, Nih, more_detectors
from cxr.provenance import data_digest
from cxr.tables import write_csv
from cxr.training import code, ranks, yolo
from cxr.training.cross_validation import configuration, run_once
from cxr.training.detectors import train_detector
from cxr.training.fit import fit
from cxr.training.label_measures import LabelMeasures, score_classes
from cxr.training.losses import multilabel_losses
from cxr.training.recipe import Stage, recipe_of
from cxr.training.runs import leave_absent, load_state
from cxr.training.start import NIH, RSNA, Start, find_start, source_name
from cxr.workspace import Workspace

NIH_SLUG, RSNA_SLUG = "data", "rsna-pneumonia-detection-challenge"
NIH_NAME, RSNA_YOLO = "nih", "rsna_yolo"
OFFICIAL_TEST = "test"
HELD_OUT = 0.15  # of the patients, to see how a pretraining came out
FEWEST_IMAGES, FEWEST_BOXED = 8, 3  # of NIH and of RSNA: below, there is nothing to learn from and to hold out
OWN = "cxr.training.pretraining"  # shapes every training here


def rsna_name(detector: str) -> str:
    """What stage 05 calls its training of a detector."""
    return f"rsna_{detector}"


class Pictures(NamedTuple):
    """A companion data set that was read, less what the competition has too; `boxes` may be empty.

    pixels: uint8 [N x S x S], row i for row i of `images`; an array, or chosen rows of one that stays on disk.
    """

    images: pd.DataFrame
    boxes: pd.DataFrame
    pixels: np.ndarray | Rows
    held_out: np.ndarray  # bool [N]


def pretrain_nih(workspace: Workspace) -> Pictures | None:
    """Stage 04: a multi-label net on NIH ChestX-ray14, in `models/pretrain_nih`. None where that is not possible."""
    s, folder = workspace.profile.nih, workspace.places.pretrained(NIH_NAME)
    with ranks.first_ahead():
        data = load_nih(workspace) if s.use else "switched off by nih.use"
    if isinstance(data, str):
        return leave_absent(folder, data) if ranks.is_first() else None
    start = find_start(workspace, s.weights)
    digest = data_digest(data.images[["image_id", "pixel_hash", *FINDINGS]])
    config = configuration(s, start, digest, (OWN, "cxr.data.nih", *code.LABELS))
    sources = [*start.sources, source_name(workspace, NIH)]

    def train() -> tuple[dict[str, Tensor], dict]:
        with ranks.first_ahead():
            test = load_nih(workspace, OFFICIAL_TEST) if s.score_test else "switched off by nih.score_test"
        seconds = workspace.clock.share(workspace.profile.budget.nih_share)  # of what decoding has left
        print(f"NIH: {(~data.held_out).sum()} images, {start.words}", flush=True)
        return train_labels(s, data, None if isinstance(test, str) else test, start, folder, seconds)

    if not run_once(workspace, folder, config, start, sources, train):
        print("NIH: trained already, kept")
    _drop_cache(workspace, "nih", _seen_at(s))
    _drop_cache(workspace, "nih_test", _seen_at(s))
    return data


def _seen_at(s: Nih) -> int:
    """px of the cache: what the centre is cut out of."""
    return max(s.size, s.resize)


def _drop_cache(workspace: Workspace, name: str, size: int) -> None:
    """Remove the pictures of a finished pretraining where the profile keeps none: a gigabyte or more.

    Whoever has them open reads on: the disk gets its room back when this process ends. A stage that is run again makes
    them again, since it shows what the network says of them.
    """
    if not workspace.profile.images.keep_caches and ranks.is_first():
        cache = workspace.places.companion_cache(name, size)
        for path in (cache.with_suffix(".json"), cache):
            path.unlink(missing_ok=True)


def load_nih(workspace: Workspace, part: str = "train_val") -> Pictures | str:
    """Pictures of the official train_val part, or of the test part; or, in words, why there are none."""
    folder, s = workspace.companion(NIH_SLUG), workspace.profile.nih
    if folder is None:
        return f"no NIH ChestX-ray14 (folder {NIH_SLUG}/) in the input"
    table, findings = read_nih(folder)
    for line in findings if part != OFFICIAL_TEST else ():
        print(f"note: {line}")
    table = draw_patients(table[table["part"] == part], s.train_limit)
    name = "nih_test" if part == OFFICIAL_TEST else "nih"
    size, workers = _seen_at(s), worker_count(workspace.profile.images.workers)
    cache, files = workspace.places.companion_cache(name, size), [folder / path for path in table["path"]]
    read, failures = cache_pictures(files, list(table["image_id"]), size, cache, workers)
    _tell(failures)
    images = table.drop(columns=["path"]).merge(read, on="image_id", validate="one_to_one")
    # a source of its own: what was refused of one part must not take the place of what was refused of the other
    images, pixels = _without_repeats(workspace, NIH if part != OFFICIAL_TEST else f"{NIH}, test", images, cache)
    if len(images) < FEWEST_IMAGES or images["patient_id"].nunique() < 2:
        return f"{folder} has {len(images)} readable pictures in the {part} part, {FEWEST_IMAGES} are needed"
    return Pictures(images, pd.DataFrame(), pixels, hold_out(images["patient_id"], HELD_OUT))


def _without_repeats(
    workspace: Workspace, source: str, images: pd.DataFrame, cache: Path
) -> tuple[pd.DataFrame, np.ndarray | Rows]:
    """The images and pixels that the competition does not have; all of them mostly."""
    if images.empty:
        return images, np.empty((0, 1, 1), np.uint8)
    pixels = np.load(cache, mmap_mode="r")
    kept = refuse_repeats(workspace, source, images, pixels)
    return (images, pixels) if kept.all() else (images[kept].reset_index(drop=True), Rows(pixels, np.flatnonzero(kept)))


def train_labels(
    s: Nih, data: Pictures, test: Pictures | None, start: Start, folder: Path, seconds: float
) -> tuple[dict[str, Tensor], dict]:
    """Train the multi-label net of settings `s`; returns its state dict and what to record.

    Leaves `classes.csv`: AP and AUC of each finding on held-out patients of the train_val part and, with `test`, on the
    official test part.
    """
    torch.manual_seed(s.seed)
    network = MultiLabelNet(s.network, s.dropout, len(FINDINGS))
    if start.file:
        load_backbone(network.features, load_state(start.file), str(start.file))
    recipe = recipe_of(s, (Stage(s.epochs, s.lr_random if start.began_random else s.lr),), seconds)
    loaders = [_labels(s, data, rows, training) for training, rows in ((True, ~data.held_out), (False, data.held_out))]
    record = fit(network, multilabel_losses, *loaders, recipe, folder, [LabelMeasures()])
    parts = [("held-out patients", loaders[1])]
    parts += [("official test", _labels(s, test, np.ones(len(test.images), bool), False))] if test else []
    if ranks.is_first():
        write_csv(score_classes(network, parts, FINDINGS).round(4), folder / "classes.csv")
    return network.state_dict(), {**record, "images": len(data.images), "network": s.network}


def _labels(s: Nih, data: Pictures, chosen: np.ndarray, training: bool) -> DataLoader:
    rows = np.flatnonzero(chosen)
    return multilabel_loader(data.images.iloc[rows], data.pixels, FINDINGS, s, training, rows)


def pretrain_rsna(workspace: Workspace) -> Pictures | None:
    """Stage 05: each detector on RSNA boxes; leaves `models/pretrain_rsna_*`. None where that is not possible."""
    profile, places = workspace.profile, workspace.places
    with ranks.first_ahead():
        data = load_rsna(workspace) if profile.rsna.use else "switched off by rsna.use"
    s = replace(profile.faster_rcnn, epochs=profile.rsna.faster_rcnn_epochs, head_epochs=0, patience=0, lungs=WHOLE)
    begin = find_start(workspace, s.weights, NIH_NAME)
    plans: dict[str, tuple[object, Start, Callable, tuple[str, ...]]] = {
        RSNA_YOLO: (
            replace(profile.yolo, epochs=profile.rsna.yolo_epochs, lungs=WHOLE),
            find_start(workspace, profile.yolo.weights),
            _train_yolo,
            code.YOLO,
        )
    }
    for name in (FASTER_RCNN, *more_detectors(profile)):
        plans[rsna_name(name)] = (s, begin, partial(_train_detector, name), code.torchvision_code(name))
    for left, (name, (settings, start, train, modules)) in zip(range(len(plans), 0, -1), plans.items(), strict=True):
        folder = places.pretrained(name)
        reason = data if isinstance(data, str) else "" if settings.epochs else "the profile gives it no epochs"
        if reason:
            if ranks.is_first():
                leave_absent(folder, reason)
            continue
        digest = data_digest(data.images[["image_id", "has_box", "pixel_hash"]], data.boxes)
        config = configuration(settings, start, digest, (OWN, "cxr.data.rsna", *modules))
        seconds = workspace.clock.share(profile.budget.rsna_share, left)
        print(f"{name}: {(~data.held_out).sum()} images, {start.words}", flush=True)
        work = partial(train, workspace, data, settings, start, folder, seconds)
        if not run_once(workspace, folder, config, start, [*start.sources, source_name(workspace, RSNA)], work):
            print(f"{name}: trained already, kept")
    _drop_cache(workspace, "rsna", profile.images.cache_size)
    return None if isinstance(data, str) else data


def load_rsna(workspace: Workspace) -> Pictures | str:
    """Images with boxes and, for each, `rsna.negatives` without; or, in words, why there are none."""
    folder, s = workspace.companion(RSNA_SLUG), workspace.profile.rsna
    if folder is None:
        return f"no RSNA pneumonia challenge (folder {RSNA_SLUG}/) in the input"
    images, boxes, findings = read_rsna(folder)
    for line in findings:
        print(f"note: {line}")
    boxed, clear = (images[images["has_box"] == value] for value in (1, 0))
    clear = draw_patients(clear, round(s.negatives * len(boxed))) if s.negatives else clear.head(0)
    images = draw_patients(pd.concat([boxed, clear]).sort_values("image_id"), s.train_limit)
    size = workspace.profile.images.cache_size
    cache, workers = workspace.places.companion_cache("rsna", size), worker_count(workspace.profile.images.workers)
    images, failures = cache_rsna(folder, images, size, cache, workers)
    _tell(failures)
    images, pixels = _without_repeats(workspace, RSNA, images, cache)
    boxed = images["has_box"] == 1
    if boxed.sum() < FEWEST_BOXED:
        return f"{folder} has {boxed.sum()} readable pictures with a box, {FEWEST_BOXED} are needed"
    boxes = boxes[boxes["image_id"].isin(images["image_id"])].reset_index(drop=True)
    held_out = np.zeros(len(images), bool)
    for part in (boxed.to_numpy(), ~boxed.to_numpy()):  # apart, so that both sides have some of each
        held_out[part] = hold_out(images["patient_id"][part], HELD_OUT)
    return Pictures(images, boxes, pixels, held_out)


def _tell(failures: pd.DataFrame) -> None:
    for row in failures.itertuples():
        print(f"note: {row.path}: {row.reason}; left out")


def _train_yolo(
    workspace: Workspace, data: Pictures, settings: object, start: Start, folder: Path, seconds: float
) -> tuple[dict[str, Tensor], dict]:
    yolo.prepare(workspace.places.working / "ultralytics")
    pixels = np.stack([to_cache_size(image, settings.size) for image in data.pixels])
    ids = data.images["image_id"]
    target = workspace.places.root / "annotations" / "yolo" / RSNA_YOLO
    data_yaml = write_yolo(target, data.images, data.boxes, pixels, list(ids[~data.held_out]), list(ids[data.held_out]))
    keep = workspace.profile.images.keep_caches
    return yolo.train_yolo(settings, data_yaml, folder, start, seconds, "RSNA", keep)


def _train_detector(
    architecture: str,
    workspace: Workspace,
    data: Pictures,
    settings: FasterRcnn,
    start: Start,
    folder: Path,
    seconds: float,
) -> tuple[dict[str, Tensor], dict]:
    rows = [np.flatnonzero(part) for part in (~data.held_out, data.held_out)]
    parts = [(data.images.iloc[part], data.boxes, data.pixels[part]) for part in rows]
    return train_detector(architecture, settings, *parts, start, folder, seconds)
