import argparse
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from joblib import Parallel, delayed
from PIL import Image
from scipy.stats import chi2_contingency

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES, STUDY_COLUMNS, parse_boxes, parse_prediction_string
from cxr.phantom import companions, datasets, masks, siim
from cxr.phantom.pictures import Picture, draw_picture
from cxr.phantom.plan import plan_siim
from cxr.phantom.quirks import SHARES
from cxr.phantom.seeds import generator, hex_id, share_out

REALDATA = Path(os.environ.get("CXR_REALDATA", Path(__file__).resolve().parents[3] / "shared" / "realdata"))
PICTURE_KEYS = ["patient_key", "disease_key", "pose_key", "view_key"]

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")


@pytest.fixture(scope="module")
def big():
    """As many studies as the real train set has."""
    return plan_siim(6054, seed=1)


def test_generators_are_named():
    assert generator(1, "view", 3).random() == generator(1, "view", 3).random()
    others = {generator(*name).random() for name in [(1, "view", 3), (2, "view", 3), (1, "patient", 3), (1, "view", 4)]}
    assert len(others) == 4
    assert hex_id(1, "image", 3) == hex_id(1, "image", 3) != hex_id(1, "study", 3)
    assert len(hex_id(1, "image", 3)) == 12 and int(hex_id(1, "image", 3), 16) >= 0


def test_share_out_keeps_quotas():
    drawn = share_out(np.random.default_rng(0), 10, {"a": 0.55, "b": 0.31, "c": 0.14})
    # 5.5, 3.1, 1.4: floors 5, 3, 1 leave one, which goes to the largest remainder, .5
    assert {name: drawn.count(name) for name in "abc"} == {"a": 6, "b": 3, "c": 1}
    assert share_out(np.random.default_rng(0), 0, {"a": 1.0}) == []


def test_class_mix_and_boxes_are_the_real_ones(big):
    studies = big.drop_duplicates("study_id")
    mix = studies["study_class"].value_counts(normalize=True)
    for name, share in {"negative": 0.277, "typical": 0.472, "indeterminate": 0.173, "atypical": 0.078}.items():
        assert mix[name] == pytest.approx(share, abs=0.002)  # 1676, 2855, 1049, 474 of 6054
    assert (big["box_count"] == 0).mean() == pytest.approx(2040 / 6334, abs=0.01)
    assert big["box_count"].sum() == pytest.approx(7853, rel=0.03)
    assert (big.loc[big["study_class"] == "negative", "box_count"] == 0).all()


def test_patients_repeat_as_the_real_ones_do(big):
    classes = big.drop_duplicates("study_id").groupby("patient_id")["study_class"].agg(["size", "nunique"])
    assert len(classes) == pytest.approx(3261, rel=0.06)
    repeated = classes[classes["size"] > 1]
    assert len(repeated) / len(classes) == pytest.approx(1200 / 3261, abs=0.02)
    assert (repeated["nunique"] > 1).mean() == pytest.approx(770 / 1200, abs=0.05)


def test_studies_with_several_images_mix_boxed_and_boxless_ones(big):
    count = big.assign(boxed=big["box_count"] > 0).groupby("study_id")
    studies = count.agg(images=("image_id", "size"), boxed=("boxed", "sum"))
    assert (studies["images"] == 1).mean() == pytest.approx(5822 / 6054, abs=0.002)
    several = studies[studies["images"] > 1]
    assert several["boxed"].max() == 1  # as in the real set, but for one study
    assert (several["boxed"] == 1).mean() == pytest.approx(177 / 232, abs=0.12)
    assert big["is_duplicate"].sum() == pytest.approx(217, abs=45)
    duplicates, originals = big[big["is_duplicate"]], big[big["box_count"] > 0].set_index("study_id")
    same = originals.loc[duplicates["study_id"]]
    assert (same["disease_key"].to_numpy() == duplicates["disease_key"]).all()  # the same disease and patient,
    assert (same["disease_boxes"].to_numpy() == duplicates["disease_boxes"]).all()
    assert (same["pose_key"].to_numpy() == duplicates["pose_key"]).all()
    assert not (same["view_key"].to_numpy() == duplicates["view_key"]).any()  # taken again


def test_test_part_is_a_quarter_of_other_patients(big):
    for plan in (big, plan_siim(24, seed=0), plan_siim(400, seed=3)):
        train, test = plan[plan["part"] == "train"], plan[plan["part"] == "test"]
        assert not set(train["patient_id"]) & set(test["patient_id"])
        assert test["study_id"].nunique() == round(plan["study_id"].nunique() / 4)
        assert set(test["study_class"]) == set(train["study_class"]) == set(STUDY_CLASSES)


def test_a_few_pictures_stand_under_two_patients(big):
    for plan, most in ((big, 40), (plan_siim(24, seed=0), 1)):
        twins = plan[plan.duplicated(PICTURE_KEYS, keep=False)]
        pairs = twins.groupby(PICTURE_KEYS)
        assert 1 <= len(pairs) <= most and (pairs.size() == 2).all()
        assert (pairs["patient_id"].nunique() == 2).all() and (pairs["study_class"].nunique() == 1).all()
        assert set(twins["part"]) == {"train"}
        pixels = ["bits_stored", "photometric", "range_low", "range_high", "voi", "box_count"]
        assert (pairs[pixels].nunique() == 1).all(axis=None)


def test_one_box_starts_left_of_its_image(big):
    chosen = big[big["crosses_border"]]
    assert len(chosen) == 1 and chosen.iloc[0]["part"] == "train" and chosen.iloc[0]["box_count"] >= 2


@pytest.mark.parametrize("name", SHARES)
def test_quirks_have_their_shares(big, name):
    found = big[name].value_counts(normalize=True)
    total = sum(SHARES[name].values())
    for value, share in SHARES[name].items():
        moved = 0.01 if name == "rescale" else 0.002  # look-up tables push some from shifted to identity
        assert found[value] == pytest.approx(share / total, abs=moved)


def header_columns(plan):
    return [name for name in plan.columns if name in SHARES] + ["images", "range_low", "range_high", "first_digit"]


def leaking(plan):
    """Names of what an image's header tells that depends on its class (chi-square over all images, p < 1e-4)."""
    plan = plan.assign(
        images=plan.groupby("study_id")["image_id"].transform("size").clip(upper=3), first_digit=plan["image_id"].str[0]
    )
    for name in ("range_low", "range_high"):
        plan[name] = pd.qcut(plan[name], 6, duplicates="drop").astype(str)
    tables = {name: pd.crosstab(plan[name].astype(str), plan["study_class"]) for name in header_columns(plan)}
    return [name for name, table in tables.items() if chi2_contingency(table).pvalue < 1e-4]


def test_no_quirk_predicts_a_class(big):
    assert leaking(big) == []


def test_the_check_for_leaks_finds_one(big):
    sick = (big["study_class"] == "typical") & (np.arange(len(big)) % 8 == 0)
    assert leaking(big.assign(modality=big["modality"].mask(sick, "DX"))) == ["modality"]


def test_boxed_and_boxless_images_of_a_study_cannot_be_told_by_their_header(big):
    several = big[big.groupby("study_id")["image_id"].transform("size") > 1]
    several = several[several["disease_boxes"] > 0]
    for name in SHARES:
        table = pd.crosstab(several[name].astype(str), several["box_count"] > 0)
        assert chi2_contingency(table[(table.sum(axis=1) > 4)]).pvalue > 1e-3, name


def test_number_of_studies_of_a_patient_does_not_predict_the_class(big):
    one = big.drop_duplicates("study_id").sample(frac=1, random_state=0).drop_duplicates("patient_id")
    size = big.groupby("patient_id")["study_id"].nunique().clip(upper=4)
    assert chi2_contingency(pd.crosstab(one["patient_id"].map(size), one["study_class"])).pvalue > 1e-4


def test_plans_follow_their_seed():
    one, same, other = plan_siim(60, seed=5), plan_siim(60, seed=5), plan_siim(60, seed=6)
    pd.testing.assert_frame_equal(one, same)
    assert not set(one["image_id"]) & set(other["image_id"])


def write_labels(folder, counts, patients=None):
    """Label files of studies s0, s1, ...: (class, boxes of each image)."""
    level, rows = [], []
    for number, (name, boxes) in enumerate(counts):
        level.append({"id": f"s{number}_study", **{column: int(c == name) for column, c in STUDY_COLUMNS.items()}})
        for image, n in enumerate(boxes):
            text = str([{"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0}] * n) if n else ""
            name = f"i{number}x{image}_image"
            rows.append({"id": name, "boxes": text, "label": "", "StudyInstanceUID": f"s{number}"})
    pd.DataFrame(level).to_csv(folder / "train_study_level.csv", index=False)
    pd.DataFrame(rows).to_csv(folder / "train_image_level.csv", index=False)
    if patients:
        table = pd.DataFrame({"patientid": patients, "studyid": [f"s{n}" for n in range(len(counts))]})
        table.to_csv(folder / "train_meta.csv", index=False)


LIKE = [("typical", (0, 2)), ("negative", (0,)), ("atypical", (0,)), ("indeterminate", (1,))] * 4


def test_like_takes_over_the_structure(tmp_path):
    write_labels(tmp_path, LIKE, patients=[f"p{n // 4}" for n in range(16)])
    plan = plan_siim(None, seed=0, like=tmp_path)
    assert plan["study_id"].nunique() == 16 and plan["patient_id"].nunique() == 4 and len(plan) == 20
    assert plan.drop_duplicates("study_id")["study_class"].value_counts().to_dict() == dict.fromkeys(STUDY_CLASSES, 4)
    assert sorted(plan.loc[plan["study_class"] == "typical", "box_count"]) == [0] * 4 + [2] * 4
    assert plan["is_duplicate"].sum() == 4
    assert plan.groupby("patient_id")["study_id"].nunique().tolist() == [4, 4, 4, 4]
    assert not plan["study_id"].str.startswith("s").any()  # structure only, no identifiers


def test_like_draws_whole_patients(tmp_path):
    write_labels(tmp_path, LIKE, patients=[f"p{n // 2}" for n in range(16)])
    plan = plan_siim(12, seed=0, like=tmp_path)
    assert plan["study_id"].nunique() == 12
    assert (plan.groupby("patient_id")["study_id"].nunique() == 2).all()


def test_like_without_patients_draws_them(tmp_path):
    write_labels(tmp_path, LIKE * 10)
    plan = plan_siim(None, seed=0, like=tmp_path)
    assert plan["study_id"].nunique() == 160 and 60 < plan["patient_id"].nunique() < 110  # 1.86 studies each


def test_like_names_what_is_wrong(tmp_path):
    with pytest.raises(DataFault, match=r"train_study_level.csv: no such file"):
        plan_siim(None, seed=0, like=tmp_path)
    write_labels(tmp_path, LIKE)
    with pytest.raises(DataFault, match="99 studies are wanted, it holds 16"):
        plan_siim(99, seed=0, like=tmp_path)
    images = pd.read_csv(tmp_path / "train_image_level.csv")
    images.assign(boxes="[{'x': 1}]").to_csv(tmp_path / "train_image_level.csv", index=False)
    with pytest.raises(DataFault, match=r"train_image_level.csv: boxes .* cannot be read"):
        plan_siim(None, seed=0, like=tmp_path)
    images[images["StudyInstanceUID"] != "s1"].to_csv(tmp_path / "train_image_level.csv", index=False)
    with pytest.raises(DataFault, match=r"1 studies of train_study_level.csv have no image"):
        plan_siim(None, seed=0, like=tmp_path)


@pytest.mark.skipif(not (REALDATA / "labels" / "siim").is_dir(), reason="no real label files (set CXR_REALDATA)")
def test_like_the_real_label_files():
    plan = plan_siim(None, seed=0, like=REALDATA / "labels" / "siim")
    assert (len(plan), plan["study_id"].nunique(), plan["patient_id"].nunique()) == (6334, 6054, 3261)
    assert plan["is_duplicate"].sum() == 217
    assert (plan["box_count"] == 0).sum() == 2040


def test_frame_is_cut_to_even_width_and_through_a_box():
    pixels = np.arange(6 * 301, dtype=float).reshape(6, 301)
    boxes = np.array([[60.0, 1, 100, 5], [200, 1, 301, 5]])
    cut, moved = siim.fit_frame(pixels, boxes, crosses_border=False)
    assert cut.shape == (6, 300) and moved.tolist() == [[60, 1, 100, 5], [200, 1, 300, 5]]
    cut, moved = siim.fit_frame(pixels, boxes, crosses_border=True)  # round(60 + 3.6) = 64 columns go
    assert cut.shape == (6, 236) and cut[0, 0] == 64
    assert moved.tolist() == [[-4, 1, 36, 5], [136, 1, 236, 5]]


def test_box_texts_are_those_of_the_label_files():
    boxes, label = siim.format_boxes(np.array([[10.00001, 20.5, 30.25, 60.0]]))
    assert boxes == "[{'x': 10.00001, 'y': 20.5, 'width': 20.24999, 'height': 39.5}]"
    assert label == "opacity 1 10.00001 20.5 30.25 60.0"
    assert siim.format_boxes(np.empty((0, 4))) == ("", "none 1 0 0 1 1")


def sketch(seed, purpose, keys, study_class, box_count, size=None):
    """Stands in for `draw_picture`: noise of the view, as many boxes as wanted, no anatomy."""
    shape = size or (70, 61)
    count = box_count if box_count is not None else 1
    boxes = np.array([[5.0 + 20 * n, 8, 20 + 20 * n, 40] for n in range(count)]).reshape(-1, 4)
    pixels = generator(seed, purpose, *keys).random(shape, np.float32)
    half = np.arange(shape[1])[None] < shape[1] // 2
    lungs = {"right_lung": half & (pixels > -1), "left_lung": ~half & (pixels > -1), "heart": pixels < 0.1}
    return Picture(pixels, boxes, lungs, ("Effusion", "Cardiomegaly") if count else (), "F", 50, "AP", 0.5)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A phantom of 24 studies with sketches for pictures."""
    out = tmp_path_factory.mktemp("phantom")
    with pytest.MonkeyPatch.context() as patch:
        for module in (siim, companions, masks):
            patch.setattr(module, "draw_picture", sketch)
        datasets.make_phantom(out, studies=24, seed=0, workers=1)
    return out


def test_siim_part_has_the_layout_of_the_competition(phantom):
    root = phantom / "input" / "siim-covid19-detection"
    levels, images = pd.read_csv(root / "train_study_level.csv"), pd.read_csv(root / "train_image_level.csv")
    sample = pd.read_csv(root / "sample_submission.csv")
    assert list(levels.columns) == ["id", *STUDY_COLUMNS] and list(sample.columns) == ["id", "PredictionString"]
    assert list(images.columns) == ["id", "boxes", "label", "StudyInstanceUID"]
    assert (levels[list(STUDY_COLUMNS)].sum(axis=1) == 1).all() and len(levels) == 18
    assert set(images["StudyInstanceUID"] + "_study") == set(levels["id"])
    files = {path.stem + "_image": path.parent.parent.name for path in root.glob("train/*/*/*.dcm")}
    assert files == dict(zip(images["id"], images["StudyInstanceUID"], strict=True))
    assert images["id"].is_monotonic_increasing
    kinds = sample["id"].str.extract(r"_(study|image)$")[0].tolist()
    assert kinds == ["study"] * 6 + ["image"] * (len(kinds) - 6)
    assert {path.parent.parent.name + "_study" for path in root.glob("test/*/*/*.dcm")} == set(sample["id"][:6])
    assert {path.stem + "_image" for path in root.glob("test/*/*/*.dcm")} == set(sample["id"][6:])
    assert set(sample["PredictionString"]) == {"negative 1 0 0 1 1", "none 1 0 0 1 1"}


def test_labels_agree_with_boxes_and_headers(phantom):
    root = phantom / "input" / "siim-covid19-detection"
    images = pd.read_csv(root / "train_image_level.csv")
    low = []
    for row in images.itertuples():
        boxes, groups = parse_boxes(row.boxes), parse_prediction_string(row.label)
        assert len(boxes) == sum(group.label == "opacity" for group in groups)
        low += boxes[:, 0].tolist()
        for (x, _, width, _), group in zip(boxes, groups, strict=False):
            assert (x, x + width) == pytest.approx((group.x_min, group.x_max), abs=1e-5)
    assert sorted(low)[0] == -4.0 and sorted(low)[1] >= 0  # the sketch's leftmost box starts at 5: round(8.6) = 9 go
    for path in root.glob("*/*/*/*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        study, series = path.parent.parent.name, path.parent.name
        names = (header.SOPInstanceUID, header.StudyInstanceUID, header.SeriesInstanceUID)
        assert names == (path.stem, study, series) and header.Columns % 2 == 0


def test_solution_is_the_truth_of_test_and_lies_outside_input(phantom):
    solution = pd.read_csv(phantom / "solution.csv")
    sample = pd.read_csv(phantom / "input" / "siim-covid19-detection" / "sample_submission.csv")
    assert list(solution["id"]) == list(sample["id"])
    first = [parse_prediction_string(text)[0] for text in solution["PredictionString"]]
    assert {group.label for group in first[:6]} <= set(STUDY_CLASSES) and all(group.score == 1 for group in first)
    assert {group.label for group in first[6:]} == {"none", "opacity"}
    assert not list((phantom / "input").rglob("*solution*")) and not list(phantom.glob(".*"))


def test_companions_have_their_layouts(phantom):
    rsna = phantom / "input" / "rsna-pneumonia-detection-challenge"
    labels, classes = (pd.read_csv(rsna / f"stage_2_{n}.csv") for n in ("train_labels", "detailed_class_info"))
    assert list(labels.columns) == ["patientId", "x", "y", "width", "height", "Target"]
    assert list(classes["patientId"]) == list(labels["patientId"])
    assert ((labels["Target"] == 1) == (classes["class"] == "Lung Opacity")).all()
    assert (labels["x"].notna() == (labels["Target"] == 1)).all()
    assert {path.stem for path in rsna.glob("stage_2_train_images/*.dcm")} == set(labels["patientId"])
    picture = pydicom.dcmread(next(rsna.glob("stage_2_train_images/*.dcm")))
    assert picture.pixel_array.shape == (512, 512)
    assert picture.file_meta.TransferSyntaxUID.name.startswith("JPEG Baseline")
    nih = phantom / "input" / "data"
    entries, boxes = pd.read_csv(nih / "Data_Entry_2017.csv"), pd.read_csv(nih / "BBox_List_2017.csv")
    assert list(entries.columns[:2]) == ["Image Index", "Finding Labels"] and "Unnamed: 11" in entries.columns
    train_val, test = ((nih / f"{part}_list.txt").read_text().split() for part in ("train_val", "test"))
    assert set(train_val) | set(test) == set(entries["Image Index"]) and not set(train_val) & set(test)
    assert not {name[:8] for name in train_val} & {name[:8] for name in test}  # patients do not cross
    assert {path.name for path in nih.glob("images_00*/images/*.png")} == set(entries["Image Index"])
    assert set(boxes["Image Index"]) <= set(test) and set(boxes["Finding Label"]) <= {"Effusion", "Cardiomegaly"}


def test_mask_sets_have_their_layouts(phantom):
    lungs = phantom / "input" / "chest-xray-masks-and-labels" / "Lung Segmentation"
    pictures = {path.stem for path in lungs.glob("CXR_png/*.png")}
    masked = {path.stem.removesuffix("_mask") for path in lungs.glob("masks/*.png")}
    assert masked < pictures and len(masked) == len(list(lungs.glob("masks/*.png")))  # one picture has none
    assert set(np.unique(np.array(Image.open(next(lungs.glob("masks/*.png")))))) <= {0, 255}
    jsrt = phantom / "input" / "jsrt"
    names = {path.stem for path in jsrt.glob("images/*.png")}
    for structure in ("left lung", "right lung", "heart"):
        assert {path.stem for path in jsrt.glob(f"scr/fold?/masks/{structure}/*.gif")} == names
    right = np.array(Image.open(next(jsrt.glob("scr/fold1/masks/right lung/*.gif"))).convert("L"))
    assert right[:, :200].all() and not right[:, 300:].any()  # the patient's right lies at the left of the picture


def test_phantom_is_not_written_over(phantom):
    with pytest.raises(DataFault, match="already exists; remove it or name another folder"):
        datasets.make_phantom(phantom, studies=24)
    with pytest.raises(DataFault, match=r"solution.csv already exists"):
        datasets.make_phantom(phantom / "solution.csv", studies=24)


def test_a_picture_has_the_same_bytes_in_every_process(tmp_path):
    rows = plan_siim(24, seed=4).head(2).to_dict("records")
    here = [siim.write_image(row, tmp_path / "here", 4) for row in rows]
    there = Parallel(n_jobs=2)(delayed(siim.write_image)(row, tmp_path / "there", 4) for row in reversed(rows))
    for row, boxes, others in zip(rows, here, reversed(there), strict=True):
        np.testing.assert_array_equal(boxes, others)
        name = f"{row['part']}/{row['study_id']}/{row['series_id']}/{row['image_id']}.dcm"
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_pictures_have_the_boxes_that_are_asked_for():
    for study_class, count in (("negative", 0), ("typical", 2), ("indeterminate", 1)):
        picture = draw_picture(0, "siim", (1, 1, 1, 1), study_class, count, size=(200, 200))
        assert picture.pixels.shape == (200, 200) and len(picture.boxes_xyxy) == count


def test_a_retake_shows_the_same_chest_in_other_greys():
    first, retake = (draw_picture(0, "siim", (1, 1, 5, view), "typical", 2) for view in (5, 6))
    assert first.pixels.shape == retake.pixels.shape and first.projection == retake.projection
    assert not np.array_equal(first.pixels, retake.pixels)
    stranger = draw_picture(0, "siim", (2, 2, 9, 9), "typical", 2, size=first.pixels.shape)
    small = [cv2.resize(p.pixels, (32, 32), interpolation=cv2.INTER_AREA).ravel() for p in (first, retake, stranger)]
    assert np.corrcoef(small)[0, 1] > max(0.8, np.corrcoef(small)[0, 2])


def test_too_few_studies_are_refused():
    with pytest.raises(DataFault, match="4 studies are too few for a train and a test part; take 12 or more"):
        plan_siim(4, seed=0)


def test_arguments_are_checked(capsys):
    parser = argparse.ArgumentParser()
    datasets.add_arguments(parser)
    assert parser.parse_args(["out", "--studies", "24"]).studies == 24
    for wrong in (["--studies", "3"], ["--studies", "many"], ["--seed", "-1"], ["--workers", "0"]):
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(["out", *wrong])
        assert stop.value.code == 2 and f"'{wrong[1]}' is not a whole number of" in capsys.readouterr().err
