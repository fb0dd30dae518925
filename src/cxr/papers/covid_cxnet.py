"""Tables and figures of paper 001: enhancements, the range test, CheXNet as it is, LIME beside Grad-CAM."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from cxr.data.picture_augmentations import PICTURE_AUGMENTATIONS
from cxr.data.picture_batches import picture_loader, seen_pixels
from cxr.data.tasks import Task
from cxr.explain.cam import grad_cam
from cxr.explain.lime import lime_heat
from cxr.figures.pictures import Picture
from cxr.figures.systems import heat_rows, picture_rows
from cxr.images.enhance import adaptive, beasf, clahe, equalise
from cxr.images.resize import to_cache_size
from cxr.models.classifiers import MultiLabelNet
from cxr.models.precision import best_device
from cxr.papers.looks import examples
from cxr.papers.registry import config_of, system_of
from cxr.papers.run import Outcome
from cxr.prediction.pictures import load_network
from cxr.training.losses import picture_losses
from cxr.training.pictures import Config
from cxr.training.pretraining import NIH_NAME
from cxr.training.rate_test import RangeTest, range_test
from cxr.training.runs import load_weights
from cxr.workspace import Workspace

GAMMAS = (0.5, 1.0, 1.5, 2.5)  # of figure 3; 1.5 is the paper's choice, the others are ours
BATCH = 32


def enhancements(task: Task, count: int = 3) -> Picture:
    """Figures 2 and 3: pictures, their HE, AHE, CLAHE, and BEASF at several gammas."""
    rows = {}
    for number in np.linspace(0, len(task.pictures) - 1, count).round().astype(int):
        picture = task.pictures.picture(number)
        made = [equalise(picture), adaptive(picture), clahe(picture), *(beasf(picture, gamma) for gamma in GAMMAS)]
        rows[task.classes[task.pictures.targets[number]]] = [picture, *made]
    return picture_rows(rows, ["original", "HE", "AHE", "CLAHE", *(f"BEASF {gamma:g}" for gamma in GAMMAS)], edge=1.1)


def base_range_test(workspace: Workspace, task: Task) -> RangeTest:
    """Section 5.1: the range test of the base model on the pictures of fold 0."""
    system = system_of("covid_cxnet")
    base: Config = system.variants(config_of(workspace.profile, "covid_cxnet"))["base model"][1]
    training, _, _ = task.parts(task.folds[0])
    torch.manual_seed(base.seed)
    network = system.build(base, len(task.classes))
    augment = PICTURE_AUGMENTATIONS[base.augmentation](base.seed)
    loader = picture_loader(training, len(task.classes), system.see(base), base.batch, base.seed, augment)
    return range_test(network, picture_losses(), loader)


def nih_outputs(workspace: Workspace, task: Task) -> pd.DataFrame | str:
    """Figure 14: what the network of stage 04 says of pictures without any fine-tuning, mean probability by class.

    A row a finding; the last column tells which findings part the last class from the first (difference of means). In
    words, where stage 04 has left no network.
    """
    folder = workspace.places.pretrained(NIH_NAME)
    if not (folder / "run.json").is_file():
        return "stage 04 has left no network: put NIH ChestX-ray14 into the input, or weights of CheXNet"
    names = pd.read_csv(folder / "classes.csv")["class"].drop_duplicates().tolist()
    settings = workspace.profile.nih
    network = load_weights(MultiLabelNet(settings.network, settings.dropout, len(names)), folder, "config.json")
    network = network.to(best_device()).eval()
    small = np.stack([to_cache_size(np.asarray(picture), settings.size) for picture in task.pictures.pixels])
    found = []
    with torch.inference_mode():
        for start in range(0, len(small), BATCH):
            pixels = torch.from_numpy(small[start : start + BATCH])[:, None].to(best_device())
            found.append(network(pixels).float().sigmoid().cpu().numpy())
    chances, rows = np.concatenate(found), task.pictures.rows
    means = {name: chances[rows[task.pictures.targets == number]].mean(0) for number, name in enumerate(task.classes)}
    table = pd.DataFrame(means, index=names)
    table["difference"] = table[task.classes[-1]] - table[task.classes[0]]
    return table.sort_values("difference", ascending=False).round(3)


def grad_cam_and_lime(outcome: Outcome, per_class: int = 2) -> Picture:
    """Figures 12 and 18: both explanations of the same pictures, in the frame of what the network saw."""
    c, system, places = outcome.config, outcome.system, examples(outcome, per_class)
    shown, maps = [], {"LIME": [], "Grad-CAM": []}
    for place in places:
        one, target = outcome.task.pictures.take(outcome.rows[[place]]), np.array([outcome.truth[place]])
        network = load_network(outcome.folders[outcome.folds[place]], partial(system.build, c))
        seen = seen_pixels(one, system.see(c))
        shown.append(seen[0, 0])
        for name, method in (("LIME", lime_heat), ("Grad-CAM", grad_cam)):
            maps[name].append(method(network, seen, target)[0])
    titles = [outcome.task.classes[number] for number in outcome.truth[places]]
    return heat_rows(shown, {name: np.stack(heat) for name, heat in maps.items()}, titles)


def hierarchical(workspace: Workspace) -> Config:
    """The config of the three classes by a hierarchy (table 5)."""
    return replace(config_of(workspace.profile, "covid_cxnet"), hierarchical=True)
