"""The phantom's collection reads like the one that it stands in for, and is the same at every making."""

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.data.collections.ieee8023 import read_ieee8023
from cxr.data.collections.label_maps import LABEL_MAPS, mapped_labels
from cxr.phantom.collection import FINDINGS, make_collection, plan_collection


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    make_collection(folder, 20, seed=1, workers=1)
    return folder


def test_the_adapter_reads_it_without_findings(made):
    table, findings = read_ieee8023(made)
    assert findings == [] and len(table) == len(plan_collection(20, 1))
    assert set(table["label"]) == set(FINDINGS) and set(table["view"]) <= {"PA", "AP", "AP Supine"}
    for name, classes in (("two", 2), ("three", 3), ("four", 4)):
        assert mapped_labels(table["label"], LABEL_MAPS[name]).nunique() == classes


def test_it_is_the_same_again(made, tmp_path):
    make_collection(tmp_path, 20, seed=1, workers=2)
    files = sorted(path.name for path in (made / "images").iterdir())
    assert files and all((made / "images" / f).read_bytes() == (tmp_path / "images" / f).read_bytes() for f in files)
    assert (made / "metadata.csv").read_bytes() == (tmp_path / "metadata.csv").read_bytes()


def test_children_are_normal_smaller_and_few():
    plan = plan_collection(400, 0)
    assert set(plan.loc[plan["is_child"], "finding"]) == {"No Finding"}
    assert 0.05 < plan.loc[plan["finding"] == "No Finding", "is_child"].mean() < 0.16
    assert plan.groupby("patient")["finding"].nunique().eq(1).all() and plan["patient"].duplicated().any()


def test_pictures_are_radiographs(made):
    ages = pd.read_csv(made / "metadata.csv")["age"]
    picture = cv2.imread(str(next((made / "images").iterdir())), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (512, 512) and picture.std() > 20 and np.ptp(picture) > 150
    assert ages.between(1, 95).all()
