"""What stands on both sides of a fold's border: patients, studies, pictures.

Patients and pictures are taken from the images table, which comes from the DICOM headers: a folds file of elsewhere is
checked against the truth, not against itself.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.duplicates import Pairs, as_pairs, find_duplicates, same_picture_groups
from cxr.data.fingerprints import without_flat
from cxr.data.near_duplicates import to_thumbnails
from cxr.faults import DataFault
from cxr.tables import FOLDS, IMAGES, check_table, read_table
from cxr.workspace import Workspace

NOUNS = {"patient_id": "patient", "study_id": "study", "picture": "picture"}


def find_leaks(folds_table: pd.DataFrame, images_table: pd.DataFrame, pairs: Pairs = ()) -> pd.DataFrame:
    """What stands in several folds: kind (patient, study, picture), name, folds (a sorted list), a row each.

    folds_table needs image_id and fold; images_table image_id, patient_id, study_id and perhaps pixel_hash; a picture
    is named by the first of its image ids.
    """
    table = images_table.drop(columns=["fold", "group"], errors="ignore")
    table = table.merge(folds_table[["image_id", "fold"]], on="image_id")
    copies = {image: group[0] for group in same_picture_groups(table, list(pairs)) for image in group}
    table["picture"] = table["image_id"].map(copies)
    rows = []
    for column, noun in NOUNS.items():
        spread = table.groupby(column)["fold"].agg(lambda folds: sorted(set(folds)))
        rows += [(noun, name, held) for name, held in spread.items() if len(held) > 1]
    return pd.DataFrame(rows, columns=["kind", "name", "folds"])


def check_leaks(folds_table: pd.DataFrame, images_table: pd.DataFrame, pairs: Pairs = ()) -> None:
    """Raise DataFault naming patients, studies or pictures that stand in more than one fold."""
    check_table(folds_table, FOLDS, "folds")
    check_known(folds_table, images_table)
    leaks = find_leaks(folds_table, images_table, pairs)
    for noun in NOUNS.values():
        crossing = leaks[leaks["kind"] == noun]
        if len(crossing):
            names = ", ".join(leak_words(row) for row in crossing.head(3).itertuples())
            raise DataFault(
                f"folds leak: {len(crossing)} {noun}(s) stand in several folds ({names}); "
                "make the folds again, by `python -m cxr folds`"
            )


def check_known(folds_table: pd.DataFrame, images_table: pd.DataFrame, origin: str | Path = "folds") -> None:
    """Raise DataFault where an image with a fold is not in the images table."""
    unknown = sorted(set(folds_table["image_id"]) - set(images_table["image_id"]))
    if unknown:
        raise DataFault(
            f"{origin}: {len(unknown)} image(s) of the folds are not in the images table ({', '.join(unknown[:3])}), "
            "so leaks cannot be ruled out; make the folds again from this images table"
        )


def leak_words(leak) -> str:
    """`p1 in folds 0 and 2` for a row of `find_leaks`."""
    return f"{leak.name} in folds {' and '.join(map(str, leak.folds))}"


def exposed_shares(folds_table: pd.DataFrame, images_table: pd.DataFrame, leaks: pd.DataFrame) -> pd.Series:
    """By fold: share (0..1) of its images whose patient or study also stands in another fold."""
    table = images_table.drop(columns="fold", errors="ignore").merge(folds_table[["image_id", "fold"]], on="image_id")
    crossing = {kind: set(leaks.loc[leaks["kind"] == kind, "name"]) for kind in ("patient", "study")}
    exposed = table["patient_id"].isin(crossing["patient"]) | table["study_id"].isin(crossing["study"])
    return exposed.groupby(table["fold"]).mean()


def check_run(workspace: Workspace) -> pd.DataFrame:
    """Check the written folds of a run against headers and pixels as they lie there; returns the pairs of copies.

    Copies are looked for anew in the training cache, so that nothing of what made the folds is taken on trust. Raises
    DataFault for a leak, and for a table and a cache that do not belong together.
    """
    places = workspace.places
    images, folds = read_table(places.images_table, IMAGES), read_table(places.folds_table, FOLDS)
    cache = places.cache(workspace.profile.images.cache_size)
    pixels = np.load(cache, mmap_mode="r")
    if len(pixels) != len(images) or set(folds["image_id"]) != set(images["image_id"]):
        raise DataFault(
            f"{places.folds_table}: {len(folds)} images with a fold, {len(images)} in {places.images_table.name}, "
            f"{len(pixels)} in {cache.name}, which must be the same; run 01_dicom_to_png and 03_annotations_and_folds"
        )
    thumbnails = to_thumbnails(pixels)
    duplicates = find_duplicates(without_flat(images, thumbnails), thumbnails)
    check_leaks(folds, images.drop(columns="pixel_hash"), as_pairs(duplicates))
    return duplicates
