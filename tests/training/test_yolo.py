"""The adapter around ultralytics: one epoch on a handful of small pictures, no network."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from cxr.data.yolo_labels import write_yolo
from cxr.faults import DataFault
from cxr.prediction.detect import YoloDetector
from cxr.profiles import Yolo, ours
from cxr.training import yolo
from cxr.training.runs import finish_run
from cxr.training.start import Start

SETTINGS = dataclasses.replace(
    ours.YOLO, model="yolo11n", size=64, epochs=1, batch=4, nominal_batch=4, optimizer="AdamW", lr=0.001, mixup=0.0
)
NOTHING = Start(None, None, ())


def from_file(file):
    return Start(None, file, ("weight file",))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder after one epoch on eight pictures with a bright square each, and what the adapter returned."""
    root = tmp_path_factory.mktemp("yolo")
    yolo.prepare(root / "config")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (8, 64, 64), dtype=np.uint8)
    pixels[:, 16:48, 16:48] += 150
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(8)], "height": 640, "width": 320})
    boxes = pd.DataFrame(
        {
            "image_id": images["image_id"],
            "label": "opacity",
            "score": 1.0,
            "x_min": 80.0,
            "y_min": 160.0,
            "x_max": 240.0,
            "y_max": 480.0,
        }
    )
    ids = list(images["image_id"])
    data_yaml = write_yolo(root / "data", images, boxes, pixels, ids[:4], ids[4:])
    state, record = yolo.train_yolo(SETTINGS, data_yaml, root / "run", NOTHING, 600, "test")
    finish_run(root / "run", state, record)
    return root / "run", record, images, pixels


def test_a_training_leaves_a_run_folder_like_the_others(trained):
    folder, record, _, _ = trained
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.csv", "model.json", "run.json", "weights.pt"]
    assert record["epochs"] == 1 and not record["clock_bound"] and record["tensors_from_weights"] == 0
    metrics = pd.read_csv(folder / "metrics.csv")
    assert {"epoch", "train_box", "train_cls", "train_dfl", "lr", "seconds"} <= set(metrics.columns)
    assert json.loads((folder / "run.json").read_text())["packages"]["ultralytics"]


def test_boxes_come_back_in_pixels_of_the_original_image(trained):
    folder, _, images, pixels = trained
    table = YoloDetector(folder, Yolo(size=64, confidence=1e-6, max_boxes=5)).predict(images, pixels)
    assert len(table) and (table.groupby("image_id").size() <= 5).all()
    assert table["x_max"].max() <= 320 and 320 < table["y_max"].max() <= 640, "640 high, 320 wide"


def test_predictions_do_not_depend_on_batch_mates(trained):
    folder, _, images, pixels = trained
    detector = YoloDetector(folder, Yolo(size=64, confidence=1e-6, max_boxes=5))
    whole, alone = detector.predict(images, pixels), detector.predict(images.iloc[:1], pixels[:1])
    first = whole[whole["image_id"] == "i0"]
    assert first.iloc[:, 2:].to_numpy() == pytest.approx(alone.iloc[:, 2:].to_numpy(), abs=1e-3)


def test_a_training_may_start_from_a_checkpoint_for_other_classes(trained, tmp_path):
    """COCO checkpoints have 80 classes and a wider head; what comes out must load again."""
    from ultralytics import YOLO

    torch.save({"model": YOLO("yolo11n.yaml").model}, tmp_path / "yolo11n.pt")
    folder, _, images, pixels = trained
    data_yaml = folder.parent / "data" / "data.yaml"
    torch.manual_seed(1)
    start = from_file(tmp_path / "yolo11n.pt")
    other, _ = yolo.train_yolo(SETTINGS, data_yaml, tmp_path / "other", start, 600, "test")
    torch.manual_seed(2)
    state, record = yolo.train_yolo(SETTINGS, data_yaml, tmp_path / "run", start, 600, "test")
    assert all(torch.equal(other[name], tensor) for name, tensor in state.items()), "the head is seeded too"
    finish_run(tmp_path / "run", state, record)
    assert record["tensors_from_weights"] > 400, "all but the head"
    assert YoloDetector(tmp_path / "run", Yolo(size=64, confidence=1e-6)).predict(images, pixels) is not None


def test_weights_that_do_not_fit_their_description_are_named(trained, tmp_path):
    folder, _, _, _ = trained
    (tmp_path / "model.json").write_text((folder / "model.json").read_text())
    torch.save({"model.0.conv.weight": torch.zeros(3)}, tmp_path / "weights.pt")
    with pytest.raises(DataFault, match="weights.pt: does not fit the network of model.json"):
        YoloDetector(tmp_path, SETTINGS)


def test_weights_are_taken_over_by_allow_list(trained, tmp_path):
    from ultralytics import YOLO

    source = YOLO("yolo11n.yaml")
    torch.save({"model": source.model}, tmp_path / "yolo11n.pt")
    target = YOLO("yolo11n.yaml")
    assert yolo.take_weights(target, from_file(tmp_path / "yolo11n.pt")) == len(source.model.state_dict())
    name = next(iter(source.model.state_dict()))
    assert torch.equal(target.model.state_dict()[name], source.model.state_dict()[name])


class Stranger:
    def __reduce__(self):
        return (print, ("a pickle ran code",))


def test_a_checkpoint_that_would_run_code_is_refused(trained, tmp_path, capsys):
    from ultralytics import YOLO

    torch.save({"model": Stranger()}, tmp_path / "bad.pt")
    with pytest.raises(DataFault, match=r"bad.pt: not a checkpoint that can be read safely"):
        yolo.take_weights(YOLO("yolo11n.yaml"), from_file(tmp_path / "bad.pt"))
    assert "a pickle ran code" not in capsys.readouterr().out


def test_a_training_goes_on_from_a_run_folder_of_ours(trained):
    from ultralytics import YOLO

    folder, _, _, _ = trained
    target = YOLO("yolo11n.yaml")
    target.model = yolo.build_detector({**target.model.yaml, "nc": 1})
    assert yolo.take_weights(target, Start(folder, None, ("RSNA",))) == len(target.model.state_dict())
    kept = torch.load(folder / "weights.pt", weights_only=True)
    assert all(torch.equal(target.model.state_dict()[name], tensor) for name, tensor in kept.items())


def test_a_run_folder_of_another_network_is_refused(trained, tmp_path):
    from ultralytics import YOLO

    torch.save({"model.0.conv.weight": torch.zeros(3)}, tmp_path / "weights.pt")
    with pytest.raises(DataFault, match=r"only 0 of \d+ tensors fit"):
        yolo.take_weights(YOLO("yolo11n.yaml"), Start(tmp_path, None, ()))


def test_a_yolo_loss_that_is_not_finite_stops_with_names(trained, tmp_path, monkeypatch):
    from ultralytics.nn.tasks import DetectionModel

    folder, _, _, _ = trained
    loss = DetectionModel.loss

    def broken(self, batch, preds=None):
        total, named = loss(self, batch, preds)
        return total, {name: value * float("nan") if name.startswith("cls") else value for name, value in named.items()}

    monkeypatch.setattr(DetectionModel, "loss", broken)
    with pytest.raises(DataFault, match=r"loss cls\w* is not finite on images i\d"):
        yolo.train_yolo(SETTINGS, folder.parent / "data" / "data.yaml", tmp_path / "run", NOTHING, 600, "fold 0")


def test_the_box_loss_may_be_giou_and_nothing_else_changes(trained):
    """1 - GIoU, weighted as the library weighs 1 - CIoU; the distributions' loss is the library's."""
    from torchvision.ops import generalized_box_iou
    from ultralytics.utils.loss import BboxLoss

    from cxr.training.yolo_losses import GiouBoxLoss

    torch.manual_seed(0)
    corners = torch.rand(1, 6, 2) * 4
    boxes = torch.cat([corners, corners + 1 + torch.rand(1, 6, 2) * 4], 2)
    target, anchors = boxes.roll(1, 1), torch.full((6, 2), 3.0)
    scores, mask = torch.rand(1, 6, 1), torch.tensor([[True, False, True, True, False, True]])
    shared = (torch.randn(1, 6, 64), boxes, anchors, target, scores, scores.sum(), mask, torch.tensor([64.0, 64.0]),
              torch.ones(6, 1))  # fmt: skip
    found, distribution = GiouBoxLoss(16)(*shared)
    ciou, library = BboxLoss(16)(*shared)
    giou = generalized_box_iou(boxes[0], target[0]).diagonal()[mask[0]]
    wanted = ((1 - giou) * scores[mask][:, 0]).sum() / scores.sum()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4) and distribution == library and found != ciou


def test_a_training_with_giou_and_equation_1_goes_through(trained, tmp_path, monkeypatch):
    from ultralytics.utils.loss import BboxLoss

    from cxr.training.yolo_losses import GiouBoxLoss

    _, _, images, pixels = trained
    corners = {"x_min": 80.0, "y_min": 160.0, "x_max": 240.0, "y_max": 480.0}
    boxes = pd.DataFrame({"image_id": images["image_id"], "label": "opacity", "score": 1.0, **corners})
    ids = list(images["image_id"])
    data_yaml = write_yolo(tmp_path / "data", images, boxes, pixels, ids[:4], ids[4:])
    settings = dataclasses.replace(SETTINGS, box_loss="giou", epochs=4, step_every=2, warmup_epochs=0.0)
    seen = []
    monkeypatch.setattr(GiouBoxLoss, "forward", lambda self, *rest: seen.append(1) or BboxLoss.forward(self, *rest))
    yolo.train_yolo(settings, data_yaml, tmp_path / "run", NOTHING, 600, "giou")
    assert len(seen) == 4, "one batch an epoch"
    metrics = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert metrics["train_box"].notna().all()
    # t = 0, 0, 1, 1 of T = 4: half of a cosine at 0 and at a quarter
    assert (metrics["lr"] / metrics["lr"].iloc[0]).tolist() == pytest.approx([1, 1, 0.8609, 0.8609], abs=2e-3)


def test_an_unknown_box_loss_is_named(trained, tmp_path):
    from cxr.training.yolo_losses import trainer_of

    with pytest.raises(DataFault, match=r"yolo.box_loss=diou: not known; choose one of giou, ciou"):
        trainer_of(dataclasses.replace(SETTINGS, box_loss="diou"))
