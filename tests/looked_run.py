"""A run whose models can be looked at: tables of `made_run`, lung masks, and study classifiers with random weights."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import torch

from cxr.data.masks import mask_file, write_mask
from cxr.models.classifiers import StudyNet
from cxr.tables import BOX_COLUMNS
from cxr.training.runs import finish_run
from cxr.workspace import open_workspace, write_json
from made_run import IMAGES, SIZE, predictions, training_tables, write_csv

HALF = np.zeros((SIZE, SIZE), bool)
HALF[:, : SIZE // 2] = True  # the "lungs": the left half, a half of the area
REJECTED = "image01"


def looked_run(root, more=""):
    """Workspace with everything that `look_where` reads; the first image's id is no file name, so it has no mask."""
    settings = f"images.cache_size={SIZE} study.network=squeezenet1_1 study.size=64 fusion.resamples=50 {more}"
    run = open_workspace("demo", settings, str(root / "input"), str(root), str(root / "submissions"))
    rng = np.random.default_rng(5)
    images, truth = training_tables(run.places, rng)
    predictions(run.places, rng, images, truth)
    names = list(images["image_id"].iloc[1:])
    for name in names:
        write_mask(mask_file(run.places.lungs, name), HALF)
    table = pd.DataFrame({"image_id": names, "parts": 1, "area": 0.5, "reason": ""})
    table[BOX_COLUMNS] = [0.0, 0.0, 75.0, 120.0]
    write_csv(table.assign(accepted=(table["image_id"] != REJECTED).astype(int)), run.places.lungs_table)
    for fold in (0, 1):
        folder = run.places.model("studies", fold)
        torch.manual_seed(fold)
        settings = replace(run.profile.study, network="squeezenet1_1", dropout=0.0, mask_weight=0.0)
        write_json({"settings": asdict(settings)}, folder / "config.json")
        state = StudyNet(settings).state_dict()
        state["classifier.1.bias"][fold] = 9.0  # it finds class 0 or 1 everywhere, and half of the images have it
        state["classifier.1.weight"][fold].abs_()  # activations, which are not negative, then speak for that class
        finish_run(folder, state, {"epochs": 1})
    assert len(images) == IMAGES
    return run
