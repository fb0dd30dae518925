"""LIME (Ribeiro et al. 2016; paper 001, section 4.3), by captum: which parts of a picture a class would miss.

Parts are the cells of a grid: radiographs have no edges for superpixels to follow. Samples cover cells by the picture's
mean, and a ridge regression, weighted by likeness to the picture, tells what each cell is worth.
"""

import numpy as np
import torch
from torch import Tensor, nn

from cxr.explain.targets import BATCH, Logits, at_rest, batches, to_unit
from cxr.faults import DataFault

CELLS, SAMPLES = 8, 200  # cells along a side; covered pictures for one answer
NOISE = 1e-5  # of the largest logit: float32 alone makes this much; scaled to its maximum it would look like an answer


def lime_heat(
    network: nn.Module,
    pixels: np.ndarray,
    targets: int | np.ndarray,
    cells: int = CELLS,
    samples: int = SAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Heat float32 [N x S x S] in 0..1, even within a cell: what speaks for a class.

    Arguments and faults as for `cam.grad_cam`. A picture's heat is the same for a seed, whatever pictures go with it.
    """
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    grid, found = grid_cells(pixels.shape[-1], cells), []
    with at_rest(network) as device, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        logits = Logits(network, targets)
        method = Lime(logits, interpretable_model=SkLearnRidge(alpha=1.0))
        for batch, wanted in batches(pixels, targets, device):
            for picture, target in zip(batch[:, None], wanted, strict=True):
                torch.manual_seed(seed)
                heat = method.attribute(
                    picture,
                    baselines=picture.mean().item(),
                    target=int(target),
                    feature_mask=grid.to(device)[None, None],
                    n_samples=samples,
                    perturbations_per_eval=BATCH,
                )
                with torch.no_grad():
                    noise = NOISE * logits(picture).abs().max()
                found.append(torch.where(heat < noise, 0, heat).detach().float().cpu().numpy()[0, 0])
    return to_unit(np.stack(found)) if found else np.empty((0, *grid.shape), np.float32)


def grid_cells(side: int, cells: int) -> Tensor:
    """Numbers of the cells, int [side x side], row by row. Raises DataFault where a cell would have no pixel."""
    if not 1 <= cells <= side:
        raise DataFault(f"{cells} cells along {side} pixels make no grid; take 1 to {side}")
    line = torch.arange(side) * cells // side
    return line[:, None] * cells + line
