"""The course of the learning rate, by hand and as trainings write it."""

import dataclasses
import math

import pytest

from cxr.faults import DataFault
from cxr.profiles import PROFILES, Yolo
from cxr.training.recipe import Recipe, Stage, recipe_of, stepped_rate


def test_equation_1_ends_at_the_floor_with_a_step_an_epoch_and_halfway_with_one_every_other():
    # t = 34 and t = 17 of T = 35: (.5 (1 + cos(t pi / T)) .95 + .05)
    assert stepped_rate(34, 35, 1) == pytest.approx(0.5 * (1 + math.cos(34 * math.pi / 35)) * 0.95 + 0.05)
    assert stepped_rate(34, 35, 1) == pytest.approx(0.052, abs=5e-4), "figure 7"
    assert stepped_rate(34, 35, 2) == pytest.approx(0.546, abs=5e-4), "the text"
    assert [stepped_rate(epoch, 35, 2) for epoch in (0, 1)] == [1.0, 1.0] and stepped_rate(2, 35, 2) < 1


def test_a_recipe_steps_by_epochs_or_by_batches():
    stepped = Recipe((Stage(10, 2.0),), 0, step_every=2)
    rates = [stepped.rate(step, 5) for step in range(50)]
    assert rates[:10] == [2.0] * 10 and len(set(rates)) == 5, "five steps of two epochs of five batches"
    smooth = [dataclasses.replace(stepped, step_every=0).rate(step, 5) for step in range(50)]
    assert len(set(smooth)) == 50


def test_warm_up_comes_before_the_steps():
    recipe = Recipe((Stage(10, 1.0),), 0, step_every=1, warmup_fraction=0.1)
    assert [recipe.rate(step, 5) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert recipe.rate(5, 5) == stepped_rate(1, 10, 1)


def test_a_section_becomes_a_recipe_with_all_that_it_says():
    nih = PROFILES["paper"].nih
    recipe = recipe_of(nih, (Stage(nih.epochs, nih.lr),), 60.0)
    assert (recipe.optimizer, recipe.momentum, recipe.step_every) == ("SGD", 0.9, 2)
    assert (recipe.keep_best, recipe.accumulate, recipe.max_seconds) == (True, 1, 60.0)


@pytest.mark.parametrize("changes", [{"accumulate": 0}, {"step_every": -1}])
def test_values_that_mean_nothing_are_refused(changes):
    with pytest.raises(DataFault, match="at least 1 batch and 0 epochs"):
        Recipe((Stage(1, 1.0),), 0, **changes)


def test_yolo_follows_the_same_equation_and_warms_up_in_iterations(tmp_path):
    from cxr.training import yolo

    yolo.prepare(tmp_path)
    from cxr.training.yolo_losses import rate_of, warmup_batches

    assert [rate_of(Yolo(), epoch) for epoch in range(35)] == [stepped_rate(epoch, 35, 1) for epoch in range(35)]
    assert warmup_batches(Yolo(), 400) == 1000 and warmup_batches(Yolo(epochs=2), 400) == 400
    assert warmup_batches(Yolo(warmup_iterations=0, warmup_epochs=1.5), 400) == 600
