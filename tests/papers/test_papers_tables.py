"""The tables and figures of each paper, from a small outcome."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.data.tasks import Pictures
from cxr.faults import DataFault
from cxr.figures.pictures import Picture
from cxr.images.lungs import HEART, LEFT_LUNG, RIGHT_LUNG
from cxr.papers import covid_cxnet, patch_vote, unet_hrnet
from cxr.papers.looks import examples, heat_figure, share_in_lungs
from cxr.papers.registry import SYSTEMS
from cxr.papers.resunet_ensemble import Members, roc_figure
from cxr.papers.run import run_task
from made_task import SIDE, small_config, small_task, small_workspace


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Each system on its first own task; lungs are known already, so no segmenter is asked for."""
    workspace = small_workspace(tmp_path_factory.mktemp("run"))
    found = {}
    for name, system in SYSTEMS.items():
        c = small_config(name, lungs="whole")
        found[name] = run_task(workspace, system, c, small_task(system.OWN[0]), workspace.places.own_model)
    return workspace, found


def test_paper_000(outcomes):
    workspace, found = outcomes
    outcome = found["unet_hrnet"]
    table = unet_hrnet.fold_table(outcome)
    assert list(table.index) == ["fold 0", "mean"] and table["accuracy"].between(0, 1).all()
    assert isinstance(unet_hrnet.best_and_worst(outcome), Picture)
    whole = unet_hrnet.without_segmentation(workspace, outcome)
    assert whole.rows.tolist() == outcome.rows.tolist()
    assert isinstance(heat_figure({"lungs": outcome, "whole": whole}, target=1), Picture)
    assert set(share_in_lungs(outcome)) == {"heat in lungs", "even", "pictures"}


def test_examples_are_the_same_and_of_every_class(outcomes):
    outcome = outcomes[1]["patch_vote"]
    chosen = examples(outcome, 1)
    assert chosen.tolist() == examples(outcome, 1).tolist()
    assert set(outcome.truth[chosen]) == set(outcome.truth)


def test_paper_001(outcomes):
    workspace, found = outcomes
    outcome = found["covid_cxnet"]
    assert isinstance(covid_cxnet.enhancements(outcome.task), Picture)
    assert isinstance(covid_cxnet.grad_cam_and_lime(outcome, 1), Picture)
    assert "stage 04 has left no network" in covid_cxnet.nih_outputs(workspace, outcome.task)
    assert covid_cxnet.hierarchical(workspace).hierarchical


def test_paper_002(outcomes, monkeypatch):
    workspace, found = outcomes
    outcome = found["patch_vote"]
    both = {"local": outcome, "global": patch_vote.global_approach(workspace, outcome)}
    assert list(patch_vote.measures(both).columns) == list(patch_vote.COLUMNS)
    assert list(patch_vote.sensitivities(both).columns) == list(outcome.task.classes)
    maps = np.zeros((SIDE, SIDE), np.uint8)
    maps[10:54, 8:28], maps[10:54, 36:56], maps[30:50, 24:44] = RIGHT_LUNG, LEFT_LUNG, HEART
    monkeypatch.setattr(
        patch_vote, "structures_of", lambda workspace, outcome, rows: np.repeat(maps[None], len(rows), 0)
    )
    markers, labels = patch_vote.markers(workspace, outcome)
    assert markers[patch_vote.RATIO][:3] == pytest.approx([20 / 48] * 3)
    assert len(labels) == len(outcome.task.pictures) and np.isnan(markers[patch_vote.INTENSITY][-1])
    assert isinstance(patch_vote.marker_tables(markers, labels, outcome.task.classes), pd.DataFrame)
    assert isinstance(patch_vote.anatomy_histograms(workspace, outcome), Picture)
    table = patch_vote.under_segmented(outcome)
    assert table["under-segmented"].sum() == 1, "the picture whose lungs failed"
    failed = len(outcome.task.pictures) - 1
    assert table["tested"].sum() - table["tested without"].sum() == (outcome.task.fold[failed] >= 0)
    without = patch_vote.without_under_segmented(outcome.task)
    assert np.flatnonzero(without.usable != outcome.task.usable).tolist() == [failed]
    assert without.fold[failed] == -1 and not without.validation[failed]
    assert patch_vote.without_supine(workspace, outcome) == "no picture says its view"
    patches, of = patch_vote.patch_markers(outcome, 4)
    assert len(patches[patch_vote.INTER]) == len(of)


def test_under_segmented_pictures_of_a_system_that_sees_them_whole(outcomes):
    outcome = outcomes[1]["patch_vote"]
    pictures = outcome.task.pictures
    bare = replace(
        outcome, task=outcome.task._replace(pictures=Pictures(pictures.images, pictures.targets, pictures.pixels))
    )
    with pytest.raises(DataFault, match="lungs=whole"):
        patch_vote.under_segmented(bare)


def test_paper_003(outcomes):
    members = Members(outcomes[1]["resunet_ensemble"])
    table = members.accuracies()
    assert table["weight"].dropna().sum() == pytest.approx(1, abs=0.01) and len(table) == 4
    assert len(members.nine_measures()) == 2 * len(members.classes)
    assert isinstance(members.matrices(), Picture) and isinstance(roc_figure({"three": members}), Picture)
