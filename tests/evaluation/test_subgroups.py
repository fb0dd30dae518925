"""Groups of patients: counts, areas and differences against direct arithmetic, and the audit of a run's files."""

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxr.data.masks import mask_file, write_mask
from cxr.evaluation.audit import SHORTCUTS, SUBGROUPS, audit_run
from cxr.evaluation.intervals import interval
from cxr.evaluation.out_of_fold import ground_truth, match_none, match_opacity
from cxr.evaluation.subgroups import COLUMNS, groups_of, subgroup_scores
from cxr.figures.audit import subgroup_dots
from cxr.labels import STUDY_CLASSES
from cxr.tables import BOX_COLUMNS, read_table
from cxr.workspace import open_workspace

COUNT, SIZE = 160, 48


def run_tables(seed=0):
    """160 studies of one image, 80 patients with two studies each, women and men in turn, two folds."""
    rng = np.random.default_rng(seed)
    ids = [f"image{k:03d}" for k in range(COUNT)]
    patient = np.arange(COUNT) // 2
    images = pd.DataFrame({"image_id": ids, "study_id": [f"s{k:03d}" for k in range(COUNT)]})
    images["patient_id"], images["fold"] = [f"p{k}" for k in patient], patient // 2 % 2
    images = images.assign(source="siim", path="x.png", height=100, width=120, role="train", age=None, bits_stored=12)
    images["sex"], images["modality"] = np.where(patient % 2, "M", "F"), np.where(patient < 4, "DX", "CR")
    classes = rng.integers(0, 4, COUNT)
    images[list(STUDY_CLASSES)] = np.eye(4, dtype=int)[classes]
    images["has_box"] = (classes > 0).astype(int)
    boxed = images.loc[images["has_box"] == 1, "image_id"]
    truth = pd.DataFrame(np.tile([10.0, 10, 60, 60], (len(boxed), 1)), columns=BOX_COLUMNS)
    truth.insert(0, "image_id", boxed.to_numpy())
    truth.insert(1, "label", "opacity")
    return images, truth.assign(score=1.0)


def predictions(images, truth, seed=1, worse=None):
    """Boxes, none and studies that know something; `worse`, rows bool, get studies by chance."""
    rng = np.random.default_rng(seed)
    scores = images[list(STUDY_CLASSES)].to_numpy() * 0.5 + rng.random((COUNT, 4))
    if worse is not None:
        scores[worse] = rng.random((worse.sum(), 4))
    studies = pd.DataFrame(scores / scores.sum(1, keepdims=True), columns=list(STUDY_CLASSES))
    none = pd.Series((1 - images["has_box"].to_numpy()) * 0.3 + rng.random(COUNT) * 0.7, index=images["image_id"])
    boxes = truth.assign(score=rng.uniform(0.1, 1, len(truth)))
    boxes[BOX_COLUMNS] += rng.normal(0, 8, (len(boxes), 4))
    return boxes, none, studies.assign(study_id=images["study_id"])


@pytest.fixture(scope="module")
def scored():
    images, truth = run_tables()
    boxes, none, studies = predictions(images, truth)
    ground = ground_truth(images, truth)
    return images, truth, boxes, none, studies, subgroup_scores(ground, images, boxes, none, studies, resamples=100)


def row_of(table, field, group, key):
    return table[(table["field"] == field) & (table["group"] == group) & (table["key"] == key)].iloc[0]


def test_rows_and_counts(scored):
    images, truth, *_, table = scored
    assert tuple(table.columns) == COLUMNS
    groups = [("all", "all"), ("sex", "F"), ("sex", "M"), ("modality", "CR"), ("modality", "DX")]
    assert list(zip(table["field"], table["group"], strict=True)) == [pair for pair in groups for _ in range(3)]
    assert list(table["key"][:3]) == ["studies", "opacity", "none"]  # source, age: one value, nothing to compare
    women = images[images["sex"] == "F"]
    row = row_of(table, "sex", "F", "opacity")
    assert (row["patients"], row["images"]) == (40, 80)
    assert row["positives"] == truth["image_id"].isin(women["image_id"]).sum()
    assert row_of(table, "sex", "F", "none")["positives"] == (women["has_box"] == 0).sum()
    assert row_of(table, "sex", "F", "studies")["positives"] == women[list(STUDY_CLASSES)].sum().min()


def test_areas_are_means_over_pairs_of_a_fold(scored):
    images, _, _, none, studies, table = scored
    women = images[images["sex"] == "F"]
    won = pairs = 0
    for _, part in women.groupby("fold"):
        empty = part["has_box"] == 0
        count = empty.sum() * (~empty).sum()
        won, pairs = won + count * roc_auc_score(empty, none[part["image_id"]]), pairs + count
    assert row_of(table, "sex", "F", "none")["AUC"] == pytest.approx(won / pairs)
    assert row_of(table, "sex", "F", "opacity")[["AUC", "AUC_low", "difference"]].isna().all()
    classes = []
    for name in STUDY_CLASSES:
        won = pairs = 0
        for _, part in women.groupby("fold"):
            count = part[name].sum() * (1 - part[name]).sum()
            won += count * roc_auc_score(part[name], studies.set_index("study_id").loc[part["study_id"], name])
            pairs += count
        classes.append(won / pairs)
    assert row_of(table, "sex", "F", "studies")["AUC"] == pytest.approx(np.mean(classes))


def test_precision_is_that_of_the_group_alone(scored):
    images, truth, boxes, none, _, table = scored
    men = ground_truth(images[images["sex"] == "M"], truth)
    for key, matches in (("none", match_none(men, none)), ("opacity", match_opacity(men, boxes))):
        row, expected = row_of(table, "sex", "M", key), interval(matches, men.patient, 100, men.fold)
        assert row[["AP", "AP_low", "AP_high"]].tolist() == pytest.approx(list(expected))


def test_differences_are_to_everybody_else(scored):
    *_, table = scored
    women, men = (row_of(table, "sex", sex, "studies") for sex in "FM")
    assert women["difference"] == pytest.approx(women["AUC"] - men["AUC"]) == pytest.approx(-men["difference"])
    assert women["difference_low"] < women["difference"] < women["difference_high"]
    assert not table["differs"].any()
    assert row_of(table, "all", "all", "studies")[["difference", "difference_low"]].isna().all()


def test_a_group_that_is_served_worse_differs():
    images, truth = run_tables()
    boxes, none, studies = predictions(images, truth, worse=(images["sex"] == "M").to_numpy())
    table = subgroup_scores(ground_truth(images, truth), images, boxes, none, studies, resamples=100)
    differing = table.loc[table["differs"], ["field", "group", "key"]].to_numpy().tolist()
    assert differing == [["sex", "F", "studies"], ["sex", "M", "studies"]]
    assert row_of(table, "sex", "M", "studies")["AUC"] == pytest.approx(0.5, abs=0.12)


def test_small_groups_are_listed_and_not_scored(scored):
    *_, table = scored
    row = row_of(table, "modality", "DX", "none")  # four patients, eight images
    assert (row["patients"], row["images"]) == (4, 8) and row[["AP", "AUC", "difference"]].isna().all()
    assert row["note"] == "not scored: under 10 patients"


def test_a_rare_class_leaves_the_mean_and_says_so():
    images, truth = run_tables()
    women = images["sex"] == "F"
    chosen = images.index[women & (images["atypical"] == 1)][3:]
    images.loc[chosen, ["atypical", "typical"]] = [0, 1]
    boxes, none, studies = predictions(images, truth)
    table = subgroup_scores(ground_truth(images, truth), images, boxes, none, studies, resamples=50)
    row = row_of(table, "sex", "F", "studies")
    assert row["note"] == "no AP, AUC without atypical: under 5 studies"
    assert np.isnan(row["AP"]) and 0.5 < row["AUC"] < 1
    images.loc[women & (images["negative"] == 1), "has_box"] = 1  # nobody without a box among women
    empty = subgroup_scores(ground_truth(images, truth), images, boxes, none, None, resamples=50)
    assert row_of(empty, "sex", "F", "none")["note"] == "not scored: under 5 positives"
    assert set(empty["key"]) == {"opacity", "none"}


def test_perfect_scores_of_a_few_are_not_taken_for_certain():
    images, truth = run_tables()
    boxes, none, studies = predictions(images, truth)
    few = images["patient_id"].isin([f"p{k}" for k in range(18)])
    images["modality"] = np.where(few, "DX", "CR")
    none[images.loc[few, "image_id"]] = 1.0 - images.loc[few, "has_box"].to_numpy()
    table = subgroup_scores(ground_truth(images, truth), images, boxes, none, studies, resamples=50)
    row = row_of(table, "modality", "DX", "none")
    assert row["AUC"] == 1.0 and row["AUC_low"] < 0.99 and row["positives"] >= 5


def test_groups_are_texts():
    images = pd.DataFrame(
        {
            "sex": ["F", None, "M", "F"],
            "age": ["039Y", "040Y", "011M", "x"],
            "modality": ["CR"] * 4,
            "source": ["a", "b", "a", "a"],
        }
    )
    groups = groups_of(images)
    assert list(groups.columns) == ["sex", "age", "source"]  # one modality: nothing to compare
    assert groups["sex"].tolist() == ["F", "unknown", "M", "F"]
    assert groups["age"].tolist() == ["under 40", "40 to 59", "under 40", "unknown"]
    many = groups_of(pd.DataFrame({"body_part": [f"b{k:02d}" for k in range(12)] + ["b11"] * 3}))["body_part"]
    assert many.nunique() == 9 and (many == "other").sum() == 4 and (many == "b11").sum() == 4


def write_run(root):
    """What stages 01, 03 and 06 leave, without a prediction."""
    run = open_workspace("demo", f"images.cache_size={SIZE}", str(root / "input"), str(root), str(root / "submissions"))
    images, truth = run_tables()
    images.loc[0, "sex"] = "<b>"
    tables = {run.places.images_table: images.drop(columns="fold"), run.places.boxes_table: truth}
    tables[run.places.folds_table] = images[["image_id", "study_id", "patient_id", "fold"]].assign(
        group=images["patient_id"]
    )
    tables[run.places.lungs_table] = pd.DataFrame({"image_id": images["image_id"], "accepted": 1})
    for path, table in tables.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    pixels = np.random.default_rng(0).integers(0, 150, (COUNT, SIZE, SIZE), dtype=np.uint8)
    for row in np.flatnonzero(images["typical"] == 1):
        cv2.putText(pixels[row], "X", (2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
    run.places.cache(SIZE).parent.mkdir(parents=True)
    np.save(run.places.cache(SIZE), pixels)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[12:36, 12:36] = True
    for image_id in images["image_id"][:5]:
        write_mask(mask_file(run.places.lungs, image_id), mask)
    return run, images, truth


def test_the_audit_writes_what_there_is(tmp_path, capsys):
    run = open_workspace("demo", "", str(tmp_path / "input"), str(tmp_path), str(tmp_path / "submissions"))
    assert audit_run(run) == {} and "stages 01 and 03 have not both run" in capsys.readouterr().out
    run, images, truth = write_run(tmp_path)
    places = run.places
    places.subgroups_table.write_text("of an earlier run\n")
    made = audit_run(run)
    assert set(made) == {"shortcuts"} and not places.subgroups_table.exists()
    assert "no model has predicted its held-out images yet" in capsys.readouterr().out
    table = read_table(places.shortcuts_table, SHORTCUTS)
    assert "border marks" in set(table.loc[table["found"] & (table["target"] == "typical"), "clue"])
    assert table["found"].dtype == bool
    boxes, none, studies = predictions(images, truth)
    folder = places.predictions("fused")
    folder.mkdir(parents=True)
    boxes.to_csv(folder / "out_of_fold.csv", index=False)
    none.rename("none").rename_axis("image_id").reset_index().to_csv(folder / "none.csv", index=False)
    studies.to_csv(folder / "studies.csv", index=False)
    places.cache(SIZE).unlink()  # some remove it to save disk
    made = audit_run(run)
    assert set(made) == {"shortcuts", "subgroups"}
    assert made["shortcuts"]["meaning"].str.startswith("not tested").all()
    table = read_table(places.subgroups_table, SUBGROUPS)
    assert tuple(table.columns) == COLUMNS and set(table["key"]) == {"studies", "opacity", "none"}
    assert "<b>" in set(table["group"])  # as it stands: whoever shows it escapes it
    figure = subgroup_dots(table)
    assert [axes.get_title() for axes in figure.axes] == ["study classes, mean AUC", "none, AUC", "opacity, AP"]
    assert figure._repr_png_()[:4] == b"\x89PNG" and subgroup_dots(table[table["AP"].isna()]) is None
