"""A collection of radiographs as ieee8023/covid-chestxray-dataset ships it: findings, ages, views, some children.

OUT/metadata.csv and OUT/images/*.png. COVID-19 and SARS look like the SIIM phantom's typical class, bacterial pneumonia
like its indeterminate, tuberculosis like its atypical one. A tenth of the normal pictures are of children, whose chests
are smaller and whose hearts are wider: what a network learns from them is age (paper 001, table 1).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

from cxr.phantom.anatomy import draw_patient, draw_view, render
from cxr.phantom.companions import to_uint8, write_png
from cxr.phantom.patients import Patient
from cxr.phantom.pictures import draw_disease_with
from cxr.phantom.seeds import generator, share_out
from cxr.tables import write_csv

SIZE = 512  # px
FINDINGS = {
    "No Finding": 0.3,
    "Pneumonia/Viral/COVID-19": 0.24,
    "Pneumonia/Bacterial": 0.2,
    "Tuberculosis": 0.18,
    "Pneumonia/Viral/SARS": 0.08,
}
DISEASES = {
    "No Finding": "negative",
    "Pneumonia/Viral/COVID-19": "typical",
    "Pneumonia/Viral/SARS": "typical",
    "Pneumonia/Bacterial": "indeterminate",
    "Tuberculosis": "atypical",
}
CHILDREN = 0.1  # of the normal pictures
SUPINE = 0.3  # of the AP pictures
PATIENT_PICTURES = {1: 0.75, 2: 0.18, 3: 0.07}  # of one patient and finding
CHILD = {"half_width": 0.62, "lung_height": 0.6, "depth": 0.6, "heart": 1.15, "rib_spacing": 0.65}


def plan_collection(count: int, seed: int) -> pd.DataFrame:
    """One row a picture: image, patient (number from 1), finding, is_child."""
    rng, rows = generator(seed, "collection"), []
    for finding in FINDINGS:
        wanted = round(FINDINGS[finding] * count)
        sizes = share_out(rng, wanted, PATIENT_PICTURES)
        patients = np.repeat(np.arange(wanted), sizes)[:wanted]
        rows += [(finding, int(patient)) for patient in patients]
    table = pd.DataFrame(rows, columns=["finding", "number"])
    table["image"] = np.arange(len(table))
    table["patient"] = table.groupby(["finding", "number"], sort=False).ngroup() + 1
    normal = table.loc[table["finding"] == "No Finding", "patient"].unique()
    children = rng.permutation(normal)[: round(CHILDREN * len(normal))]
    table["is_child"] = table["patient"].isin(children)
    return table.drop(columns="number")


def make_collection(out: Path, count: int, seed: int = 0, workers: int | None = None) -> None:
    """Write OUT/metadata.csv and OUT/images. Same arguments: same bytes, whatever `workers` is."""
    plan = plan_collection(count, seed)
    jobs = [delayed(_write_picture)(row, out, seed) for row in plan.to_dict("records")]
    results = Parallel(n_jobs=workers or cpu_count(), batch_size=4, return_as="generator")(jobs)
    rows = list(tqdm(results, total=len(jobs), desc="phantom collection", unit="picture"))
    # last: a folder without it is unfinished
    write_csv(pd.DataFrame(rows), out / "metadata.csv")


def _write_picture(row: dict, out: Path, seed: int) -> dict:
    key, image = row["patient"], row["image"]
    patient = draw_patient(generator(seed, "collection patient", key))
    rng = generator(seed, "collection picture", image)
    if row["is_child"]:
        patient = smaller(patient, int(generator(seed, "collection age", key).integers(1, 13)))
    view = replace(draw_view(generator(seed, "collection view", image), patient), height=SIZE, width=SIZE)
    disease = draw_disease_with(seed, "collection disease", image, DISEASES[row["finding"]], None)
    pixels, _, _, _ = render(patient, view, disease)
    name = f"{row['image']:05d}.png"
    write_png(out / "images" / name, to_uint8(pixels))
    projection = "AP Supine" if view.projection == "AP" and rng.random() < SUPINE else view.projection
    return {
        "patientid": key,
        "sex": patient.sex,
        "age": patient.age,
        "finding": row["finding"],
        "view": projection,
        "modality": "X-ray",
        "folder": "images",
        "filename": name,
        "license": "CC0 (synthetic)",
    }


def smaller(patient: Patient, age: int) -> Patient:
    """A child's chest, and its age in years."""
    return replace(patient, age=age, **{name: getattr(patient, name) * factor for name, factor in CHILD.items()})
