import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from cxr.data.datasets import StudyImages, box_mask, study_loader
from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.models.backbones import load_backbone
from cxr.models.classifiers import StudyNet
from cxr.models.faster_rcnn import FasterRcnnNet
from cxr.models.mask_heads import MASK_STRIDE
from cxr.profiles import FasterRcnn, Study, ours
from cxr.provenance import data_digest
from cxr.training.fit import fit
from cxr.training.losses import dice_loss, multilabel_losses, study_losses
from cxr.training.recipe import Recipe, Stage, rate, stages_of
from cxr.training.runs import finish_run, is_finished, load_state, start_run

SIZE = 64
SETTINGS = dataclasses.replace(ours.STUDY, network="mobilenet_v2", size=SIZE, batch=6, dropout=0.0, seed=1)
PLAIN = dataclasses.replace(SETTINGS, mask_weight=0.0)


@pytest.fixture
def data():
    """Twelve pictures of noise, one in four bright in a corner: class 1 with a box there, class 0 otherwise."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 80, (12, SIZE, SIZE), dtype=np.uint8)
    pixels[::2, 8:40, 8:40] += 150
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(12)], "height": 128, "width": 256})
    for column, name in enumerate(STUDY_CLASSES):
        images[name] = [float(column == (1 if n % 2 == 0 else 0)) for n in range(12)]
    boxes = pd.DataFrame(
        {
            "image_id": images["image_id"][::2],
            "label": "opacity",
            "score": 1.0,
            "x_min": 32.0,
            "y_min": 16.0,
            "x_max": 160.0,
            "y_max": 80.0,
        }
    )
    return images, boxes, pixels


def recipe(**changes):
    return Recipe(
        **{
            "stages": (Stage(1, 1e-3),),
            "weight_decay": 0.0,
            "seed": 1,
            **changes,
        }
    )


def train(data, folder, **changes):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    network = StudyNet(SETTINGS)
    loaders = [study_loader(*data, SETTINGS, MASK_STRIDE, training) for training in (True, False)]
    return network, fit(network, study_losses(), *loaders, recipe(**changes), folder)


def test_a_box_becomes_a_mask_at_the_networks_size(data):
    images, boxes, pixels = data
    item = StudyImages(images, boxes, pixels, SIZE, MASK_STRIDE)[0]
    # box 32..160 of 256 wide is 8..40 of 64, 16..80 of 128 high is 8..40 of 64: four of eight cells each way
    assert item["mask"].shape == (1, 8, 8) and item["mask"].sum() == 16
    assert item["mask"][0, 1:5, 1:5].eq(1).all()
    assert item["pixels"].dtype == torch.uint8 and item["target"].tolist() == [0, 1, 0, 0] and item["empty"] == 0
    assert box_mask(np.array([[-5, -5, 3, 2]]), 8).sum() == 6, "cut at the border"


def test_a_training_learns_and_writes_its_metrics(data, tmp_path):
    _, record = train(data, tmp_path, stages=(Stage(6, 1e-3),))
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert list(table["epoch"]) == [1, 2, 3, 4, 5, 6] and record["epochs"] == 6 and not record["clock_bound"]
    assert table["train_class"].iloc[-1] < table["train_class"].iloc[0]
    assert {"train_mask", "val_class", "val_mask", "lr", "seconds"} <= set(table.columns)


def test_same_seed_same_weights(data, tmp_path):
    one, other = (train(data, tmp_path / name)[0].state_dict() for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_clock_ends_a_training_in_time(data, tmp_path):
    _, record = train(data, tmp_path, stages=(Stage(1000, 1e-3),), max_seconds=2.0)
    assert record["clock_bound"] and record["seconds"] < 20


def test_a_clock_that_has_run_out_leaves_a_run_folder_like_the_others(data, tmp_path):
    _, record = train(data, tmp_path, stages=(Stage(1000, 1e-3),), max_seconds=0.0)
    assert record["clock_bound"] and len(pd.read_csv(tmp_path / "metrics.csv")) == 1


def test_averaged_weights_differ_from_the_last_ones(data, tmp_path):
    plain, average = (
        train(data, tmp_path / str(ema), stages=(Stage(2, 1e-3),), ema=ema)[0].state_dict() for ema in (0.0, 0.9)
    )
    assert any(not torch.equal(plain[name], average[name]) for name in plain)


def test_a_loss_that_is_not_finite_stops_with_names(data, tmp_path):
    with pytest.raises(DataFault, match=r"loss class is not finite on images i\d+"):
        broken = lambda network, batch: {"class": network(batch["pixels"])["classes"].sum() * float("nan")}  # noqa: E731
        loader = study_loader(*data, SETTINGS, MASK_STRIDE, True)
        fit(StudyNet(PLAIN), broken, loader, loader, recipe(), tmp_path)


def test_a_stage_trains_what_it_names_and_holds_the_rest_still(data, tmp_path):
    torch.manual_seed(0)
    before = {name: value.clone() for name, value in StudyNet(SETTINGS).state_dict().items()}
    network, _ = train(data, tmp_path, stages=(Stage(2, 1e-2, ("classifier",)),))
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.1.weight", "classifier.1.bias"}, "nor do the running means of batch norms move"
    assert all(parameter.requires_grad for parameter in network.parameters()), "a later training starts free"


def test_stages_follow_each_other_each_with_its_own_rate(data, tmp_path):
    first, second = Stage(2, 1e-2, StudyNet.HEAD), Stage(2, 1e-3)
    _, record = train(data, tmp_path, stages=(first, second))
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert record["epochs"] == 4 and table["lr"].iloc[1] < table["lr"].iloc[0] <= 1e-2
    assert 5e-4 < table["lr"].iloc[2] <= 1e-3, "the second stage begins its own cosine"


def test_a_stage_that_names_nothing_known_is_refused(data, tmp_path):
    with pytest.raises(DataFault, match="no parameter of StudyNet begins with hed"):
        train(data, tmp_path, stages=(Stage(1, 1e-3, ("hed",)),))


def test_stages_come_from_a_profile_section():
    settings = dataclasses.replace(Study(), epochs=5, head_epochs=2)
    assert stages_of(settings, 0.1, ("head",)) == (Stage(2, 0.1, ("head",)), Stage(5, 0.1))
    assert stages_of(settings, 0.1, ("head",), frozen=True)[1].trainable == ("head",)
    assert stages_of(dataclasses.replace(settings, head_epochs=0), 0.1, ("head",)) == (Stage(5, 0.1),)


def test_sgd_learns_too_and_an_unknown_optimiser_is_named(data, tmp_path):
    train(data, tmp_path, stages=(Stage(4, 1e-2),), optimizer="SGD")
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert table["train_class"].iloc[-1] < table["train_class"].iloc[0]
    with pytest.raises(DataFault, match="optimizer=Adma: not known; choose AdamW, Adam or SGD"):
        train(data, tmp_path, optimizer="Adma")


def test_validation_every_few_epochs_leaves_the_others_empty(data, tmp_path):
    train(data, tmp_path, stages=(Stage(3, 1e-3),), validate_every=2)
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert list(table["val_class"].notna()) == [False, True, False] and table["train_class"].notna().all()
    assert list(table.columns) == ["epoch", "train_class", "train_mask", "val_class", "val_mask", "lr", "seconds"]


def test_unknown_labels_count_for_nothing():
    network = lambda pixels: torch.tensor([[0.0, 50.0]])  # noqa: E731
    target = torch.tensor([[1.0, float("nan")]])
    losses = multilabel_losses(network, {"pixels": None, "target": target})
    assert losses["labels"].item() == pytest.approx(np.log(2)), "one known label at probability .5"


def test_rate_rises_then_falls_to_a_twentieth():
    assert [rate(step, 4, 104) for step in (0, 3)] == [0.25, 1.0]
    assert rate(54, 4, 104) == pytest.approx(0.05 + 0.95 / 2) and rate(104, 4, 104) == pytest.approx(0.05)


def test_dice_by_hand():
    # probabilities 1 and 0 over a mask of two cells, one of them found: 2 * 1 / (1 + 2)
    logits, target = torch.tensor([[[[50.0, -50.0]]]]), torch.tensor([[[[1.0, 1.0]]]])
    assert dice_loss(logits, target).item() == pytest.approx(1 - 2 / 3)
    assert dice_loss(logits, torch.zeros_like(target)).item() == 0, "an empty mask has no Dice"


def test_every_kind_of_backbone_builds_and_answers():
    pixels = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.uint8)
    for network in ("mobilenet_v2", "resnet18", "efficientnet_b0"):
        outputs = StudyNet(dataclasses.replace(SETTINGS, network=network)).eval()(pixels)
        assert outputs["classes"].shape == (2, 4) and outputs["mask"].shape == (2, 1, 8, 8)
    assert "mask" not in StudyNet(dataclasses.replace(PLAIN, network="resnet18")).eval()(pixels)


def test_an_unknown_network_is_named():
    with pytest.raises(DataFault, match="network=resnet19: torchvision has no such"):
        StudyNet(dataclasses.replace(SETTINGS, network="resnet19"))


def test_backbone_weights_of_torchvision_fit_and_others_are_refused():
    import torchvision

    for name in ("mobilenet_v2", "resnet18"):
        source = torchvision.models.get_model(name, weights=None).state_dict()
        net = StudyNet(dataclasses.replace(SETTINGS, network=name))
        assert load_backbone(net.features, source, "file") == len(net.features.state_dict())
        first = next(iter(net.features.state_dict().values()))
        assert torch.equal(first, next(value for key, value in source.items() if not key.startswith("fc")))
        other = FasterRcnnNet(FasterRcnn(network=name, pyramid=16, head=16))
        ours = {f"features.{key}": value for key, value in net.features.state_dict().items()}
        assert load_backbone(other.features, ours, "our net") >= 0.9 * len(ours), "a detector takes a classifier's"
    with pytest.raises(DataFault, match="file: only .* tensors fit this network"):
        load_backbone(StudyNet(SETTINGS).features, source, "file")


def test_a_run_folder_counts_as_finished_only_with_the_same_configuration(tmp_path):
    config = {"epochs": 3, "data": data_digest(pd.DataFrame({"a": [1]}), np.zeros(2), ["x"])}
    start_run(tmp_path / "run", config)
    assert not is_finished(tmp_path / "run", config), "started is not finished"
    finish_run(tmp_path / "run", {"w": torch.ones(2)}, {"seconds": 1})
    assert is_finished(tmp_path / "run", config)
    assert not is_finished(tmp_path / "run", {**config, "epochs": 4})
    assert torch.equal(load_state(tmp_path / "run" / "weights.pt")["w"], torch.ones(2))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {"commit", "packages", "device", "peak_memory_gb"} <= set(record)
    start_run(tmp_path / "run", config)
    assert not is_finished(tmp_path / "run", config), "trained anew: the old record must not vouch for it"


class Stranger:
    def __reduce__(self):
        return (print, ("a pickle ran code",))


def test_a_weight_file_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"state_dict": Stranger()}, tmp_path / "w.pt")
    with pytest.raises(DataFault, match="w.pt: holds more than tensors and is refused"):
        load_state(tmp_path / "w.pt")
    assert "a pickle ran code" not in capsys.readouterr().out


@pytest.mark.parametrize(("content", "message"), [(b"", "not a readable weight file"), (b"no weights", "w.pt: ")])
def test_a_broken_weight_file_is_named(tmp_path, content, message):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(DataFault, match=message):
        load_state(tmp_path / "w.pt")


def test_the_best_epochs_weights_lie_beside_the_last_ones(data, tmp_path):
    network, record = train(data, tmp_path, stages=(Stage(4, 3e-3),), keep_best=True)
    table = pd.read_csv(tmp_path / "metrics.csv")
    lowest = (table["val_class"] + table["val_mask"]).idxmin() + 1
    assert record["lowest_validation_loss_epoch"] == lowest
    best, last = load_state(tmp_path / "best.pt"), network.state_dict()
    assert best.keys() == last.keys()
    assert all(torch.equal(best[name], last[name]) for name in best) == (lowest == 4)


def test_gradients_of_several_batches_make_one_step(data, tmp_path):
    train(data, tmp_path / "one", stages=(Stage(2, 1e-3),), accumulate=2)
    train(data, tmp_path / "two", stages=(Stage(2, 1e-3),))
    one, two = (pd.read_csv(tmp_path / name / "metrics.csv")["train_class"] for name in ("one", "two"))
    assert one.iloc[0] != two.iloc[0], "the second batch of the epoch met the weights of its beginning"


def test_patience_looks_at_training_patients_and_not_at_the_fold(data, tmp_path):
    from cxr.training.aside import set_aside

    images, boxes, pixels = data
    images = images.assign(patient_id=[f"p{n // 2}" for n in range(12)])
    learn, aside = set_aside((images, boxes, pixels), "study.patience")
    assert set(learn[0]["patient_id"]) | set(aside[0]["patient_id"]) == {f"p{n}" for n in range(6)}
    assert not set(learn[0]["patient_id"]) & set(aside[0]["patient_id"]) and len(aside[2]) == len(aside[0])
    with pytest.raises(DataFault, match=r"study.patience: one patient cannot"):
        set_aside((images.assign(patient_id="p"), boxes, pixels), "study.patience")
