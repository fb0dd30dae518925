"""Every system keeps the same promises: shapes, probabilities, the same answer after reload, it can learn a batch."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from cxr.data.tasks import OWN_CLASSES
from cxr.faults import DataFault
from cxr.papers.registry import SYSTEMS, System
from cxr.profiles import PROFILES
from cxr.profiles import systems as sections
from cxr.training.pictures import Part
from made_task import SIDE, small_config, small_task, small_workspace


def learned(tmp_path, name, task_name="", by_heart=False, **more):
    """A system trained on a small task: module, config, folder, task; by_heart: it stops by what it learns from."""
    system, c = SYSTEMS[name], small_config(name, **more)
    task, workspace = small_task(task_name or system.OWN[0]), small_workspace(tmp_path)
    training, validation, _ = task.parts(0)
    folder = workspace.places.own_model(name, task.name, 0)
    shown = training if by_heart else validation
    system.train(Part(workspace, task, 0, folder, training, shown, system.CODE), c)
    return system, c, folder, task


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_learns_answers_and_looks(name, tmp_path):
    system, c, folder, task = learned(tmp_path, name)
    tested = task.parts(0)[2]
    chances = system.predict(folder, c, tested)
    assert chances.shape == (len(tested), len(task.classes))
    assert np.allclose(chances.sum(1), 1, atol=1e-5) and chances.min() >= 0
    assert np.array_equal(chances, system.predict(folder, c, tested)), "the same after it was loaded again"
    heat = system.heat(folder, c, tested, tested.targets)
    assert heat.shape == (len(tested), SIDE, SIDE) and heat.min() >= 0 and heat.max() <= 1 + 1e-6
    records = [json.loads(path.read_text()) for path in folder.rglob("run.json")]
    assert records and all(record["training_sources"] == ["made up"] for record in records)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_finished_training_is_kept(name, tmp_path, capsys):
    system, c, folder, task = learned(tmp_path, name)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("weights.pt")}
    capsys.readouterr()
    training, validation, _ = task.parts(0)
    system.train(Part(small_workspace(tmp_path), task, 0, folder, training, validation, system.CODE), c)
    assert "trained already, kept" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("weights.pt")}


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_can_learn_a_batch_by_heart(name, tmp_path):
    """As many epochs as that takes; what it learned from is what it is asked."""
    one, weak = {"network": "mobilenet_v2"}, {"networks": "mobilenet_v2", "augmentation": "patch_vote"}
    many = {
        "unet_hrnet": {"epochs": 30, "lr": 0.01, "augmentation": "patch_vote", **one},
        "covid_cxnet": {"epochs": 20, "lr": 1e-3, "smoothing": 0.0, "hidden": 0, **one},
        "patch_vote": {
            "epochs": 12,
            "lr": 1e-3,
            "patience": 12,
            "patches_an_epoch": 3,
            "votes": 30,
            "network": "resnet18",
        },
        "resunet_ensemble": {"step_epochs": 20, "lr": 1e-3, "patience": 80, "hidden": "64", **weak},
    }[name]
    system, c, folder, task = learned(tmp_path, name, "two", by_heart=True, **many)
    training = task.parts(0)[0]
    assert (system.predict(folder, c, training).argmax(1) == training.targets).mean() > 0.85


@pytest.mark.parametrize("name", SYSTEMS)
def test_four_classes_and_whole_pictures(name, tmp_path):
    system, c, folder, task = learned(tmp_path, name, "four", lungs="whole")
    assert system.predict(folder, c, task.parts(0)[2]).shape[1] == 4


def test_a_hierarchy_multiplies_its_branches(tmp_path):
    system, c, folder, task = learned(tmp_path, "covid_cxnet", "three", hierarchical=True)
    tested = task.parts(0)[2]
    chances = system.predict(folder, c, tested)
    ill = system.predict(folder / "ill", replace(c, hierarchical=False), tested)
    assert np.allclose(chances[:, 0], ill[:, 0]) and np.allclose(chances[:, 1:].sum(1), ill[:, 1], atol=1e-6)
    assert system.heat(folder, c, tested, tested.targets).shape == (len(tested), SIDE, SIDE)


def test_global_approach_and_mask_only(tmp_path):
    for number, more in enumerate(({"approach": "global"}, {"mask_only": True}, {"masked": False}, {"voting": "mean"})):
        system, c, folder, task = learned(tmp_path / str(number), "patch_vote", **more)
        tested = task.parts(0)[2]
        assert np.allclose(system.predict(folder, c, tested).sum(1), 1, atol=1e-5)
        assert system.heat(folder, c, tested, tested.targets).shape == (len(tested), SIDE, SIDE)


def test_votes_are_counted_and_ties_fall_to_the_surer_class():
    vote = SYSTEMS["patch_vote"].vote
    each = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.45, 0.55, 0.0], [0.8, 0.2, 0.0]])
    assert vote(each, "mean") == pytest.approx(each.mean(0))
    found = vote(each, "majority")
    assert found.sum() == pytest.approx(1) and found.argmax() == 0
    assert found == pytest.approx([0.5, 0.5, 0], abs=0.01)


def test_ensemble_weights_are_the_best_on_validation():
    best = SYSTEMS["resunet_ensemble"].best_weights
    targets = np.array([0, 1, 0, 1])
    right, wrong = np.eye(2)[targets] * 0.2 + 0.4, np.eye(2)[1 - targets]
    weights = best(np.stack([right, wrong]), targets)
    assert weights.sum() == pytest.approx(1) and weights[0] > 0.8
    assert best(np.stack([right, right]), targets) == pytest.approx([0.5, 0.5])
    assert SYSTEMS["resunet_ensemble"].majority(np.stack([right, wrong, right])).argmax(1).tolist() == targets.tolist()


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("patch_vote", {"approach": "near"}, "patch_vote.approach=near"),
        ("covid_cxnet", {"channels": "red"}, "covid_cxnet.channels=red"),
        ("resunet_ensemble", {"hidden": "8"}, "2 networks .* need as many whole widths, found 8"),
        ("unet_hrnet", {"lungs": "left"}, "lungs=left: not known"),
        ("unet_hrnet", {"network": "hrnet"}, "torchvision has no such classification network"),
    ],
)
def test_wrong_values_are_named(name, more, message, tmp_path):
    with pytest.raises(DataFault, match=message):
        learned(tmp_path, name, **more)


def test_every_system_has_the_same_face():
    names = [name for name in System.__annotations__]
    for name, system in SYSTEMS.items():
        assert name == system.NAME and all(hasattr(system, part) for part in names)
        assert set(system.OWN) <= set(OWN_CLASSES)
        for profile in PROFILES.values():
            assert isinstance(getattr(profile, name), system.Config)
            for task, config in system.variants(getattr(profile, name)).values():
                assert task in OWN_CLASSES and isinstance(config, system.Config)


def test_every_value_names_its_place_in_the_paper():
    lines = Path(sections.__file__).read_text().split("class Collections")[0].splitlines()
    values = [line for line in lines if re.match(r"    \w+: (int|float|str|bool) = ", line)]
    assert len(values) == sum(len(fields(SYSTEMS[name].Config)) for name in SYSTEMS)
    origin = re.compile(r"#.*?(\b[2-6]\.\d|\b(I|II|III|V)-[A-F]|table \d|figure \d|\bours\b)")
    assert [line for line in values if not origin.search(line)] == []


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.slow
def test_published_networks_are_built(name):
    """At full size, one forward pass each."""
    import torch

    c = getattr(PROFILES["paper"], name)
    for network in SYSTEMS[name].networks(c, 4).values():
        size = c.patch if name == "patch_vote" else c.size
        with torch.inference_mode():
            assert network.eval()(torch.zeros(1, 1, size, size, dtype=torch.uint8)).shape == (1, 4)


def test_layers_learn_step_by_step_with_statistics_at_rest():
    """Paper 003: the head, then more layers from the last on, all in the last step; none is frozen half."""
    system, c = SYSTEMS["resunet_ensemble"], small_config("resunet_ensemble", steps=3)
    network = system.build(c, "squeezenet1_1", 3)
    found = system.stages(c, network)
    assert [len(stage.trainable) for stage in found] == sorted({len(stage.trainable) for stage in found})
    assert found[0].trainable == ("classifier",) and found[0].lr == 0.001
    assert all(stage.frozen_norms for stage in found) and {stage.lr for stage in found[1:]} == {c.lr}
    names = [name for name, _ in network.named_parameters()]
    assert all(name.startswith(found[-1].trainable) for name in names)
    assert not all(name.startswith(found[1].trainable) for name in names)
    assert system.stages(c, network, trained=False) == (type(found[0])(c.head_epochs + 3 * c.step_epochs, c.lr),)
