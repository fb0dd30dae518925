"""Where the models of a run look, on pictures that they did not learn from: `tables/where.csv` and some heat maps.

The study classifier by Grad-CAM of the class that it finds most likely; detectors by their boxes, each box's score
spread over its area. Only pictures whose lung mask stage 06 believes count.
"""

import os
import zipfile

import numpy as np
import pandas as pd

from cxr.data.lung_views import CROP, CROP_AND_MASK, lung_of
from cxr.evaluation.means import mean_interval, ratio_interval
from cxr.evaluation.run_files import RunFiles, is_main, title_of
from cxr.explain.chosen import Looked, boxes_by_image, choose
from cxr.explain.studies import STUDIES, StudyHeat, study_heat, untrained_folds
from cxr.explain.where import box_heat, even_shares, heat_shares
from cxr.faults import DataFault
from cxr.prediction.out_of_fold import listed
from cxr.profiles import more_detectors, settings_of
from cxr.tables import Contract, write_table
from cxr.workspace import Workspace

DETECTORS = ("yolo", "faster_rcnn")
SHOWN = 4  # right ones and wrong ones, kept with their heat for the report
LUNGS, BOXES = "lungs", "boxes"  # where heat may lie
WHERE = Contract("table of where models look", ("model", "place", "how"), ("images", "without_heat"))
MAPS = ("image_id", "heat", "found", "true")


def look_where(workspace: Workspace) -> pd.DataFrame | None:
    """Write and return the table: a row a model and place. None, said in one line, where it cannot be made.

    Columns model, place (lungs or boxes), how, images, share (mean share of the heat inside), low, high (95 %, by
    patient), even (what heat without a preference would have inside), times (share over even), times_low, times_high,
    without_heat (pictures in which nothing speaks for the class; they count in no share).
    """
    files, path = RunFiles(workspace), workspace.places.where_table
    path.unlink(missing_ok=True)
    workspace.places.where_maps.unlink(missing_ok=True)
    looked = choose(files)
    if isinstance(looked, str):
        return print(f"not measured where models look: {looked}")
    rows, resamples = [], workspace.profile.fusion.resamples
    lacking = untrained_folds(files, looked)
    if lacking:
        print(f"study classifier left out: folds {listed(lacking)} are not trained")
    else:
        heat = study_heat(files, looked)
        keep_examples(files, looked, heat)
        how = "Grad-CAM of the likeliest class"
        rows += places(STUDIES, how, heat.maps, shown_to(STUDIES, files, looked), looked, resamples)
    for name, boxes in files.boxes.items():
        if is_main(name):
            shown = shown_to(name, files, looked)
            rows += places(name, "scores of its boxes", boxes_heat(boxes, looked), shown, looked, resamples)
    if not rows:
        return print("not measured where models look: no model has predicted its held-out images yet")
    table = pd.DataFrame(rows)
    for row in table[table["without_heat"] > 0].itertuples():
        print(f"{title_of(row.model)}: no heat in {row.without_heat} of {row.images} images, which count in no share")
    write_table(table, path, WHERE)
    return table


def shown_to(model: str, files: RunFiles, looked: Looked) -> np.ndarray:
    """bool [N x S x S]: what a model was shown of each picture, the box around the lungs where it sees no more.

    Boxes of a fusion, or of a model from elsewhere, may lie wherever one of the run's detectors was shown something.
    """
    detectors = (*DETECTORS, *more_detectors(files.profile))
    models = [model] if model in (STUDIES, *detectors) else detectors
    shown = np.ones(looked.pixels.shape, bool)
    if all(settings_of(files.profile, name).lungs in (CROP, CROP_AND_MASK) for name in models):
        for picture, mask in zip(shown, looked.lungs, strict=True):
            x_min, y_min, x_max, y_max = lung_of(mask, files.profile.lungs).box_xyxy
            picture[:y_min] = picture[y_max:] = False
            picture[:, :x_min] = picture[:, x_max:] = False
    return shown


def boxes_heat(boxes: pd.DataFrame, looked: Looked) -> np.ndarray:
    """A detector's boxes on these pictures as heat, float32 [N x S x S]."""
    heat = np.zeros(looked.pixels.shape, np.float32)
    found = boxes_by_image(boxes, looked.images, heat.shape[-1])
    for number, name in enumerate(looked.images["image_id"]):
        if name in found:
            heat[number] = box_heat(*found[name], heat.shape[1:])
    return heat


def places(
    name: str, how: str, heat: np.ndarray, shown: np.ndarray, looked: Looked, resamples: int
) -> list[dict[str, object]]:
    """A row for the lungs of all pictures, and one for the boxes of those that have any."""
    rows, boxed = [], looked.boxes.any((1, 2))
    for place, masks, chosen in ((LUNGS, looked.lungs, np.ones(len(heat), bool)), (BOXES, looked.boxes, boxed)):
        if chosen.any():
            figures = heat_figures(
                heat[chosen], shown[chosen], masks[chosen], looked.images["patient_id"].to_numpy()[chosen], resamples
            )
            rows.append({"model": name, "place": place, "how": how, **figures})
    return rows


def heat_figures(
    heat: np.ndarray, shown: np.ndarray, masks: np.ndarray, patients: np.ndarray, resamples: int
) -> dict[str, float]:
    """The numbers of one row, over pictures [N x S x S] of patients [N]."""
    shares, even = heat_shares(heat, masks), even_shares(masks, shown)
    share, low, high = mean_interval(shares, patients, resamples)
    times, times_low, times_high = ratio_interval(shares, even, patients, resamples)
    return {
        "images": len(heat),
        "without_heat": int(np.isnan(shares).sum()),
        "share": share,
        "low": low,
        "high": high,
        "even": mean_interval(np.where(np.isnan(shares), np.nan, even), patients, 1).value,
        "times": times,
        "times_low": times_low,
        "times_high": times_high,
    }


def keep_examples(files: RunFiles, looked: Looked, heat: StudyHeat) -> None:
    """Some heat maps of right and of wrong answers, as small arrays that the report draws; written atomically."""
    right = heat.found == looked.true
    chosen = np.concatenate([np.flatnonzero(part)[:SHOWN] for part in (right, ~right)])
    names, maps = looked.images["image_id"].to_numpy(str), np.rint(heat.maps * 255).astype(np.uint8)
    path = files.places.where_maps
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        values = (part[chosen] for part in (names, maps, heat.found, looked.true))
        np.savez_compressed(partial, **dict(zip(MAPS, values, strict=True)))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_examples(files: RunFiles) -> pd.DataFrame:
    """What `keep_examples` wrote, a row a picture: image_id, heat uint8 [S x S], found and true (index of a class).

    No row where there is no file. Raises DataFault where it cannot be read.
    """
    path = files.places.where_maps
    if not path.is_file():
        return pd.DataFrame(columns=list(MAPS))
    try:
        with np.load(path, allow_pickle=False) as kept:
            return pd.DataFrame({name: list(kept[name]) for name in MAPS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:100]
        raise DataFault(f"{path}: not readable as heat maps ({reason}); run 12_report again") from None
