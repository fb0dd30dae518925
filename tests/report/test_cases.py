"""Good and bad cases: chosen by the error of the fused system, the same at every run."""

import numpy as np
import pandas as pd
import pytest

from cxr.evaluation.out_of_fold import opacity_ap
from cxr.evaluation.run_files import RunFiles
from cxr.labels import STUDY_CLASSES
from cxr.report.cases import EACH, boxed_images, cases, false_alarms, find_cases, wrong_studies
from cxr.tables import BOX_COLUMNS
from made_run import boxes_of, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("cases"))


def test_figures_of_an_image_are_those_of_the_metric_on_it_alone(run):
    files = RunFiles(run[0])
    boxes = files.boxes["fused"]
    table = boxed_images(files.ground, boxes).set_index("image_id")
    assert set(table.index) == set(files.truth["image_id"])
    for image_id in table.index:
        alone = files.images[files.images["image_id"] == image_id]
        assert table.at[image_id, "ap"] == pytest.approx(opacity_ap(alone, files.truth, boxes))


def test_ties_are_broken_by_overlap(run):
    files = RunFiles(run[0])
    near, exact = files.truth[:1].copy(), files.truth[1:2].copy()
    # both are hits; moved by a tenth of its width a box keeps an IoU of .9 / 1.1
    near["x_min"] += 0.1 * (near["x_max"] - near["x_min"])
    near["x_max"] += (near["x_max"] - near["x_min"]) / 0.9 * 0.1
    table = boxed_images(files.ground, pd.concat([near, exact])).set_index("image_id")
    assert table.loc[near["image_id"].item()].tolist() == pytest.approx([1, 0.9 / 1.1])
    assert table.loc[exact["image_id"].item()].tolist() == pytest.approx([1, 1])
    rest = table.drop([near["image_id"].item(), exact["image_id"].item()])
    assert (rest == 0).all(axis=None), "an image without a detection"


def test_a_box_far_down_the_list_is_no_overlap_of_the_best(run):
    files = RunFiles(run[0])
    true = files.truth[:1]
    wrong = true.assign(score=0.9, **{name: true[name] + 500 for name in BOX_COLUMNS})
    found = boxed_images(files.ground, pd.concat([wrong, true.assign(score=0.1)])).set_index("image_id")
    assert found.loc[true["image_id"].item()].tolist() == [0.5, 0], "the hit is second of two, the best box misses"


def test_false_alarms_come_loudest_first(run):
    files = RunFiles(run[0])
    ids = list(files.ground.images[files.ground.empty])
    boxes = boxes_of(np.random.default_rng(0), ids, 2).assign(score=0.1)
    boxes.loc[boxes["image_id"] == ids[2], "score"] = [0.2, 0.8]
    found = false_alarms(files.ground, boxes)
    assert [case.image_id for case in found] == [ids[2], *sorted(set(ids) - {ids[2]})[: EACH - 1]]
    assert ".800" in found[0].why


def test_wrong_studies_come_surest_first_and_right_ones_never(run):
    files = RunFiles(run[0])
    scores = pd.DataFrame(np.eye(4)[files.ground.classes] * 0.9, columns=list(STUDY_CLASSES))
    scores.insert(0, "study_id", files.ground.studies)
    assert wrong_studies(files, scores) == []
    for row, value in ((3, 0.95), (5, 0.99)):
        scores.loc[row, list(STUDY_CLASSES)] = 0.0
        taken = STUDY_CLASSES[(files.ground.classes[row] + 1) % 4]
        scores.loc[row, taken] = value
    found = wrong_studies(files, scores)
    image_of = files.images.set_index("study_id")["image_id"]
    assert [case.image_id for case in found] == [image_of[files.ground.studies[row]] for row in (5, 3)]
    assert taken in found[0].why and ".990" in found[0].why


def test_the_same_run_shows_the_same_cases_beside_each_other(run, monkeypatch):
    files = RunFiles(run[0])
    found = find_cases(files)
    assert found == find_cases(RunFiles(run[0])) and [len(group) for group in found.values()] == [EACH] * 4
    monkeypatch.setattr("cxr.report.cases.EACH", 1)
    blocks = cases(files)
    rows = [block for block in blocks if "class=row" in block]
    assert len(rows) == 4
    assert all(row.count("<img") == 3 and row.count("class=classes") == 2 for row in rows), "3 detectors, 2 opinions"


def test_without_stage_10_the_first_models_choose(run, tmp_path):
    workspace = make_run(tmp_path)[0]
    for name in ("out_of_fold.csv", "none.csv", "studies.csv"):
        (workspace.places.fused / name).unlink()
    assert list(find_cases(RunFiles(workspace))) == list(find_cases(RunFiles(run[0])))
    (workspace.places.predictions("studies") / "out_of_fold_images.csv").unlink()
    assert len(find_cases(RunFiles(workspace))) == 3, "no classifier, no wrong study"
