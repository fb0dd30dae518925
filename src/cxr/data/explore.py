"""Stage 02: what the data looks like before anything learns from it.

Two bases, never mixed: *labelled* images are all rows of the label files, *converted* ones those of the images table (a
profile may convert a part only). Headers, sizes, patients and pixels are known of converted images alone. The other
data sets have counts by their label files, and a small sample of pictures.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.data.counts import box_statistics, class_counts, companion_labels, coverage, patients, siim_counts, tally
from cxr.data.headers import header_list, header_values, missing_tags
from cxr.data.markers_seen import SpotMap, marker_maps, marker_table
from cxr.data.paper_facts import paper_facts
from cxr.data.quirks import quirks
from cxr.data.samples import Sample, companion_samples
from cxr.data.siim import labelled_images
from cxr.faults import DataFault
from cxr.tables import FAILURES, IMAGES, read_table, write_csv
from cxr.workspace import Workspace, write_json

COMPANIONS = ("NIH", "RSNA")


@dataclass(frozen=True)
class Pixels:
    """What stage 02 looks at beside tables."""

    cache: np.ndarray  # uint8 [N x S x S], row i for row i of the images table
    samples: dict[str, Sample]  # by data set: NIH, RSNA, masks
    maps: dict[str, SpotMap]  # spots by class and source
    markers: pd.DataFrame  # repeated places, `markers_seen.marker_table`

    @property
    def others(self) -> dict[str, np.ndarray]:
        """The samples' pictures by data set."""
        return {name: sample.pixels for name, sample in self.samples.items()}


def explore(workspace: Workspace) -> dict[str, pd.DataFrame]:
    """The tables behind the figures, and their plain counts in `tables/explore.json`.

    labelled (labels of every image), converted (images table), boxes, patients, quirks, classes, paper (its numbers
    beside ours), headers (every value), missing (tags), rsna_boxes, and the labelled images NIH and RSNA. A data set
    that is not in the input has no rows in the others and no table of its own. DataFault when stage 01 has not run.
    """
    places = workspace.places
    if not places.images_table.is_file():
        raise DataFault(f"{places.images_table}: not there yet; run notebook 01_dicom_to_png first, or `make all`")
    labels, _ = labelled_images(workspace.competition)
    images, failures = read_table(places.images_table, IMAGES), read_table(places.failures_table, FAILURES)
    others, rsna_boxes = companion_labels(workspace)
    tables = {
        "labelled": labels,
        "converted": images,
        "boxes": box_statistics(labels, images),
        "patients": patients(images),
        "quirks": quirks(images, failures, labels),
        "classes": class_counts(labels, others),
        "paper": paper_facts(labels, images, others, rsna_boxes),
        "headers": header_list(images),
        "missing": missing_tags(images, workspace.competition),
        "rsna_boxes": rsna_boxes,
        **others,
    }
    write_json(plain_counts(tables, failures), places.tables / "explore.json")
    return tables


def look_at_pixels(workspace: Workspace, tables: Mapping[str, pd.DataFrame]) -> Pixels:
    """The cache, a few pictures of each other data set, and where bright spots repeat; from `explore`'s tables.

    Writes `tables/markers.csv`. DataFault when the cache is not there or does not fit the images table.
    """
    path, images = workspace.places.cache(workspace.profile.images.cache_size), tables["converted"]
    if not path.is_file():
        raise DataFault(f"{path}: not there; run notebook 01_dicom_to_png again, which makes it")
    cache = np.load(path, mmap_mode="r")
    if len(cache) != len(images):
        raise DataFault(
            f"{path}: {len(cache)} pictures, but the images table has {len(images)} rows; run 01_dicom_to_png again"
        )
    samples = companion_samples(workspace, {name: tables[name] for name in COMPANIONS if name in tables})
    for name, sample in samples.items():
        if len(sample.failures):
            first = sample.failures.iloc[0]
            print(
                f"{name}: {len(sample.failures)} sampled pictures left out, the first is {first.path}: {first.reason}"
            )
    maps = marker_maps(cache, images, {name: sample.pixels for name, sample in samples.items()})
    markers = marker_table(maps, coverage(tables["boxes"]))
    write_csv(markers, workspace.places.tables / "markers.csv")
    return Pixels(cache, samples, maps, markers)


def plain_counts(tables: Mapping[str, pd.DataFrame], failures: pd.DataFrame) -> dict:
    """What goes into explore.json: a share of nothing is null, a data set that is not in the input has no entry."""
    images, by_patient = tables["converted"], tables["patients"]
    return {
        "labelled": siim_counts(tables["labelled"]),
        "converted": {
            "images": len(images),
            "failures": len(failures),
            "patients": len(by_patient),
            "studies_per_patient": tally(by_patient["studies"]),
            **{side: [int(images[side].min()), int(images[side].max())] for side in ("height", "width")},
            **{field: values.value_counts().to_dict() for field, values in header_values(images).items()},
        },
        "classes": {
            name: dict(zip(rows["class"], map(int, rows["count"]), strict=True))
            for name, rows in tables["classes"].groupby("dataset", sort=False)
        },
        **{name: _records(tables[name]) for name in ("quirks", "paper", "missing")},
    }


def _records(table: pd.DataFrame) -> list[dict]:
    """Rows as plain Python values; NaN is null."""
    return json.loads(table.to_json(orient="records"))
