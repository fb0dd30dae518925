"""A small task and small configs of every system: its own code, networks that take a second."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.data.tasks import OWN_CLASSES, make_task
from cxr.profiles import PROFILES
from cxr.workspace import open_workspace, write_json

SIDE = 64
SMALL = "squeezenet1_1"
CHANGES = {
    "unet_hrnet": {"network": SMALL, "size": SIDE, "epochs": 1, "batch": 4, "hidden": 8, "folds": 2},
    "covid_cxnet": {"network": SMALL, "size": SIDE, "epochs": 1, "more_epochs": 1, "second_epochs": 1, "batch": 4},
    "patch_vote": {"network": SMALL, "side": 96, "patch": 48, "votes": 6, "epochs": 1, "batch": 4, "patience": 1},
    "resunet_ensemble": {
        "networks": f"{SMALL},mobilenet_v2",
        "hidden": "8,4",
        "size": SIDE,
        "head_epochs": 1,
        "steps": 1,
        "step_epochs": 1,
        "batch": 4,
    },
}


def small_config(name, **more):
    """A system's demo config with small networks."""
    return replace(getattr(PROFILES["demo"], name), **{**CHANGES[name], **more})


def small_workspace(root):
    workspace = open_workspace("demo", "", str(root / "input"), str(root), str(root / "submissions"))
    write_json({"data": "phantom", "companions": {}}, workspace.places.inputs)
    return workspace


def small_task(name, count=24):
    """Pictures of noise with two lungs, each class with stripes of its own width in them, which any patch shows."""
    classes, rng = OWN_CLASSES[name], np.random.default_rng(0)
    labels = [classes[n % len(classes)] for n in range(count)]
    pixels = rng.integers(20, 90, (count, SIDE, SIDE), dtype=np.uint8)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:54, 8:28] = mask[10:54, 36:56] = True
    for n in range(count):
        width = 2 + 4 * (n % len(classes))
        pixels[n][mask & (np.arange(SIDE) % (2 * width) < width)] += 120
    ids = [f"i{n:02d}" for n in range(count)]
    rows = pd.DataFrame(
        {"image_id": ids, "patient_id": ids, "group": ids, "label": labels, "height": SIDE, "width": SIDE}
    )
    rows["split"] = ["test" if n % 6 >= 4 and n >= count // 2 else "train" for n in range(count)]
    task = make_task(name, classes, rows, pixels, ["made up"])
    masks = np.packbits(np.repeat(mask[None], count, 0), axis=2)
    believed = np.arange(count) != count - 1  # the last picture's lungs failed
    return task._replace(pictures=task.pictures.with_lungs(masks, believed))
