"""What each picture of the phantom's SIIM part will be: patients, studies, classes, duplicates and quirks, no pixels.

The structure follows the real train set (6334 images, 6054 studies, 3261 patients) or, on request, label files.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.faults import DataFault
from cxr.labels import IMAGE_SUFFIX, STUDY_CLASSES, STUDY_COLUMNS, STUDY_SUFFIX, parse_boxes
from cxr.phantom.quirks import PIXEL_QUIRKS, draw_quirks
from cxr.phantom.seeds import generator, hex_id, share_out
from cxr.phantom.shortcuts import plan_marker
from cxr.tables import read_csv

DEFAULT_STUDIES = 400
MINIMUM_STUDIES = 12  # below that the test set holds one or two studies
TEST_SHARE = 0.25
CLASS_MIX = {"negative": 0.277, "atypical": 0.078, "indeterminate": 0.173, "typical": 0.472}  # ordered by severity
PATIENT_STUDIES = {1: 0.632, 2: 0.184, 3: 0.086, 4: 0.038, 5: 0.021, 6: 0.014, 7: 0.006, 8: 0.004, 10: 0.007, 14: 0.006}
PATIENT_CORRELATION = 0.47  # of severity between studies of one patient: makes 64 % of the repeated patients differ
STUDY_IMAGES = {1: 0.9617, 2: 0.0342, 3: 0.0025, 4: 0.0008, 5: 0.0008}
BOX_COUNTS = {
    "negative": {0: 1.0},
    "typical": {1: 0.009, 2: 0.929, 3: 0.053, 4: 0.009},
    "indeterminate": {1: 0.654, 2: 0.329, 3: 0.017},
    "atypical": {0: 0.182, 1: 0.554, 2: 0.234, 3: 0.03},
}
TWIN_SHARE = 0.005  # of the studies repeat the picture of another patient's study


def plan_siim(studies: int | None, seed: int, like: Path | None = None, shortcut: str | None = None) -> pd.DataFrame:
    """The plan, one row an image: part, identifiers, study_class, box counts wanted, keys of what is drawn, quirks.

    `box_count` is 0 on duplicates although the disease is there. Rows whose four `_key` columns are equal show the
    same picture. `studies` None means DEFAULT_STUDIES, or all of `like`. `shortcut` `marker`: the column `has_marker`
    says where a word is burnt in, mostly on one class; nothing else changes. Unusable label files raise DataFault.
    """
    rng = generator(seed, "structure")
    if like is None:
        structure = draw_structure(rng, DEFAULT_STUDIES if studies is None else studies)
    else:
        structure = structure_like(rng, Path(like), studies)
    if len(structure) < MINIMUM_STUDIES:
        few, enough = len(structure), MINIMUM_STUDIES
        raise DataFault(f"{few} studies are too few for a train and a test part; take {enough} or more")
    structure["part"] = split_patients(rng, structure)
    images = _expand(structure)
    images = pd.concat([images, draw_quirks(generator(seed, "quirks"), len(images))], axis=1)
    images = _name(_repeat_pictures(generator(seed, "twins"), images), seed)
    images["crosses_border"] = _border_box(generator(seed, "border"), images)
    images["has_marker"] = plan_marker(images, seed) if shortcut else False
    return images


def draw_structure(rng: np.random.Generator, studies: int) -> pd.DataFrame:
    """One row a study: patient (number), study_class, box_counts (one per image of the study)."""
    counts = share_out(rng, studies, PATIENT_STUDIES)
    patient = np.repeat(np.arange(studies), counts)[:studies]
    own, shared = rng.standard_normal(studies), rng.standard_normal(studies)[patient]
    severity = np.sqrt(PATIENT_CORRELATION) * shared + np.sqrt(1 - PATIENT_CORRELATION) * own
    ladder = sorted(share_out(rng, studies, CLASS_MIX), key=list(CLASS_MIX).index)
    table = pd.DataFrame({"patient": patient, "study_class": ""})
    table.loc[np.argsort(severity, kind="stable"), "study_class"] = ladder
    images = np.array(share_out(rng, studies, STUDY_IMAGES))
    first = pd.Series(0, index=table.index)
    for name, shares in BOX_COUNTS.items():
        rows = table.index[table["study_class"] == name]
        first.loc[rows] = np.array(share_out(rng, len(rows), shares), dtype=int)
    table["box_counts"] = [(int(boxes), *[0] * (k - 1)) for boxes, k in zip(first, images, strict=True)]
    return table


def structure_like(rng: np.random.Generator, folder: Path, studies: int | None) -> pd.DataFrame:
    """The structure of real label files: all their studies, or `studies` of them by whole patients."""
    levels = read_csv(folder / "train_study_level.csv", ["id", *STUDY_COLUMNS])
    images = read_csv(folder / "train_image_level.csv", ["id", "boxes", "StudyInstanceUID"])
    if (levels[list(STUDY_COLUMNS)].sum(axis=1) != 1).any():
        raise DataFault(f"{folder / 'train_study_level.csv'}: a row has not exactly one class; take the original file")
    classes = levels[list(STUDY_COLUMNS)].idxmax(axis=1).map(STUDY_COLUMNS)
    table = pd.DataFrame({"study": levels["id"].str.removesuffix(STUDY_SUFFIX), "study_class": classes})
    try:
        found = images["boxes"].map(parse_boxes).map(len).groupby(images["StudyInstanceUID"]).agg(list)
    except DataFault as fault:
        raise DataFault(f"{folder / 'train_image_level.csv'}: {fault}") from None
    table["box_counts"] = table["study"].map(found)
    lost = table["box_counts"].isna().sum()
    if lost:
        raise DataFault(
            f"{folder}: {lost} studies of train_study_level.csv have no image in train_image_level.csv; "
            f"ids there end {IMAGE_SUFFIX}, take both files of one release"
        )
    table["box_counts"] = table["box_counts"].map(lambda counts: tuple(sorted(counts, reverse=True)))
    table["patient"] = _patients_like(rng, folder, table["study"])
    return _draw_patients(rng, table, len(table) if studies is None else studies, folder)


def _patients_like(rng: np.random.Generator, folder: Path, study_ids: pd.Series) -> np.ndarray:
    """Patient number of each study from a `*meta*.csv` with patientid and studyid, else drawn."""
    for path in sorted(folder.glob("*meta*.csv")):
        meta = read_csv(path).rename(columns=str.lower)
        if {"patientid", "studyid"} <= set(meta.columns):
            names = study_ids.map(dict(zip(meta["studyid"].astype(str), meta["patientid"].astype(str), strict=True)))
            if names.notna().all():
                return pd.factorize(names)[0]
    sizes = share_out(rng, len(study_ids), PATIENT_STUDIES)
    return rng.permutation(np.repeat(np.arange(len(study_ids)), sizes)[: len(study_ids)])


def _draw_patients(rng: np.random.Generator, table: pd.DataFrame, studies: int, folder: Path) -> pd.DataFrame:
    if studies > len(table):
        raise DataFault(f"{folder}: {studies} studies are wanted, it holds {len(table)}; ask for at most as many")
    chosen = _whole_patients(rng, table["patient"], studies)
    table = table[table["patient"].isin(chosen)].reset_index(drop=True)
    return table.assign(patient=pd.factorize(table["patient"])[0])[["patient", "study_class", "box_counts"]]


def _whole_patients(rng: np.random.Generator, patient: pd.Series, studies: int) -> set[int]:
    """Patients in random order whose studies add up to `studies` (or nearly, when no single one is left to fill up)."""
    sizes, chosen = patient.value_counts().sort_index(), set()
    for number, size in sizes.iloc[rng.permutation(len(sizes))].items():
        if size <= studies:
            chosen.add(number)
            studies -= size
    return chosen


def split_patients(rng: np.random.Generator, structure: pd.DataFrame) -> np.ndarray:
    """'train' or 'test' for each study, by whole patients: the best balanced of 64 random quarters."""
    wanted = max(2, round(len(structure) * TEST_SHARE))
    total = structure["study_class"].value_counts().reindex(STUDY_CLASSES, fill_value=0)
    best, best_distance = None, np.inf
    for _ in range(64):
        test = structure["patient"].isin(_whole_patients(rng, structure["patient"], wanted)).to_numpy()
        count = structure["study_class"][test].value_counts().reindex(STUDY_CLASSES, fill_value=0)
        absent = ((count == 0) | (count == total)) & (total > 0)
        ideal = total * wanted / len(structure)
        distance = ((count - ideal) ** 2 / ideal.clip(lower=0.5)).sum() + 10 * absent.sum()
        if distance < best_distance:
            best, best_distance = test, distance
    return np.where(best, "test", "train")


def _expand(structure: pd.DataFrame) -> pd.DataFrame:
    """Studies to images. The boxed image comes first here; file names and numbers do not tell."""
    structure = structure.assign(study=np.arange(len(structure)))
    images = structure.explode("box_counts", ignore_index=True).rename(columns={"box_counts": "box_count"})
    images["box_count"] = images["box_count"].astype(int)
    images["disease_boxes"] = images.groupby("study")["box_count"].transform("max")  # the disease is the study's
    images["is_duplicate"] = (images["disease_boxes"] > 0) & (images["box_count"] == 0)
    images["patient_key"], images["disease_key"], images["view_key"] = images["patient"], images["study"], images.index
    images["pose_key"] = images.groupby("study")["view_key"].transform("min")  # several images of a study: one pose
    return images


def _repeat_pictures(rng: np.random.Generator, images: pd.DataFrame) -> pd.DataFrame:
    """Let a few training studies show the very picture of another patient's study of the same class."""
    single = images[(images["part"] == "train") & (images.groupby("study")["study"].transform("size") == 1)]
    wanted = max(1, round(TWIN_SHARE * images["study"].nunique()))
    copied = ["patient_key", "disease_key", "pose_key", "view_key", "disease_boxes", "box_count", *PIXEL_QUIRKS]
    used = set()
    for row in rng.permutation(single.index):
        twins = single[(single["study_class"] == images.at[row, "study_class"]) & ~single["patient"].isin(used)]
        twins = twins[twins["patient"] != images.at[row, "patient"]]
        if len(used) >= 2 * wanted:
            break
        if images.at[row, "patient"] in used or twins.empty:
            continue
        other = rng.choice(twins.index)
        images.loc[other, copied] = images.loc[row, copied]
        used |= {images.at[row, "patient"], images.at[other, "patient"]}
    return images


def _border_box(rng: np.random.Generator, images: pd.DataFrame) -> pd.Series:
    """Mark one training image whose leftmost box will start left of the image: the real set has one at x = -3.56."""
    repeated = images.duplicated("view_key", keep=False)
    candidates = images.index[(images["part"] == "train") & (images["box_count"] >= 2) & ~repeated]
    chosen = pd.Series(False, index=images.index)
    if len(candidates):
        chosen[rng.choice(candidates)] = True
    return chosen


def _name(images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Identifiers as in the real set: 12 hexadecimal digits each; every image is a series of its own."""
    for column, kind in {"patient_id": "patient", "patient_name": "name", "study_id": "study"}.items():
        key = "patient" if kind == "name" else kind
        images[column] = [hex_id(seed, kind, number) for number in images[key]]
    images["series_id"] = [hex_id(seed, "series", row) for row in images.index]
    images["image_id"] = [hex_id(seed, "image", row) for row in images.index]
    return images
