"""Mirrored pictures and half precision: the same boxes, to what the digits allow."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cxr.prediction.combine import fuse_views, none_of_heads
from cxr.prediction.constants import Constants
from cxr.prediction.detect import Detector, decode_in_float32, mirror_xyxy
from cxr.prediction.half import autocast, inference_type, ready


class Brightest(Detector):
    """Finds the bright square of a picture; its one weight moves with the device."""

    def __init__(self, half=False):
        super().__init__(nn.Linear(1, 1), 32, half=half)

    def detect(self, batch):
        found = []
        for picture in batch[:, 0]:
            rows, columns = torch.where(picture > 128)
            box = torch.tensor([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=torch.float32)
            found.append((box, torch.tensor([0.9])))
        return found


@pytest.fixture
def picture():
    pixels = np.zeros((1, 32, 32), np.uint8)
    pixels[0, 4:12, 2:20] = 200
    return pd.DataFrame({"image_id": ["a"], "height": [64], "width": [32]}), pixels


def test_boxes_of_a_mirrored_picture_come_back_where_they_are(picture):
    plain, mirrored = (Brightest().predict(*picture, mirrored=each) for each in (False, True))
    columns = ["x_min", "y_min", "x_max", "y_max"]
    assert plain[columns].to_numpy().tolist() == [[2, 8, 20, 24]] == mirrored[columns].to_numpy().tolist()
    assert mirror_xyxy(torch.tensor([[2.0, 8.0, 20.0, 24.0]]), 32).tolist() == [[12, 8, 30, 24]]


def test_views_are_fused_and_a_single_one_stays(picture):
    images, pixels = picture
    table = Brightest().predict(images, pixels)
    assert fuse_views([table], images) is table
    fused = fuse_views([table, table.assign(score=0.5)], images)
    assert fused["score"].tolist() == pytest.approx([0.7]) and fused["x_max"].tolist() == pytest.approx([20])


def test_half_precision_is_what_the_machine_computes_in(monkeypatch):
    cpu = torch.device("cpu")
    assert inference_type(cpu, half=False) == torch.float32
    for has_it, kind in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has_it=has_it: has_it)
        assert inference_type(cpu, half=True) == kind
        network = ready(nn.Conv2d(1, 1, 1), cpu)
        with autocast(cpu, True):
            assert network(torch.zeros(1, 1, 2, 2)).dtype == kind
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert inference_type(torch.device("cuda"), half=True) == torch.float16, "a T4"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert inference_type(torch.device("cuda"), half=True) == torch.bfloat16


def test_yolos_boxes_are_decoded_with_all_digits():
    class Head(nn.Module):
        def _inference(self, found):
            return found["boxes"] * 1000 + found["feats"][0]

    head = Head()
    decode_in_float32(head, torch.device("cpu"))
    kept = torch.tensor([0.7539], dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert head._inference({"boxes": kept, "feats": [kept * 0]}).dtype == torch.float32


def test_two_class_heads_speak_for_none_by_the_weight_of_their_classifier():
    images = pd.DataFrame({"image_id": ["a", "b"]})
    one = pd.DataFrame({"image_id": ["b", "a"], "none": [0.2, 0.8]})
    other = pd.DataFrame({"image_id": ["a", "b"], "none": [0.4, 0.4]})
    weights = {"one": 3.0, "other": 1.0, "silent": 1.0}
    tables = {"one": one, "other": other, "silent": images}
    constants = Constants(0.5, 0.0, 30, class_weights=weights, none_from_head=0.5)
    assert none_of_heads(images, tables, constants).to_dict() == pytest.approx({"a": 0.7, "b": 0.25})
    assert none_of_heads(images, tables, Constants(0.5, 0.0, 30, class_weights=weights)) is None
