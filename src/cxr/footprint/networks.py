"""The networks of a profile: how large their weights are, and what a step of their training holds at its height.

Sizes are counted on the meta device, where tensors have shapes and no memory. A step is run on the CPU with the casts
of mixed precision, and every tensor is counted from its birth to its end; two batch sizes give a line. That is an
estimate for a GPU: its kernels take scratch memory of their own, and PyTorch's allocator rounds up.
"""

import os
import tempfile
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cxr.data.nih import FINDINGS
from cxr.labels import STUDY_CLASSES
from cxr.models.classifiers import MultiLabelNet, StudyNet
from cxr.models.faster_rcnn import FasterRcnnNet
from cxr.models.mask_heads import MASK_STRIDE
from cxr.models.segmenters import build_segmenter
from cxr.profiles import Lungs, Nih, Study, Yolo
from cxr.training import yolo
from cxr.training.losses import detection_losses, lung_losses, multilabel_losses, study_losses

BATCHES = (2, 4)  # batch norm cannot train on one picture
BOXES = ((0.1, 0.2, 0.4, 0.7), (0.6, 0.25, 0.9, 0.8))  # of each picture, shares of its sides: one in each lung


class Step(NamedTuple):
    """Bytes that a step holds beside weights: so many, and so many more for each picture of the batch."""

    fixed: float
    a_picture: float

    def of(self, batch: int) -> float:
        return self.fixed + self.a_picture * batch


def build(section: object) -> nn.Module:
    """The network of a profile section, with random weights."""
    if isinstance(section, Nih):
        return MultiLabelNet(section.network, section.dropout, len(FINDINGS))
    if isinstance(section, Study):
        return StudyNet(section)
    if isinstance(section, Lungs):
        return build_segmenter(section.network, section.width, section.depth)
    return _build_yolo(section) if isinstance(section, Yolo) else FasterRcnnNet(section)


def _build_yolo(section: Yolo) -> nn.Module:
    if os.environ.get("YOLO_OFFLINE") != "true":  # nobody has prepared ultralytics for a run's own folder
        yolo.prepare(Path(_scratch().name))
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import yaml_model_load

    network = yolo.build_detector({**yaml_model_load(f"{section.model}.yaml"), "nc": 1})
    network.args = get_cfg()  # its loss asks for the weights of its parts
    return network


@cache
def _scratch() -> tempfile.TemporaryDirectory:
    """A folder for ultralytics' settings that goes when this process ends."""
    return tempfile.TemporaryDirectory(prefix="cxr-footprint-")


@cache
def weight_bytes(section: object) -> int:
    """Size of `weights.pt`: parameters and running means in float32."""
    # ultralytics reads a number back while it builds, which a tensor without memory has not
    with torch.device("cpu" if isinstance(section, Yolo) else "meta"):
        network = build(section)
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def losses_of(section: object) -> Callable[[nn.Module, dict], dict[str, Tensor]]:
    """The losses that the training of this section adds up."""
    kinds = {Nih: multilabel_losses, Study: study_losses(), Lungs: lung_losses, Yolo: _yolo_losses}
    return kinds.get(type(section), detection_losses)


def _yolo_losses(network: nn.Module, batch: dict) -> dict[str, Tensor]:
    boxes = torch.tensor(BOXES)
    count, centres, sizes = len(batch["pixels"]), (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    labels = {
        "img": batch["pixels"].expand(-1, 3, -1, -1).float() / 255,
        "bboxes": torch.cat([centres, sizes], 1).repeat(count, 1),
        "cls": torch.zeros(count * len(boxes), 1),
        "batch_idx": torch.arange(count).repeat_interleave(len(boxes)).float(),
    }
    return {"sum": network(labels)[0].sum()}


def made_up_batch(section: object, count: int) -> dict:
    """Gray noise with two boxes a picture, under every name that one of the losses asks for."""
    size, boxes = section.size, torch.tensor(BOXES) * section.size
    cells = size if isinstance(section, Lungs) else size // MASK_STRIDE
    targets = torch.zeros(count, len(FINDINGS) if isinstance(section, Nih) else len(STUDY_CLASSES))
    return {
        "pixels": torch.randint(0, 255, (count, 1, size, size), dtype=torch.uint8),
        "mask": torch.zeros(count, 1, cells, cells),
        "target": targets,
        "weight": torch.ones(count),
        "empty": torch.zeros(count),
        "boxes_xyxy": [boxes] * count,
        "labels": [torch.ones(len(boxes), dtype=torch.long)] * count,
        "image_id": ["noise"] * count,
    }


class LiveBytes(TorchDispatchMode):
    """Counts the tensors that operations make, until they are freed; `peak` is the most at a time, in bytes.

    Tensors of `given` are not counted.
    """

    def __init__(self, given: list[Tensor]):
        super().__init__()
        self.live = self.peak = 0
        self.known = {tensor.untyped_storage()._cdata for tensor in given}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


@cache
def training_step(section: object) -> Step:
    """Bytes of a training step beside weights, optimiser and averages: activations, gradients, what backward takes."""
    return _line(section, _train_once)


@cache
def prediction_step(section: object, size: int) -> Step:
    """Bytes of a prediction on pictures of `size` px beside the weights, in float32."""
    return _line(section, lambda network, section, count: _predict_once(network, section, count, size))


def _line(section: object, measure: Callable[[nn.Module, object, int], int]) -> Step:
    torch.manual_seed(0)
    network = build(section)
    low, high = (measure(network, section, count) for count in BATCHES)
    a_picture = (high - low) / (BATCHES[1] - BATCHES[0])
    return Step(low - BATCHES[0] * a_picture, a_picture)


def _train_once(network: nn.Module, section: object, count: int) -> int:
    network.train().zero_grad(set_to_none=True)
    batch, losses = made_up_batch(section, count), losses_of(section)
    with LiveBytes([*network.state_dict().values()]) as memory:
        with torch.autocast("cpu", torch.bfloat16):  # as wide as the float16 of a T4
            total = sum(losses(network, batch).values())
        total.backward()
    network.zero_grad(set_to_none=True)
    return memory.peak


def _predict_once(network: nn.Module, section: object, count: int, size: int) -> int:
    network.eval()
    pixels = torch.randint(0, 255, (count, 1, size, size), dtype=torch.uint8)
    if isinstance(section, Yolo):
        pixels = pixels.expand(-1, 3, -1, -1).float() / 255
    with torch.no_grad(), LiveBytes([*network.state_dict().values()]) as memory:
        network(pixels)
    return memory.peak
