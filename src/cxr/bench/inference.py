"""Detectors on the CPU: float32 as torchvision runs it, and as predictions run them where the profile says `half`."""

import copy
from collections.abc import Callable
from pathlib import Path

from cxr.bench.timing import alternating_ms, print_pair

SIZE, BATCH = 512, 8  # px, pictures at a time


def main(repeats: int, run: Path) -> None:
    """Images a second of two large detectors, and the AP of a run's own ones both ways, if there is one."""
    import torch

    from cxr.prediction.half import inference_type

    kind = inference_type(torch.device("cpu"), half=True)
    print(f"\ndetector, ms an image of {SIZE} px: float32, ours ({str(kind).removeprefix('torch.')}), ratio")
    for name, network in (("Faster R-CNN, ResNet-50", "resnet50"), ("Faster R-CNN, ResNeXt-101", "resnext101_32x8d")):
        print_pair(name, *both_ways(network, repeats))
    print_scores(run)


def both_ways(backbone: str, repeats: int) -> tuple[float, float]:
    """ms an image of a Faster R-CNN: float32, PyTorch's layout, torchvision's pooling; then as predictions run it."""
    from dataclasses import replace

    import torch
    from torchvision.ops import MultiScaleRoIAlign

    from cxr.models.architectures import build_detector
    from cxr.prediction.half import autocast, ready
    from cxr.profiles import PROFILES

    cpu = torch.device("cpu")
    plain = build_detector("faster_rcnn", replace(PROFILES["paper"].faster_rcnn, network=backbone)).eval()
    ours, pool = ready(copy.deepcopy(plain), cpu), plain.model.roi_heads.box_roi_pool
    plain.model.roi_heads.box_roi_pool = MultiScaleRoIAlign(pool.featmap_names, pool.output_size, pool.sampling_ratio)
    pixels = torch.randint(0, 255, (BATCH, 1, SIZE, SIZE), dtype=torch.uint8)

    def ask(network: torch.nn.Module, half: bool) -> Callable[[], None]:
        def once() -> None:
            with torch.inference_mode(), autocast(cpu, half):
                network(pixels)

        return once

    usual, half = alternating_ms([ask(plain, False), ask(ours, True)], repeats)
    return usual / BATCH, half / BATCH


def print_scores(run: Path) -> None:
    """AP of opacity of a run's own detectors, out of fold, in either precision."""
    from cxr.data.prepare import load_training
    from cxr.evaluation.out_of_fold import opacity_ap
    from cxr.systems.competition import detectors_of, predict_again
    from cxr.workspace import open_run_folder

    if not (run / "models" / "faster_rcnn" / "fold_0" / "run.json").is_file():
        print(f"AP in either precision: no detectors in {run}; `make all` first")
        return
    workspace = open_run_folder(run)
    images, truth, _ = load_training(workspace)
    used = images[images["role"] == "train"]
    for name in detectors_of(workspace.profile):
        found = [opacity_ap(used, truth, predict_again(workspace, name, half)) for half in (False, True)]
        print(f"{name:54}{found[0]:10.4f}{found[1]:10.4f}{found[1] - found[0]:+8.4f}  AP of opacity, out of fold")
