"""Where the models of a run look: which pictures, which figures, and what is said where something is absent."""

import numpy as np
import pandas as pd
import pytest

from cxr.data.masks import mask_file
from cxr.evaluation.run_files import RunFiles
from cxr.explain.chosen import candidates, choose
from cxr.explain.looks import WHERE, heat_figures, look_where, read_examples, shown_to
from cxr.explain.pictures import back_to_frame
from cxr.explain.studies import study_heat, study_heats
from cxr.faults import DataFault
from cxr.tables import BOX_COLUMNS, read_table
from looked_run import HALF, REJECTED, looked_run
from made_run import EVIL, IMAGES, SIZE, write_csv


@pytest.fixture
def run(tmp_path):
    return looked_run(tmp_path)


def test_only_believed_lungs_of_training_images_count(run):
    found = candidates(RunFiles(run))
    assert len(found) == IMAGES - 2 and not {EVIL, REJECTED} & set(found["image_id"])
    few = choose(RunFiles(run), 5)
    assert list(few.images["image_id"]) == list(choose(RunFiles(run), 5).images["image_id"]) and len(few.pixels) == 5
    pixels = np.load(run.places.cache(SIZE))
    assert all(np.array_equal(pixels[row], one) for row, one in zip(few.images["row"], few.pixels, strict=True))
    chosen = choose(RunFiles(run), ids=["image07", "image03"])
    assert list(chosen.images["image_id"]) == ["image03", "image07"], "in the order of the table"
    with pytest.raises(DataFault, match=f"image {REJECTED}: not one of the 22 training images with a lung mask"):
        choose(RunFiles(run), ids=[REJECTED])


def test_every_model_has_a_row_for_lungs_and_one_for_boxes(run):
    table = look_where(run)
    assert list(table.groupby("model", sort=False)["place"].agg(list).items()) == [
        (name, ["lungs", "boxes"]) for name in ("studies", "yolo", "faster_rcnn", "fused")
    ], "models of an ablation are left out"
    pd.testing.assert_frame_equal(table, read_table(run.places.where_table, WHERE), check_dtype=False)
    lungs = table[table["place"] == "lungs"]
    assert (lungs["images"] == IMAGES - 2).all() and (lungs["even"] == 0.5).all()
    assert np.allclose(table["times"], table["share"] / table["even"]) and (table["low"] <= table["high"]).all()
    boxed = RunFiles(run).images.set_index("image_id")["has_box"]
    assert (table.loc[table["place"] == "boxes", "images"] == boxed.drop([EVIL, REJECTED]).sum()).all()


def test_a_detector_in_the_lungs_has_all_its_scores_there(run):
    images = RunFiles(run).images
    boxes = pd.DataFrame({"image_id": images["image_id"], "label": "opacity", "score": 0.6})
    boxes[BOX_COLUMNS] = [0.0, 30.0, 60.0, 60.0]
    beside = boxes.assign(score=0.2, x_min=90.0, x_max=150.0)
    write_csv(pd.concat([boxes, beside]), _table(run))
    row = look_where(run).set_index(["model", "place"]).loc[("yolo", "lungs")]
    assert row["share"] == pytest.approx(0.6 / 0.8) and row["times"] == pytest.approx(0.75 / 0.5)
    assert (row["low"], row["high"]) == pytest.approx((0.75, 0.75)) and row["without_heat"] == 0
    write_csv(boxes[boxes["image_id"].isin(["image02", "image03"])], _table(run))
    row = look_where(run).set_index(["model", "place"]).loc[("yolo", "lungs")]
    assert row["share"] == pytest.approx(1) and row["without_heat"] == IMAGES - 4


def _table(run):
    return run.places.predictions("yolo") / "out_of_fold.csv"


def test_pictures_without_heat_are_told_and_count_in_no_figure(run, capsys):
    heat, masks = np.zeros((3, 2, 2)), np.zeros((3, 2, 2), bool)
    heat[0, 0, 0] = heat[1] = 1
    masks[:2, 0] = masks[2] = True
    figures = heat_figures(heat, np.ones(heat.shape, bool), masks, np.arange(3), 20)
    assert figures["without_heat"] == 1 and figures["share"] == pytest.approx((1 + 1 / 2) / 2)
    assert figures["even"] == pytest.approx(1 / 2), "without the third picture, whose mask is everything"
    write_csv(pd.read_csv(_table(run)).query("image_id == 'image02'"), _table(run))
    look_where(run)
    assert "YOLO: no heat in 21 of 22 images, which count in no share" in capsys.readouterr().out


def test_each_picture_is_looked_at_by_the_fold_that_never_saw_it(run, monkeypatch):
    files = RunFiles(run)
    looked, asked = choose(files, 6), []
    monkeypatch.setattr("cxr.explain.studies.StudyClassifier", _noting(asked))
    heat = study_heat(files, looked, lambda network, pixels, found: np.full(pixels.shape, network / 10, np.float32))
    assert sorted(asked) == [0, 1]
    assert np.allclose(heat.maps.mean((1, 2)), looked.images["fold"] / 10) and heat.maps.shape == looked.pixels.shape


def _noting(asked):
    from cxr.prediction.classify import StudyClassifier

    class Noting(StudyClassifier):
        def view(self, *args, **kwargs):
            scores = super().view(*args, **kwargs)
            self.model = self.fold
            return scores

        def __init__(self, folder):
            super().__init__(folder)
            self.fold = int(folder.name[-1])
            asked.append(self.fold)

    return Noting


def test_heat_of_a_crop_lies_in_the_frame_of_the_cache(tmp_path):
    run = looked_run(tmp_path, "study.lungs=crop yolo.lungs=crop lungs.margin=0")
    files = RunFiles(run)
    looked = choose(files, 4)
    heat = study_heat(files, looked, lambda network, pixels, found: np.ones(pixels.shape, np.float32))
    assert np.array_equal(heat.maps > 0, np.tile(HALF, (4, 1, 1))), "the box around the lungs"
    assert np.array_equal(shown_to("studies", files, looked), heat.maps > 0)
    assert np.array_equal(shown_to("yolo", files, looked), heat.maps > 0)
    assert shown_to("faster_rcnn", files, looked).all() and shown_to("fused", files, looked).all()
    table = look_where(run).set_index(["model", "place"])
    assert table.loc[("studies", "lungs"), "even"] == 1 and table.loc[("fused", "lungs"), "even"] == 0.5
    whole = back_to_frame(np.ones((8, 8), np.float32), None, "mask", SIZE)
    assert whole.shape == (SIZE, SIZE) and whole.min() == 1


def test_right_and_wrong_answers_are_kept_for_the_report(run):
    look_where(run)
    kept = read_examples(RunFiles(run))
    assert len(kept) == 8 and kept["heat"].iloc[0].dtype == np.uint8 and kept["heat"].iloc[0].max() > 250
    right = (kept["found"] == kept["true"]).to_numpy()
    assert right.tolist() == [True] * 4 + [False] * 4
    run.places.where_maps.write_bytes(b"PK no archive")
    with pytest.raises(DataFault, match=r"where.npz: not readable as heat maps \(.*\); run 12_report again"):
        read_examples(RunFiles(run))


def test_both_methods_look_at_the_images_that_are_asked_for(run):
    heats = study_heats(RunFiles(run), ids=["image05"])
    assert [heat.row for heat in heats] == [5] and list(heats[0].maps) == ["Grad-CAM", "LIME"]
    assert heats[0].words.startswith("image05: found ") and "in truth typical" in heats[0].words
    assert all(one.shape == (SIZE, SIZE) and one.max() > 0.5 for one in heats[0].maps.values())


def test_what_is_absent_is_said_in_one_line(run, capsys):
    (run.places.model("studies", 1) / "run.json").unlink()
    assert set(look_where(run)["model"]) == {"yolo", "faster_rcnn", "fused"} and not run.places.where_maps.exists()
    assert "study classifier left out: folds 1 are not trained" in capsys.readouterr().out
    with pytest.raises(DataFault, match="fold_1: the study classifier of this fold is not trained; run 09"):
        study_heats(RunFiles(run))
    for path in run.places.predictions("x").parent.glob("*/out_of_fold.csv"):
        path.unlink()
    assert look_where(run) is None and not run.places.where_table.exists()
    assert capsys.readouterr().out.splitlines()[-1].endswith("no model has predicted its held-out images yet")
    mask_file(run.places.lungs, "image02").unlink()
    assert len(candidates(RunFiles(run))) == IMAGES - 3
    table = pd.read_csv(run.places.lungs_table)
    write_csv(table.assign(accepted=0), run.places.lungs_table)
    assert look_where(run) is None
    assert "where models look: no training image has a lung mask that is believed" in capsys.readouterr().out
    run.places.lungs_table.unlink()
    assert look_where(run) is None
    assert "there are no lung masks (stage 06 has not run)" in capsys.readouterr().out
    with pytest.raises(DataFault, match="nothing to look at: there are no lung masks"):
        study_heats(RunFiles(run))
