"""From a run's tables to the comparison, with small networks; what cannot go on says so in a line."""

from copy import copy

import numpy as np
import pandas as pd
import pytest

from cxr.data.prepare import load_training
from cxr.data.tasks import STUDIES
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.papers.compare import FIGURES, compare_systems, differences
from cxr.papers.registry import SYSTEMS, config_of, system_of
from cxr.papers.run import run_own, run_studies
from cxr.papers.show import shown_heat
from cxr.papers.tasks import own_task, study_task
from cxr.papers.unseen import Unseen, is_trained
from cxr.papers.words import conclusion
from cxr.tables import read_csv
from cxr.workspace import write_json
from looked_run import looked_run

SMALL = (
    "unet_hrnet.network=squeezenet1_1 unet_hrnet.size=32 unet_hrnet.epochs=1 unet_hrnet.lungs=whole "
    "patch_vote.network=squeezenet1_1 patch_vote.side=64 patch_vote.patch=32 patch_vote.votes=3 patch_vote.epochs=1 "
    "patch_vote.lungs=whole collections.pictures=40"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a spine's classifier, lungs and predictions."""
    workspace = looked_run(tmp_path_factory.mktemp("run"), SMALL)
    write_json({"data": "phantom", "companions": {}}, workspace.places.inputs)
    return workspace


@pytest.fixture(scope="module")
def compared(run):
    for name in ("unet_hrnet", "patch_vote"):
        run_studies(run, name)
    return compare_systems(run)


def test_the_study_task_is_the_spines(run):
    task = study_task(run)
    folds = read_csv(run.places.folds_table)
    assert task.name == STUDIES and task.classes == STUDY_CLASSES
    assert task.fold.tolist() == folds["fold"].tolist()


def test_out_of_fold_tables_are_what_the_report_reads(run, compared):
    for name in ("unet_hrnet", "patch_vote"):
        table = read_csv(run.places.predictions(name) / "out_of_fold_images.csv")
        assert len(table) == len(read_csv(run.places.images_table)) and table["image_id"].is_unique
        assert np.allclose(table[list(STUDY_CLASSES)].sum(axis=1), 1, atol=1e-4)


def test_all_stand_in_one_table(run, compared):
    assert compared["system"].tolist() == ["studies", "unet_hrnet", "patch_vote"]
    for figure in FIGURES:
        assert compared[figure].between(0, 1).all(), figure
        # squeezed maps of untrained networks may be empty, so that some intervals are not there
        known = compared[f"{figure}_low"].notna()
        assert (compared[f"{figure}_low"] <= compared[f"{figure}_high"])[known].all()
    assert (compared["parameters"] > 1e5).all() and (compared["seconds"] > 0).all()
    assert run.places.systems_table.is_file() and shown_heat(run) is not None
    gains = differences(run)
    assert gains["system"].tolist() == ["unet_hrnet", "patch_vote"] and (gains["low"] <= gains["high"]).all()
    words = conclusion(compared, True, gains)
    assert "synthetic" in words and "study AP" in words


def test_a_system_is_asked_about_pictures_of_no_table(run, compared):
    """Out of fold is one fold's word; unseen pictures get the mean of all folds, each of which gives that word."""
    images, _, pixels = load_training(run)
    system = Unseen(run, "unet_hrnet")
    table = system.predict(images, np.asarray(pixels))
    assert np.allclose(table[list(STUDY_CLASSES)].sum(axis=1), 1, atol=1e-4)
    alone = copy(system)
    alone.folders = system.folders[:1]
    known = read_csv(run.places.predictions("unet_hrnet") / "out_of_fold_images.csv").set_index("image_id")
    tested = (images["fold"] == 0).to_numpy()
    first = alone.predict(images[tested], np.asarray(pixels)[tested]).set_index("image_id")
    assert np.allclose(first, known.loc[first.index, first.columns], atol=1e-4)
    heat = system.heat(images[:2], np.asarray(pixels[:2]), np.array([1, 1]))
    assert heat.shape == pixels[:2].shape and heat.min() >= 0 and heat.max() <= 1


def test_a_system_that_is_not_trained_says_how(run):
    assert not is_trained(run, "covid_cxnet")
    with pytest.raises(DataFault, match="make systems"):
        Unseen(run, "covid_cxnet")


def test_the_conclusion_follows_the_intervals():
    rows = [("a", 0.9, 0.85, 0.95), ("b", 0.5, 0.45, 0.55)]
    table = pd.DataFrame(rows, columns=["title", "study AP", "study AP_low", "study AP_high"])
    table["system"] = table["title"]
    none = pd.DataFrame()
    assert "a has the highest study AP, 0.900 (0.850 to 0.950), and no other interval reaches it" in conclusion(
        table, False, none
    )
    close = table.assign(**{"study AP_high": [0.95, 0.87]})
    assert "so the order among them is open" in conclusion(close, False, none)
    assert "synthetic" not in conclusion(table, False, none)
    assert "run the notebooks 21 to 24" in conclusion(table[:0], False, none)


def test_an_own_task_runs_on_the_phantom_collection_and_says_so(run, capsys):
    outcome = run_own(run, "unet_hrnet")
    said = capsys.readouterr().out
    assert "PHANTOM collection for task two" in said
    assert outcome.task.classes == ("normal", "covid") and len(outcome.folders) == 2
    table = read_csv(run.places.own_predictions("unet_hrnet", "two"))
    assert len(table) == len(outcome.rows) and {"true", "normal", "covid", "fold"} <= set(table.columns)


def test_what_an_own_task_learned_is_no_part_of_the_four_classes(run, compared):
    """Folders, sources and starts are apart."""
    import json

    run_own(run, "unet_hrnet")
    own = json.loads((run.places.own_model("unet_hrnet", "two", 0) / "run.json").read_text())
    four = json.loads((run.places.model("unet_hrnet", 0) / "run.json").read_text())
    assert own["training_sources"] == ["phantom of phantom collection"]
    assert four["training_sources"] == ["phantom of SIIM-FISABIO-RSNA train"] and four["weights"] == "random"


def test_bad_input_is_one_line(run, tmp_path):
    with pytest.raises(DataFault, match="hrnet: no such system; choose one of unet_hrnet"):
        system_of("hrnet")
    with pytest.raises(DataFault, match="five: no such task"):
        own_task(run, "five")
    assert config_of(run.profile, "patch_vote").votes == 3 and set(SYSTEMS) >= {"covid_cxnet"}


def test_no_lung_masks_stop_a_system_in_words(tmp_path):
    workspace = looked_run(tmp_path, SMALL.replace("unet_hrnet.lungs=whole", ""))
    write_json({"data": "phantom", "companions": {}}, workspace.places.inputs)
    with pytest.raises(DataFault, match="unet_hrnet: no lung masks .* in the input; put lung masks into the input, or"):
        run_studies(workspace, "unet_hrnet")


def test_the_users_collection_must_have_the_tasks_classes(tmp_path):
    workspace = looked_run(tmp_path, SMALL)
    write_json({"data": "phantom", "companions": {}}, workspace.places.inputs)
    columns = "image_id,path,label,patient_id,age,sex,view,source,licence,part,group,split"
    rows = [f"i{n},/none/{n}.png,{label},p{n},,,,x,,,p{n},train" for n, label in enumerate(["normal", "flu"])]
    workspace.places.collections.mkdir(parents=True)
    (workspace.places.collections / "two.csv").write_text("\n".join([columns, *rows]) + "\n")
    with pytest.raises(DataFault, match="the collection has the class flu, the task knows normal, covid"):
        own_task(workspace, "two")
    text = (workspace.places.collections / "two.csv").read_text().replace("flu", "covid")
    (workspace.places.collections / "two.csv").write_text(text)
    with pytest.raises(DataFault, match="none of 2 pictures can be read"):
        own_task(workspace, "two")


def test_children_teach_and_adults_are_tested(run):
    """Paper 001, table 1."""
    from cxr.ablations.systems import children_task

    task = children_task(run)
    training, validation, tested = task.parts(0)
    for part in (training, validation):
        normal = part.images["label"] == "normal"
        assert (part.images["age"][normal] < 18).all()
    adults = tested.images[tested.images["label"] == "normal"]
    assert len(adults) and (adults["age"] >= 18).all() and (tested.targets == 1).any()
    assert not set(training.images["patient_id"]) & set(tested.images["patient_id"])


def test_the_external_set_is_the_competitions_and_teaches_nothing(run):
    from cxr.ablations.systems import external_task

    own, images = own_task(run, "two"), read_csv(run.places.images_table)
    training, validation, tested = external_task(run, own).parts(0)
    wanted = images["image_id"][images[["negative", "typical"]].sum(axis=1) == 1]
    assert set(tested.ids) == set(wanted) and not {*training.ids, *validation.ids} & set(wanted)
    assert tested.picture(0).shape == training.picture(0).shape


def test_repeats_are_one_row_with_their_ends():
    from cxr.ablations.systems import repeats

    values = {"F1": 0.5, "sensitivity": 0.5, "specificity": 0.5, "AUC": 0.5, "system": "s", "task": "two"}
    rows = [{"what": f"seed {n}", "accuracy": a, **values} for n, a in enumerate((0.5, 0.6, 0.7))]
    found = repeats([{"what": "other", "accuracy": 0.1, **values}, *rows])[0]
    assert (found["accuracy"], found["low"], found["high"]) == (0.6, 0.5, 0.7) and found["what"].startswith("3 seeds")
    assert repeats([]) == []
