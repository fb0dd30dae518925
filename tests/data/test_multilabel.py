from dataclasses import replace

import albumentations as A
import numpy as np
import pandas as pd
import pytest
import torch

from cxr.data.augment import MEAN_GRAY, paper_004_backbone
from cxr.data.multilabel import MultiLabelImages, multilabel_loader
from cxr.profiles import ours


def settings(seed):
    return replace(ours.NIH, size=24, batch=4, seed=seed)


COLUMNS = ["Mass", "Edema", "No Finding"]


def small_set(count=9, side=24):
    """Picture i is gray i * 10 with a bright corner at the top left; Mass is i's parity, Edema of image 1 unknown."""
    images = pd.DataFrame({"image_id": [f"i{number}" for number in range(count)], "height": 48, "width": 48})
    images["No Finding"] = 1
    images["Mass"] = np.arange(count) % 2
    images["Edema"] = 0.0
    images.loc[1, "Edema"] = np.nan
    pixels = np.empty((count, side, side), np.uint8)
    pixels[:] = 10 * np.arange(count, dtype=np.uint8)[:, None, None]
    pixels[:, :6, :6] = 250
    return images, pixels


def test_an_item_holds_pixels_target_and_id():
    images, pixels = small_set()
    item = MultiLabelImages(images, pixels, COLUMNS, 24)[3]
    assert item["pixels"].dtype == torch.uint8 and item["pixels"].shape == (1, 24, 24)
    assert (item["pixels"][0].numpy() == pixels[3]).all()
    assert item["target"].dtype == torch.float32 and item["target"].tolist() == [1, 0, 1]
    assert item["image_id"] == "i3"


def test_targets_come_in_the_order_asked_for_and_unknown_stays_unknown():
    images, pixels = small_set()
    target = MultiLabelImages(images, pixels, ["No Finding", "Edema"], 24)[1]["target"]
    assert target[0] == 1 and torch.isnan(target[1])


def test_pictures_are_resized_like_everywhere():
    images, pixels = small_set()
    item = MultiLabelImages(images, pixels, COLUMNS, 8)[2]
    assert item["pixels"].shape == (1, 8, 8)
    assert item["pixels"][0, :2, :2].tolist() == [[250, 250], [250, 250]] and item["pixels"][0, 2:, 2:].unique() == 20


def test_rows_choose_from_a_large_cache_without_copying_it(tmp_path):
    images, pixels = small_set()
    np.save(tmp_path / "cache.npy", pixels)
    cache = np.load(tmp_path / "cache.npy", mmap_mode="r")
    part = images.iloc[[7, 2]]
    dataset = MultiLabelImages(part, cache, COLUMNS, 24, rows=[7, 2])
    assert dataset.pixels is cache and len(dataset) == 2
    assert [int(item["pixels"][0, -1, -1]) for item in (dataset[0], dataset[1])] == [70, 20]
    assert [item["image_id"] for item in (dataset[0], dataset[1])] == ["i7", "i2"]


@pytest.mark.parametrize("rows", [None, [0, 1]])
def test_images_without_a_row_of_pixels_are_refused(rows):
    images, pixels = small_set()
    with pytest.raises(ValueError, match="3 images, but . rows of pixels"):
        MultiLabelImages(images[:3], pixels, COLUMNS, 24, rows=rows)


def test_prediction_batches_keep_the_order_and_the_last_few():
    images, pixels = small_set()
    batches = list(multilabel_loader(images, pixels, COLUMNS, settings(0), training=False))
    assert [name for batch in batches for name in batch["image_id"]] == list(images["image_id"])
    assert batches[0]["pixels"].shape == (4, 1, 24, 24) and batches[0]["target"].shape == (4, 3)
    assert (torch.cat([batch["pixels"] for batch in batches])[:, 0].numpy() == pixels).all()


def epoch(seed, training=True, **options):
    loader = multilabel_loader(*small_set(), COLUMNS, settings(seed), training=training, **options)
    return [batch for _ in range(2) for batch in loader]


def test_training_is_shuffled_augmented_and_the_same_for_the_same_seed():
    one, same, other = epoch(1), epoch(1), epoch(2)
    assert [len(batch["image_id"]) for batch in one] == [4, 4, 4, 4]  # a last batch of one picture is left out
    assert all(torch.equal(a["pixels"], b["pixels"]) for a, b in zip(one, same, strict=True))
    assert [batch["image_id"] for batch in one] == [batch["image_id"] for batch in same]
    assert [batch["image_id"] for batch in one] != [batch["image_id"] for batch in other]
    assert one[0]["image_id"] != one[2]["image_id"]  # another order in the next epoch
    images, pixels = small_set()
    plain = {name: picture for name, picture in zip(images["image_id"], pixels, strict=True)}
    changed = [
        (picture[0].numpy() != plain[name]).any()
        for batch in one
        for name, picture in zip(batch["image_id"], batch["pixels"], strict=True)
    ]
    assert np.mean(changed) > 0.9


def test_a_training_batch_keeps_the_target_of_its_picture():
    images, _ = small_set()
    mass = dict(zip(images["image_id"], images["Mass"], strict=True))
    for batch in epoch(3):
        assert batch["target"][:, 0].tolist() == [mass[name] for name in batch["image_id"]]


def test_the_augmentation_is_that_of_the_paper():
    steps = {type(step).__name__: step for step in paper_004_backbone(0).transforms}
    assert {name: step.p for name, step in steps.items()} == {
        "HorizontalFlip": 0.5,
        "Blur": 0.3,
        "Rotate": 1.0,
        "Erasing": 0.3,
    }
    assert steps["Rotate"].limit == (-20, 20) and steps["Erasing"].scale == (0.01, 0.1)


def test_between_1_and_10_percent_are_erased_in_about_every_third_picture():
    augment = paper_004_backbone(5)
    only_erasing = A.Compose([augment.transforms[-1]], seed=5)
    shares = [(only_erasing(image=np.zeros((64, 64), np.uint8))["image"] == MEAN_GRAY).mean() for _ in range(400)]
    erased = [share for share in shares if share > 0]
    assert 0.22 < len(erased) / 400 < 0.38
    assert min(erased) > 0.008 and max(erased) < 0.105 and max(erased) > 0.07


def test_augmented_pictures_stay_gray_and_keep_their_black_border():
    augment, picture = paper_004_backbone(1), np.full((64, 64), 200, np.uint8)
    moved = np.stack([augment(image=picture)["image"] for _ in range(100)])
    assert moved.shape == (100, 64, 64) and moved.dtype == np.uint8
    corners = moved[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).mean() > 0.5  # turned out of the picture
    assert np.median(moved[:, 32, 32]) == 200
