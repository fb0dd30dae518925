"""Where the models of a run look, on pictures that they did not learn from: `tables/where.csv` and some heat maps.

The study classifier by Grad-CAM of the class that it finds most likely, each picture by the fold that never saw its
patient; detectors by their boxes, each a sheet of its score. Only pictures whose lung mask stage 06 believes count, at
most MOST of them, drawn by a hash of their ids.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from cxr.boxes import scale_xyxy
from cxr.data.draw import hash_order
from cxr.data.lung_views import CROP, CROP_AND_MASK, Lung, lung_of, see_lungs
from cxr.data.masks import mask_file, read_masks
from cxr.evaluation.means import mean_interval
from cxr.evaluation.run_files import RunFiles
from cxr.explain.cam import grad_cam
from cxr.explain.lime import lime_heat
from cxr.explain.where import box_heat, box_masks, even_shares, heat_shares
from cxr.faults import DataFault
from cxr.images.resize import to_cache_size
from cxr.labels import STUDY_CLASSES
from cxr.prediction.classify import StudyClassifier
from cxr.profiles import settings_of
from cxr.tables import BOX_COLUMNS, LUNGS, Contract, read_table, write_table
from cxr.workspace import Workspace

MOST = 60  # pictures that are looked at
STUDIES, DETECTORS = "studies", ("yolo", "faster_rcnn", "fused")
SHOWN = 3  # right ones and wrong ones, kept with their heat for the report
WHERE = Contract("table of where models look", ("model", "place", "how"), ("images",))


class Looked(NamedTuple):
    """Pictures that are looked at. Arrays have their rows, S is the cache's size."""

    images: pd.DataFrame
    pixels: np.ndarray  # uint8 [N x S x S]
    lungs: np.ndarray  # bool [N x S x S]
    boxes: np.ndarray  # bool [N x S x S], inside of true ones


def look_where(workspace: Workspace) -> pd.DataFrame | None:
    """Write and return the table: a row a model and place. None, said in one line, where it cannot be made.

    Columns model, place (lungs or boxes), how, images, share (of the heat inside), low, high (95 %, by patient), even
    (what heat without a preference would have inside), without_heat (pictures in which nothing speaks for the class).
    """
    files, path = RunFiles(workspace), workspace.places.where_table
    path.unlink(missing_ok=True)
    workspace.places.where_maps.unlink(missing_ok=True)
    looked = choose(files)
    if isinstance(looked, str):
        return print(f"not looked where models look: {looked}")
    rows, resamples = [], workspace.profile.fusion.resamples
    heat = study_heat(files, looked)
    if heat is not None:
        rows += places(STUDIES, "Grad-CAM of the likeliest class", heat[0], looked, resamples)
        keep_examples(files, looked, *heat)
    for name in DETECTORS:
        if name in files.boxes:
            rows += places(name, "boxes by their score", boxes_heat(files.boxes[name], looked), looked, resamples)
    if not rows:
        return print("not looked where models look: no model has predicted its held-out images yet")
    table = pd.DataFrame(rows)
    write_table(table, path, WHERE)
    return table


def choose(files: RunFiles, at_most: int = MOST) -> Looked | str:
    """Some pictures with believed lungs; or, in words, why there are none."""
    if files.images is None or files.pixels is None:
        return "stages 01 and 03 have not both left their tables and cache"
    if not files.places.lungs_table.is_file():
        return "stage 06 has left no lung masks"
    table = read_table(files.places.lungs_table, LUNGS).set_index("image_id")["accepted"]
    usable = files.images[(files.images["role"] == "train") & (files.images["image_id"].map(table) == 1)]
    known = [name for name in hash_order(usable["image_id"]) if mask_file(files.places.lungs, name).is_file()][:at_most]
    rows = np.flatnonzero(files.images["image_id"].isin(known))
    if not len(rows):
        return "no training image has a lung mask that is believed"
    images, pixels = files.images.iloc[rows].reset_index(drop=True), np.asarray(files.pixels[rows])
    lungs = read_masks(files.places.lungs, list(images["image_id"]))
    return Looked(images, pixels, lungs, np.stack([*_true_boxes(files, images, pixels.shape[-1])]))


def _true_boxes(files: RunFiles, images: pd.DataFrame, side: int) -> Iterator[np.ndarray]:
    found = dict(list(files.truth.groupby("image_id"))) if files.truth is not None else {}
    for row in images.itertuples():
        corners = found[row.image_id][BOX_COLUMNS].to_numpy(float) if row.image_id in found else np.empty((0, 4))
        yield box_masks(scale_xyxy(corners, (row.height, row.width), (side, side)), (side, side))


def study_heat(
    files: RunFiles, looked: Looked, method: Callable[..., np.ndarray] = grad_cam
) -> tuple[np.ndarray, np.ndarray] | None:
    """Heat float32 [N x S x S] in the frame of the cache, and the class that was found [N]; None before stage 09.

    method: `grad_cam` or `lime_heat`, called with a network, pixels and targets.
    """
    side, view = looked.pixels.shape[-1], settings_of(files.profile, STUDIES).lungs
    heat, found = np.zeros(looked.pixels.shape, np.float32), np.zeros(len(looked.images), int)
    for fold, rows in looked.images.groupby("fold").groups.items():
        folder = files.places.model(STUDIES, fold)
        if not (folder / "run.json").is_file():
            return None
        classifier = StudyClassifier(folder)
        lungs = [lung_of(looked.lungs[row], files.profile.lungs) for row in rows]
        seen = [see_lungs(looked.pixels[row], lung, view) for row, lung in zip(rows, lungs, strict=True)]
        pixels = np.stack([to_cache_size(one, classifier.size) for one in seen])
        scores = classifier.view(list(looked.images["image_id"].loc[rows]), pixels, mirrored=False)
        found[rows] = scores[list(STUDY_CLASSES)].to_numpy().argmax(1)
        maps = method(classifier.model, pixels, found[rows])
        heat[rows] = [put_back(one, lung, view, side) for one, lung in zip(maps, lungs, strict=True)]
    return heat, found


class Heats(NamedTuple):
    """One picture with the heat of several methods. `row`: in the images table."""

    row: int
    words: str
    maps: dict[str, np.ndarray]  # [S x S] by name


def study_heats(files: RunFiles, at_most: int) -> list[Heats]:
    """Grad-CAM and LIME of the study classifier on some pictures that it did not learn from.

    Raises DataFault where stage 06 or 09 has left nothing to look at.
    """
    looked = choose(files, at_most)
    if isinstance(looked, str):
        raise DataFault(f"nothing to look at: {looked}")
    answers = {
        name: study_heat(files, looked, method) for name, method in (("Grad-CAM", grad_cam), ("LIME", lime_heat))
    }
    if any(answer is None for answer in answers.values()):
        raise DataFault("nothing to look at: not every fold of the study classifier is trained; run notebook 09 first")
    true = looked.images[list(STUDY_CLASSES)].to_numpy(float).argmax(1)
    row_of, heats = {name: row for row, name in enumerate(files.images["image_id"])}, []
    for number, image_id in enumerate(looked.images["image_id"]):
        found = STUDY_CLASSES[answers["LIME"][1][number]]
        words = f"{image_id}: found {found}, in truth {STUDY_CLASSES[true[number]]}"
        heats.append(Heats(row_of[image_id], words, {name: heat[number] for name, (heat, _) in answers.items()}))
    return heats


def put_back(heat: np.ndarray, lung: Lung, view: str, side: int) -> np.ndarray:
    """Heat of what the model saw, float [s x s], in the frame of the cache [side x side]; 0 where it saw nothing."""
    if view not in (CROP, CROP_AND_MASK):
        return cv2.resize(heat, (side, side), interpolation=cv2.INTER_LINEAR)
    x_min, y_min, x_max, y_max = lung.box_xyxy
    whole = np.zeros((side, side), np.float32)
    whole[y_min:y_max, x_min:x_max] = cv2.resize(heat, (x_max - x_min, y_max - y_min), interpolation=cv2.INTER_LINEAR)
    return whole


def boxes_heat(boxes: pd.DataFrame, looked: Looked) -> np.ndarray:
    """A detector's boxes on these pictures as heat, float32 [N x S x S]."""
    side, found = looked.pixels.shape[-1], dict(list(boxes.groupby("image_id")))
    heat = np.zeros(looked.pixels.shape, np.float32)
    for number, row in enumerate(looked.images.itertuples()):
        if row.image_id in found:
            own = found[row.image_id]
            corners = scale_xyxy(own[BOX_COLUMNS].to_numpy(float), (row.height, row.width), (side, side))
            heat[number] = box_heat(corners, own["score"].to_numpy(float), (side, side))
    return heat


def places(name: str, how: str, heat: np.ndarray, looked: Looked, resamples: int) -> list[dict]:
    """A row for the lungs of all pictures, and one for the boxes of those that have any."""
    rows, boxed = [], looked.boxes.any((1, 2))
    for place, masks, chosen in (("lungs", looked.lungs, np.ones(len(heat), bool)), ("boxes", looked.boxes, boxed)):
        if not chosen.any():
            continue
        shares, patients = heat_shares(heat[chosen], masks[chosen]), looked.images["patient_id"].to_numpy()[chosen]
        share, low, high = mean_interval(shares, patients, resamples)
        even = float(even_shares(masks[chosen]).mean())
        numbers = {"images": int(chosen.sum()), "without_heat": int(np.isnan(shares).sum())}
        rows.append(
            {
                "model": name,
                "place": place,
                "how": how,
                "share": share,
                "low": low,
                "high": high,
                "even": even,
                **numbers,
            }
        )
    return rows


def keep_examples(files: RunFiles, looked: Looked, heat: np.ndarray, found: np.ndarray) -> None:
    """Some heat maps of right and of wrong answers, as small arrays that the report draws."""
    true = looked.images[list(STUDY_CLASSES)].to_numpy(float).argmax(1)
    chosen = np.concatenate([np.flatnonzero(right)[:SHOWN] for right in (found == true, found != true)])
    path = files.places.where_maps
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        image_id=looked.images["image_id"].to_numpy(str)[chosen],
        heat=np.rint(heat[chosen] * 255).astype(np.uint8),
        found=found[chosen],
        true=true[chosen],
    )
