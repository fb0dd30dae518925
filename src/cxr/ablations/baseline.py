"""The run's models beside the trivial baseline, out of fold: each fold by a baseline that learned from the others.

Where source and label go together, thumbnails and header fields tell classes apart; what a model is worth is what it
knows beyond them.
"""

import numpy as np
import pandas as pd

from cxr.ablations.compare import digests
from cxr.baseline import TARGETS, Baseline, Features, extract_all
from cxr.boxes import scale_xyxy
from cxr.data.prepare import load_training
from cxr.data.siim import training_table
from cxr.evaluation.intervals import interval, paired_difference
from cxr.evaluation.out_of_fold import ground_truth, match_all
from cxr.evaluation.run_files import RunFiles
from cxr.faults import DataFault
from cxr.images.pool import worker_count
from cxr.labels import CLASSES, STUDY_CLASSES
from cxr.prediction.combine import study_means
from cxr.tables import BOX_COLUMNS, BOXES, NONE, check_table, empty_boxes
from cxr.workspace import Workspace

System = tuple[pd.DataFrame, pd.Series, pd.DataFrame]  # boxes, `none` by image_id, study scores


def measure(workspace: Workspace) -> dict:
    """Rows, a class each and their mean: AP of the fused run and of the baseline (all images), gain, low, high."""
    images, truth, _ = load_training(workspace)
    ground, own = ground_truth(images, truth), RunFiles(workspace).fused_matches()
    if own is None:
        raise DataFault(f"{workspace.places.fused}: no fused predictions there; run 10_fuse_and_blend first")
    matches = [own, match_all(ground, *out_of_fold(workspace, images, truth))]
    columns = {name: [place] for place, name in enumerate(CLASSES)} | {"mean": list(range(len(CLASSES)))}
    rows = []
    for name, places in columns.items():
        pair = [[one[place] for place in places] for one in matches]
        gain = paired_difference(*pair, ground.patient, workspace.profile.fusion.resamples)
        ends = [interval(one, ground.patient, 1).value for one in pair]
        values = dict(zip(("run", "baseline", "gain", "low", "high"), (*ends, *gain), strict=True))
        rows.append({"class": name, **{key: round(float(value), 4) for key, value in values.items()}})
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    return {"rows": rows, "of": digests(workspace)}


def out_of_fold(workspace: Workspace, images: pd.DataFrame, truth: pd.DataFrame) -> System:
    """What the baseline says of every training image, learned from the other folds."""
    paths = training_table(workspace.competition)[0].set_index("image_id")["path"]
    files = [workspace.competition / paths[name] for name in images["image_id"]]
    found = extract_all(files, worker_count(workspace.profile.images.workers))
    unread = [item for item in found if not isinstance(item, Features)]
    if unread:
        raise DataFault(f"the baseline cannot read what stage 01 could: {unread[0]}")
    corners = {name: group[BOX_COLUMNS].to_numpy(float) for name, group in truth.groupby("image_id")}
    boxes = [
        scale_xyxy(corners.get(row.image_id, np.empty((0, 4))), (row.height, row.width), (1, 1))
        for row in images.itertuples()
    ]
    targets = images[list(STUDY_CLASSES)].assign(none=(images["has_box"] == 0).astype(float)).to_numpy(float)
    scores, tables = np.empty((len(images), len(TARGETS))), [empty_boxes()]
    for fold in sorted(images["fold"].unique()):
        learn = np.flatnonzero((images["fold"] != fold) & (images["role"] == "train"))
        held = np.flatnonzero(images["fold"] == fold)
        baseline = Baseline([found[row] for row in learn], targets[learn], [boxes[row] for row in learn])
        scores[held] = baseline.scores([found[row] for row in held])
        tables += [_boxes(baseline, images["image_id"].iat[row], found[row], scores[row, -1]) for row in held]
    table = pd.DataFrame(scores[:, :-1], columns=list(STUDY_CLASSES))
    none = pd.Series(scores[:, -1], index=images["image_id"].to_numpy(), name=NONE)
    found_boxes = pd.concat([one for one in tables if len(one)] or tables, ignore_index=True)
    return check_table(found_boxes, BOXES, "baseline"), none, study_means(table, images["study_id"])


def _boxes(baseline: Baseline, image_id: str, item: Features, none: float) -> pd.DataFrame:
    rows = [(image_id, one.label, one.score, *one[2:6]) for one in baseline.boxes(item, none)]
    return pd.DataFrame(rows, columns=["image_id", "label", "score", *BOX_COLUMNS])
