"""Two lung mask sets: the Montgomery and Shenzhen one as Kaggle mounts it, and one of JSRT pictures with SCR masks.

SCR (van Ginneken 2006) outlines left lung, right lung and heart of the JSRT pictures, one GIF a structure, in two
folds by odd and even numbers; left is the patient's left. JSRT itself ships raw 12-bit files; PNG stands in for them.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cxr.phantom.companions import SIZE, to_uint8, write_png
from cxr.phantom.pictures import draw_picture
from cxr.phantom.seeds import generator, share_out

LUNGS, JSRT = "chest-xray-masks-and-labels/Lung Segmentation", "jsrt"
STRUCTURES = {"left lung": "left_lung", "right lung": "right_lung", "heart": "heart"}  # folder -> mask of a rendering
DISEASES = {"negative": 0.55, "atypical": 0.15, "indeterminate": 0.15, "typical": 0.15}


def plan_lungs(count: int, seed: int) -> pd.DataFrame:
    """One row an image: image, name (MCUCXR_0001_0 or CHNCXR_0001_1), mask_name ('' for none), disease, channels."""
    rng = generator(seed, "lungs")
    table = pd.DataFrame({"image": np.arange(count), "disease": share_out(rng, count, DISEASES)})
    table["source"] = share_out(rng, count, {"CHN": 0.82, "MCU": 0.18})
    ill = (table["disease"] != "negative").astype(int)  # the last digit of the real names: 1 for an abnormal lung
    number = table.groupby("source").cumcount() + 1
    table["name"] = [f"{s}CXR_{n:04d}_{i}" for s, n, i in zip(table["source"], number, ill, strict=True)]
    suffix = table["source"].map({"CHN": "_mask.png", "MCU": ".png"})
    table["mask_name"] = (table["name"] + suffix).where(share_out(rng, count, {True: 0.88, False: 0.12}), "")
    table["channels"] = share_out(rng, count, {1: 0.8, 3: 0.2})
    return table


def write_lungs_image(row: dict, root: Path, seed: int) -> None:
    """Write CXR_png/<name>.png and, where there is one, masks/<mask_name>: 0 background, 255 both lungs."""
    picture = draw_picture(seed, "lungs", (row["image"],) * 4, row["disease"], None, size=(SIZE, SIZE))
    write_png(root / "CXR_png" / f"{row['name']}.png", to_uint8(picture.pixels), row["channels"])
    if row["mask_name"]:
        lungs = picture.masks["left_lung"] | picture.masks["right_lung"]
        write_png(root / "masks" / row["mask_name"], np.where(lungs, 255, 0).astype(np.uint8))


def plan_jsrt(count: int, seed: int) -> pd.DataFrame:
    """One row an image: image, name (JPCLN001 with a nodule, JPCNN001 without), fold, disease."""
    table = pd.DataFrame({"image": np.arange(count)})
    table["disease"] = share_out(generator(seed, "jsrt"), count, {"atypical": 0.6, "negative": 0.4})
    number = table.groupby("disease").cumcount() + 1
    kind = table["disease"].map({"atypical": "JPCLN", "negative": "JPCNN"})
    table["name"] = [f"{k}{n:03d}" for k, n in zip(kind, number, strict=True)]
    table["fold"] = np.where(number % 2 == 1, "fold1", "fold2")
    return table


def write_jsrt_image(row: dict, root: Path, seed: int) -> None:
    """Write images/<name>.png and scr/<fold>/masks/<structure>/<name>.gif, each 0 or 255."""
    picture = draw_picture(seed, "jsrt", (row["image"],) * 4, row["disease"], None, size=(SIZE, SIZE))
    write_png(root / "images" / f"{row['name']}.png", to_uint8(picture.pixels))
    for folder, key in STRUCTURES.items():
        path = root / "scr" / row["fold"] / "masks" / folder / f"{row['name']}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(picture.masks[key], 255, 0).astype(np.uint8)).save(path)
