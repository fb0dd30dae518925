"""Torchvision detectors through the engine: a few steps on small pictures with a bright square each."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from cxr.data.detection import DetectionImages, detection_loader
from cxr.faults import DataFault
from cxr.models.faster_rcnn import FasterRcnnNet
from cxr.prediction.detect import TorchvisionDetector
from cxr.profiles import FasterRcnn
from cxr.training.detectors import start_detector, train_detector
from cxr.training.losses import detection_losses
from cxr.training.runs import finish_run, start_run
from cxr.training.start import Start

SETTINGS = FasterRcnn(
    network="mobilenet_v2",
    pyramid=16,
    head=32,
    size=64,
    predict_size=64,
    epochs=1,
    batch=4,
    optimizer="AdamW",
    step_every=0,
    augmentation="ours",
    keep_best=False,
    proposals=50,
    regions=16,
    confidence=0.0,
    max_boxes=5,
)
NOTHING = Start(None, None, ())


@pytest.fixture(scope="module")
def part():
    """Eight images of 640 x 320 (height, width), a box on the first six."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (8, 64, 64), dtype=np.uint8)
    pixels[:6, 16:48, 16:48] += 150
    images = pd.DataFrame({"image_id": [f"i{n}" for n in range(8)], "height": 640, "width": 320})
    corners = {"x_min": 80.0, "y_min": 160.0, "x_max": 240.0, "y_max": 480.0}
    boxes = pd.DataFrame({"image_id": images["image_id"][:6], "label": "opacity", "score": 1.0, **corners})
    return images, boxes, pixels


@pytest.fixture(scope="module")
def trained(part, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rcnn") / "run"
    start_run(folder, {"settings": dataclasses.asdict(SETTINGS)})
    state, record = train_detector("faster_rcnn", SETTINGS, part, part, NOTHING, folder, 600)
    finish_run(folder, state, record)
    return folder


def test_boxes_are_at_the_networks_size(part):
    item = DetectionImages(*part, 64)[0]
    # 80..240 of 320 wide is 16..48 of 64; 160..480 of 640 high likewise
    assert item["boxes_xyxy"].tolist() == [[16.0, 16.0, 48.0, 48.0]] and item["labels"].tolist() == [1]
    empty = DetectionImages(*part, 64)[7]
    assert empty["boxes_xyxy"].shape == (0, 4) and empty["labels"].shape == (0,)


def test_augmented_boxes_stay_on_the_bright_square(part):
    for batch in detection_loader(*part, SETTINGS, True):
        for picture, boxes in zip(batch["pixels"], batch["boxes_xyxy"], strict=True):
            for x_min, y_min, x_max, y_max in boxes.round().int().tolist():
                inside = picture[0, y_min:y_max, x_min:x_max].float().mean()
                assert inside > picture.float().mean() + 20


def test_a_training_leaves_the_same_run_folder_as_others(trained):
    assert {"config.json", "metrics.csv", "run.json", "weights.pt"} == {path.name for path in trained.iterdir()}
    metrics = pd.read_csv(trained / "metrics.csv")
    assert {"train_classifier", "train_box_reg", "train_objectness", "val_rpn_box_reg", "lr"} <= set(metrics.columns)
    assert json.loads((trained / "run.json").read_text())["epochs"] == 1


def test_detections_come_back_in_pixels_of_the_original(trained, part):
    images, _, pixels = part
    table = TorchvisionDetector(trained).predict(images, pixels)
    assert len(table) and (table.groupby("image_id").size() <= 5).all()
    assert table["x_max"].max() <= 320 and 320 < table["y_max"].max() <= 640
    alone = TorchvisionDetector(trained).predict(images.iloc[:1], pixels[:1])
    first = table[table["image_id"] == "i0"]
    assert first.iloc[:, 2:].to_numpy() == pytest.approx(alone.iloc[:, 2:].to_numpy(), abs=1e-2), "batch mates"


def test_the_network_never_resizes(part):
    network = FasterRcnnNet(SETTINGS).eval()
    seen = []
    network.model.backbone.register_forward_hook(lambda module, inputs, outputs: seen.append(inputs[0].shape))
    network(torch.zeros(1, 1, 96, 96, dtype=torch.uint8))
    assert tuple(seen[0]) == (1, 3, 96, 96)


def test_it_learns_to_find_the_square(part, tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=25, lr_random=0.003)
    state, _ = train_detector("faster_rcnn", settings, part, None, NOTHING, tmp_path, 600)
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert metrics["train_objectness"].iloc[-1] < 0.5 * metrics["train_objectness"].iloc[0]
    assert not [name for name in metrics.columns if name.startswith("val_")], "no held-out images were given"
    network = FasterRcnnNet(settings)
    network.load_state_dict(state)
    assert network.eval()(torch.from_numpy(part[2][:1])[:, None])[0]["boxes"].shape[1] == 4


def test_validation_losses_move_no_batch_norm(part):
    network = FasterRcnnNet(SETTINGS).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batch = next(iter(detection_loader(*part, SETTINGS, False)))
    assert set(detection_losses(network, batch)) == {"classifier", "box_reg", "objectness", "rpn_box_reg"}
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_fold_without_boxes_is_told_and_trained(part, tmp_path, capsys):
    images, boxes, pixels = part
    train_detector("faster_rcnn", SETTINGS, (images, boxes.iloc[:0], pixels), None, NOTHING, tmp_path / "fold_0", 600)
    assert "fold_0: none of 8 training images has a box" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "fold_0" / "metrics.csv")["train_objectness"].notna().all()


def test_it_starts_from_a_whole_detector_or_from_a_backbone(trained, tmp_path):
    kept = torch.load(trained / "weights.pt", weights_only=True)
    rsna = tmp_path / "pretrain_rsna_faster_rcnn"
    nih = tmp_path / "pretrain_nih"
    for folder in (rsna, nih):
        folder.mkdir()
    torch.save(kept, rsna / "weights.pt")
    backbone = {
        name.replace("model.backbone.body", "features"): value for name, value in kept.items() if ".body." in name
    }
    torch.save(backbone, nih / "weights.pt")
    whole, part = (
        start_detector("faster_rcnn", SETTINGS, Start(folder, None, ())).state_dict() for folder in (rsna, nih)
    )
    assert all(torch.equal(whole[name], value) for name, value in kept.items())
    same = {name for name, value in kept.items() if torch.equal(part[name], value)}
    assert all(name in same for name in kept if ".body." in name) and "model.rpn.head.cls_logits.weight" not in same


def test_a_detector_of_another_shape_is_refused(trained, tmp_path):
    folder = tmp_path / "pretrain_rsna_faster_rcnn"
    folder.mkdir()
    torch.save(torch.load(trained / "weights.pt", weights_only=True), folder / "weights.pt")
    with pytest.raises(DataFault, match=r"weights.pt: does not fit the network of faster_rcnn"):
        start_detector("faster_rcnn", dataclasses.replace(SETTINGS, pyramid=24), Start(folder, None, ()))


def test_what_only_our_pretraining_shaped_still_learns_at_the_rate_for_random_weights(part, tmp_path):
    settings = dataclasses.replace(SETTINGS, lr=0.001, lr_random=0.004)
    rates = {}
    for name, sources in (("random", ()), ("file", ("weight file a.pth",))):
        start = Start(None, None, sources)
        train_detector("faster_rcnn", settings, part, None, start, tmp_path / name, 600)
        rates[name] = pd.read_csv(tmp_path / name / "metrics.csv")["lr"].iloc[0]
    assert rates["random"] == pytest.approx(4 * rates["file"])
