import cv2
import numpy as np
import pytest
import torch

from cxr.data.lung_batches import LungImages, find_augmentation, lung_augmentation, lung_loader
from cxr.data.mask_sets.kaggle_lungs import read_lung_masks
from cxr.data.mask_sets.parts import Part, load_part
from cxr.data.masks import load_pairs, read_masks, shrink, write_mask
from cxr.faults import DataFault


def picture(height=40, width=50, channels=1):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width), np.uint8)
    return pixels if channels == 1 else np.stack([pixels] * channels, 2)


def lungs(height=40, width=50, value=255):
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 5 : 2 * width // 5] = value
    return mask


def write(folder, pictures, masks):
    """`folder/Lung Segmentation` with pictures and masks by file stem."""
    for part, files in (("CXR_png", pictures), ("masks", masks)):
        (folder / "Lung Segmentation" / part).mkdir(parents=True, exist_ok=True)
        for stem, pixels in files.items():
            assert cv2.imwrite(str(folder / "Lung Segmentation" / part / f"{stem}.png"), pixels)
    return folder


def test_a_mask_is_found_under_both_names(tmp_path):
    folder = write(
        tmp_path,
        {"CHNCXR_0001_0": picture(), "MCUCXR_0001_1": picture(60, 30), "12e4": picture(channels=3)},
        {"CHNCXR_0001_0_mask": lungs(), "MCUCXR_0001_1": lungs(60, 30), "12e4": lungs()},
    )
    pairs, findings = read_lung_masks(folder)
    assert pairs["image_id"].tolist() == ["12e4", "CHNCXR_0001_0", "MCUCXR_0001_1"] and findings == []
    assert pairs["patient_id"].tolist() == [f"lungs-{stem}" for stem in pairs["image_id"]]
    assert pairs["source"].tolist() == ["other", "shenzhen", "montgomery"]
    assert pairs[["height", "width"]].to_numpy().tolist() == [[40, 50], [40, 50], [60, 30]]
    assert pairs["lungs"].iloc[1][0].path.endswith("masks/CHNCXR_0001_0_mask.png")


def test_of_two_masks_the_one_called_mask_counts(tmp_path):
    pairs, _ = read_lung_masks(write(tmp_path, {"a": picture()}, {"a_mask": lungs(), "a": lungs()}))
    assert pairs["lungs"].tolist() == [(Part(str(tmp_path / "Lung Segmentation" / "masks" / "a_mask.png")),)]


def test_pictures_that_cannot_be_used_are_left_out_and_told(tmp_path):
    good = {stem: picture() for stem in ("good", "bare", "empty", "narrow", "broken")}
    masks = {"good": lungs(), "empty": lungs(value=0), "narrow": lungs(40, 30), "broken": lungs(), "lonely": lungs()}
    folder = write(tmp_path, good, masks)
    (folder / "Lung Segmentation" / "masks" / "broken.png").write_bytes(b"no picture")
    (folder / "Lung Segmentation" / "CXR_png" / "._good.png").write_bytes(b"resource fork")
    pairs, findings = read_lung_masks(folder)
    assert pairs["image_id"].tolist() == ["good"]
    told = " | ".join(findings)
    for words in (
        "left out, no mask: 1 (bare)",
        "masks without a picture: 1 (lonely)",
        "the mask is empty: 1 (empty)",
        "the mask has another shape than its picture: 1 (narrow)",
        "left out, cannot be used",
        "1 (broken)",
    ):
        assert words in told
    assert len(findings) == 5


def test_a_mask_of_another_size_is_resized_and_told(tmp_path):
    # 100 x 126 against 40 x 50: ratios 1.26 and 1.25 differ by .8 %
    folder = write(tmp_path, {"a": picture(40, 50)}, {"a": lungs(100, 126)})
    pairs, findings = read_lung_masks(folder)
    assert len(pairs) == 1 and "another size than its picture and is resized: 1 (a)" in findings[0]
    mask = load_part(pairs["lungs"][0][0], (40, 50))
    assert mask.shape == (40, 50) and abs(mask.mean() - 1 / 20) < 0.01


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(DataFault, match="no folder in it holds both CXR_png and masks; unpack"):
        read_lung_masks(tmp_path)
    with pytest.raises(DataFault, match="of 0 pictures with a mask not one can be used"):
        read_lung_masks(write(tmp_path, {"a": picture()}, {"b": lungs()}))


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (3, 250)])
def test_a_mask_is_what_reaches_half_of_its_brightest_value(tmp_path, values):
    mask = np.where(lungs() > 0, values[1], values[0]).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "m.png"), mask)
    assert np.array_equal(load_part(Part(str(tmp_path / "m.png"))), lungs() > 0)


def test_two_lungs_with_two_labels_are_one_mask(tmp_path):
    mask = lungs(value=1)
    mask[30:35, 30:35] = 2
    assert cv2.imwrite(str(tmp_path / "m.png"), mask)
    assert np.array_equal(load_part(Part(str(tmp_path / "m.png"))), mask > 0)


def test_pairs_become_squares_in_memory(tmp_path):
    folder = write(
        tmp_path, {"a": picture(64, 128), "b": picture(64, 64, 3)}, {"a": lungs(64, 128), "b": lungs(64, 64)}
    )
    pixels, masks = load_pairs(read_lung_masks(folder)[0], 32)
    assert pixels.shape == masks.shape == (2, 32, 32) and pixels.dtype == masks.dtype == np.uint8
    # rows 16..32 of 64 are 8..16 of 32; columns 25..51 of 128 begin and end inside a pixel
    assert masks[0, 8:16, 7:12].all() and not masks[0, :8].any() and not masks[0, 16:].any()
    assert set(np.unique(masks)) == {0, 1}


def test_a_map_is_shrunk_by_what_covers_most_of_a_pixel():
    maps = np.zeros((4, 4), np.uint8)
    maps[:2, :2] = [[1, 1], [1, 3]]
    maps[:2, 2:] = 255
    assert shrink(maps, 2).tolist() == [[1, 255], [0, 0]]


def test_picture_and_mask_move_together():
    mask = np.zeros((64, 64), np.uint8)
    mask[10:40, 8:26] = 1
    image = np.where(mask, 200, 50).astype(np.uint8)
    augment, moved = lung_augmentation(1), 0
    for _ in range(10):
        item = LungImages(["a"], image[None], mask[None], augment)[0]
        bright, inside = item["pixels"][0].float(), item["mask"][0] > 0
        assert set(item["mask"].unique().tolist()) <= {0.0, 1.0}
        middle = (bright[inside].median() + bright[~inside].median()) / 2
        assert ((bright > middle) == inside).float().mean() > 0.96
        moved += not np.array_equal(inside.numpy(), mask > 0)
    assert moved > 5


def test_a_loader_gives_pictures_masks_and_names():
    pixels, masks = np.zeros((5, 16, 16), np.uint8), np.ones((5, 16, 16), np.uint8)
    ids = [f"i{n}" for n in range(5)]
    batches = list(lung_loader(ids, pixels, masks, 2, 0, training=False))
    assert [name for batch in batches for name in batch["image_id"]] == ids
    assert batches[0]["pixels"].shape == (2, 1, 16, 16) and batches[0]["pixels"].dtype == torch.uint8
    assert batches[0]["mask"].dtype == torch.float32
    assert len(list(lung_loader(ids, pixels, masks, 2, 0, training=True))) == 2, "no last batch of one"


def test_masks_come_back_from_one_bit_files(tmp_path):
    mask = lungs(33, 33) > 0
    write_mask(tmp_path / "deep" / "12e4.png", mask)
    write_mask(tmp_path / "deep" / "none.png", ~mask & mask)
    assert np.array_equal(read_masks(tmp_path / "deep", ["none", "12e4"]), np.stack([mask & ~mask, mask]))
    content = (tmp_path / "deep" / "12e4.png").read_bytes()
    assert content[24] == 1, "bit depth in the header of the PNG"
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["12e4.png", "none.png"]


def test_real_masks_cover_a_plausible_share(realdata):
    paths = sorted((realdata / "masks" / "lung_shenzhen").glob("*.png"))
    assert paths, "the Shenzhen masks"
    for path in paths:
        assert 0.1 < load_part(Part(str(path))).mean() < 0.6


@pytest.mark.parametrize("name", ["unet_hrnet", "resunet_ensemble"])
def test_a_papers_augmentation_moves_picture_and_mask_together(name):
    mask = np.zeros((64, 64), np.uint8)
    mask[20:44, 24:40] = 1
    augment, overlaps, moved = find_augmentation(name)(1, False), [], 0
    for _ in range(20):
        found = augment(image=mask * 200, mask=mask)
        bright, drawn = found["image"] > 60, found["mask"] > 0
        moved += bool((drawn != (mask > 0)).any())
        if drawn.any():
            overlaps.append((bright & drawn).sum() / drawn.sum())
    assert moved >= 19 and np.median(overlaps) > 0.9, "blur and noise cost a little at the border"


def test_no_paper_flips_where_sides_are_told_apart():
    sides = find_augmentation("resunet_ensemble")(1, True)
    assert not [part for part in sides.transforms if type(part).__name__ == "HorizontalFlip"]
    assert find_augmentation("none")(1, False) is None
    with pytest.raises(DataFault, match="lungs.augmentation=wild: not known; choose one of ours, none, unet_hrnet"):
        find_augmentation("wild")
