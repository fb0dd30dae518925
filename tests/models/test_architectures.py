"""Detectors and heads: what they answer, what they learn from, and how large they are beside the library's."""

import dataclasses

import pytest
import timm
import torch
import torchvision
from torchvision.ops import complete_box_iou_loss

from cxr.faults import DataFault
from cxr.labels import STUDY_CLASSES
from cxr.models.architectures import ARCHITECTURES, build_detector
from cxr.models.backbones import MEAN, STD, backbone_features, load_backbone, normalise
from cxr.models.classifiers import MultiLabelNet, StudyNet, class_head
from cxr.models.mask_heads import DECODERS
from cxr.profiles import PROFILES, FasterRcnn, Study, ours
from cxr.training.losses import detection_losses

SMALL = dataclasses.replace(
    ours.FASTER_RCNN, network="mobilenet_v2", pyramid=32, head=32, size=64, proposals=50, regions=16, confidence=0.0,
    max_boxes=5,
)  # fmt: skip
STUDY = dataclasses.replace(ours.STUDY, network="mobilenet_v2", size=64)
BATCH = {
    "pixels": torch.randint(0, 255, (2, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    "boxes_xyxy": [torch.tensor([[8.0, 8.0, 40.0, 48.0]]), torch.empty(0, 4)],
    "labels": [torch.ones(1, dtype=torch.long), torch.empty(0, dtype=torch.long)],
    "image_id": ["a", "b"],
}
LOSSES = {
    "faster_rcnn": {"classifier", "box_reg", "objectness", "rpn_box_reg"},
    "retinanet": {"classification", "bbox_regression"},
    "fcos": {"classification", "bbox_regression", "bbox_ctrness"},
}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_learns_from_the_same_batch_and_answers_alike(name):
    torch.manual_seed(0)
    network = build_detector(name, SMALL)
    losses = detection_losses(network.train(), BATCH)
    assert set(losses) == LOSSES[name] and all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    assert all(key.startswith(network.HEAD) or ".body." in key for key in network.state_dict()), "head and backbone"
    assert network.features.state_dict().keys() == backbone_features("mobilenet_v2").state_dict().keys()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        found = network.eval()(BATCH["pixels"])
    assert len(found) == 2 and found[0]["boxes"].shape[1] == 4 and len(found[0]["scores"]) <= 5
    assert found[0]["boxes"].dtype == torch.float32, "a pixel needs more digits than bfloat16 has"


def test_anchors_keep_their_digits_in_half_precision():
    from torchvision.models.detection.image_list import ImageList

    from cxr.models.detectors import anchors

    maps = [torch.zeros(1, 4, 128, 128, dtype=torch.bfloat16), torch.zeros(1, 4, 64, 64, dtype=torch.bfloat16)]
    found = anchors(18, 2)(ImageList(torch.zeros(1, 3, 1024, 1024), [(1024, 1024)]), maps)[0]
    wanted = anchors(18, 2)(ImageList(torch.zeros(1, 3, 1024, 1024), [(1024, 1024)]), [one.float() for one in maps])[0]
    assert found.dtype == torch.float32 and torch.equal(found, wanted) and found[:, 0].unique().numel() > 128


def test_an_unknown_architecture_and_an_unknown_loss_are_named():
    with pytest.raises(DataFault, match=r"detectors.more=ssd: no such architecture; choose from retinanet, fcos"):
        build_detector("ssd", SMALL)
    with pytest.raises(DataFault, match=r"faster_rcnn.box_loss=l1: not known; choose one of smooth_l1, ciou"):
        build_detector("faster_rcnn", dataclasses.replace(SMALL, box_loss="l1"))


def test_the_box_loss_may_be_ciou_of_the_decoded_boxes():
    torch.manual_seed(0)
    network = build_detector("faster_rcnn", dataclasses.replace(SMALL, box_loss="ciou")).train()
    heads, seen = network.model.roi_heads, {}
    choose = heads.select_training_samples

    def remember(proposals, targets):
        seen["chosen"] = choose(proposals, targets)
        return seen["chosen"]

    heads.select_training_samples = remember
    heads.box_predictor.register_forward_hook(lambda _, __, answer: seen.update(offsets=answer[1]))
    found = detection_losses(network, BATCH)["box_reg"]
    proposals, _, labels, _ = seen["chosen"]
    boxes_xyxy = heads.box_coder.decode(seen["offsets"], proposals)[:, 1][torch.cat(labels) > 0]
    truth_xyxy = BATCH["boxes_xyxy"][0].expand(len(boxes_xyxy), 4)
    wanted = complete_box_iou_loss(boxes_xyxy, truth_xyxy, reduction="sum") / len(torch.cat(labels))
    assert len(boxes_xyxy) and found.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_paper_004_at_full_size_has_the_librarys_parameters():
    """ResNeXt-101 32x8d is torchvision's, less its 1000-class layer; heads are counted by hand."""
    paper = PROFILES["paper"]
    with torch.device("meta"):
        library = count(torchvision.models.resnext101_32x8d()) - 2049 * 1000
        features = count(backbone_features(paper.nih.network))
        labels = count(MultiLabelNet(paper.nih.network, 0.0, 15))
        study = count(StudyNet(paper.study))
        ours_, torchvisions = (
            build_detector("faster_rcnn", paper.faster_rcnn),
            torchvision.models.detection.FasterRCNN(
                torchvision.models.detection.backbone_utils.resnet_fpn_backbone(
                    backbone_name="resnext101_32x8d", weights=None, trainable_layers=5, norm_layer=torch.nn.BatchNorm2d
                ),
                2,
            ),
        )
    assert features == library == 86_742_336
    assert labels == library + 2049 * 15
    assert study == library + 2049 * 1024 + 1025 * 4
    # torchvision's pyramid has a level more (stride 4), and no normalisation in pyramid and head
    assert count(ours_) == pytest.approx(count(torchvisions), rel=0.1)


def test_yolov5l_has_the_librarys_parameters(tmp_path):
    from cxr.training import yolo

    yolo.prepare(tmp_path)
    from ultralytics.nn.tasks import yaml_model_load

    network = yolo.build_detector({**yaml_model_load(f"{PROFILES['paper'].yolo.model}.yaml"), "nc": 80})
    assert count(network) == pytest.approx(53.2e6, rel=0.002), "53.2 M as ultralytics' documentation has yolov5lu"


def test_the_study_head_is_the_papers_with_xavier_weights():
    torch.manual_seed(0)
    head = class_head(2048, 1024, 0.5, 4)
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Dropout", "Linear"]
    for layer, bound in ((head[0], (6 / (2048 + 1024)) ** 0.5), (head[-1], (6 / (1024 + 4)) ** 0.5)):
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert layer.bias.eq(0).all()


@pytest.mark.parametrize("decoder", ["", *DECODERS])
@pytest.mark.parametrize("network", ["resnet18", "tu-efficientnet_b0"])
def test_every_decoder_gives_a_mask_at_stride_8_on_every_backbone(decoder, network):
    settings = dataclasses.replace(STUDY, network=network, decoder=decoder, none_weight=0.5)
    outputs = StudyNet(settings).eval()(torch.zeros(2, 1, 64, 64, dtype=torch.uint8))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "classes": (2, len(STUDY_CLASSES)), "mask": (2, 1, 8, 8), "none": (2,)
    }  # fmt: skip


def test_an_unknown_decoder_is_named():
    with pytest.raises(DataFault, match=r"study.decoder=linknet: not known; choose one of unet, unetplusplus, fpn"):
        StudyNet(dataclasses.replace(STUDY, decoder="linknet"))


def test_heads_are_there_only_where_they_count():
    plain = StudyNet(dataclasses.replace(STUDY, mask_weight=0.0)).eval()
    assert set(plain(BATCH["pixels"])) == {"classes"}
    assert not [name for name in plain.state_dict() if name.startswith(("mask_head", "place", "none_head"))]


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_atto", "hrnet_w18_small", "densenet121"])
def test_timms_weight_files_fit_its_backbones(name):
    source = {key: value + 1 for key, value in timm.create_model(name, pretrained=False).state_dict().items()}
    features = backbone_features(f"tu-{name}")
    found = load_backbone(features, source, "file")
    assert found >= 0.9 * len(features.state_dict())
    taken = [value for key, value in features.state_dict().items() if key.endswith("weight")]
    assert torch.equal(taken[0], next(value for key, value in source.items() if key.endswith("weight")))
    own = {f"features.{key}": value for key, value in features.state_dict().items()}
    assert load_backbone(backbone_features(f"tu-{name}"), own, "ours") == len(own)


def test_backbones_that_do_not_exist_or_give_no_levels_are_named():
    with pytest.raises(DataFault, match=r"network=tu-efficientnet_b99: timm .* has no efficientnet_b99"):
        backbone_features("tu-efficientnet_b99")
    with pytest.raises(DataFault, match=r"network=tu-vit_tiny_patch16_224: .*strides"):
        backbone_features("tu-vit_tiny_patch16_224")


def test_gray_is_normalised_as_imagenets_colours_are():
    found = normalise(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8))
    assert found[0, :, 0, 0].tolist() == pytest.approx([(1 - m) / s for m, s in zip(MEAN, STD, strict=True)])


def test_defaults_of_the_sections_are_the_papers():
    assert FasterRcnn() == PROFILES["paper"].faster_rcnn and Study() == PROFILES["paper"].study
