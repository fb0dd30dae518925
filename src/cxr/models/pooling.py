"""Regions pooled from a pyramid on every core: torchvision's RoIAlign takes one on a CPU, a fifth of the whole time."""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign


class PooledRegions(MultiScaleRoIAlign):
    """torchvision's, with the pictures of a batch shared among as many threads as PyTorch uses.

    Only where nothing is learned, since gradients and autocast belong to a thread; and only on a CPU.
    """

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        threads = min(torch.get_num_threads(), len(boxes))
        if threads < 2 or torch.is_grad_enabled() or boxes[0].is_cuda:
            return super().forward(x, boxes, image_shapes)
        whole, half = super().forward, torch.is_autocast_enabled("cpu")
        whole({name: level[:1] for name, level in x.items()}, [boxes[0][:0]], image_shapes)  # finds the strides, once

        def pooled(pictures: slice) -> Tensor:
            with torch.inference_mode(), torch.autocast("cpu", torch.get_autocast_dtype("cpu"), enabled=half):
                return whole({name: level[pictures] for name, level in x.items()}, boxes[pictures], image_shapes)

        edges = [len(boxes) * part // threads for part in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            return torch.cat(list(pool.map(pooled, map(slice, edges, edges[1:]))))
