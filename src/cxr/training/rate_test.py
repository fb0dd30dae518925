"""The learning-rate range test (Smith 2017; paper 001, section 5.1): the rate rises exponentially from batch to batch,
and the best one is where the loss falls steepest. Lightning's finder wants a rate of the module's own, which here
comes from the schedule."""

from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from cxr.faults import DataFault
from cxr.models.precision import best_device
from cxr.training.losses import Losses

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 60
SMOOTHED = 0.9  # of the mean loss so far, in the next one
DIVERGED = 1.3  # times the lowest loss: what falls after that has fallen from a height


class RangeTest(NamedTuple):
    """rates and smoothed losses float [K], up to where the loss diverged; best: where it falls steepest."""

    rates: np.ndarray
    losses: np.ndarray
    best: float


def range_test(network: nn.Module, losses: Losses, loader: DataLoader, steps: int = STEPS) -> RangeTest:
    """Try rates from LOWEST to HIGHEST with Adam; the network's weights come back as they were.

    Raises DataFault where no two rates have a finite loss.
    """
    device, before = best_device(), {name: value.clone() for name, value in network.state_dict().items()}
    network = network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=LOWEST)
    rates, found, mean = np.geomspace(LOWEST, HIGHEST, steps), [], 0.0
    for number, batch in enumerate(islice(cycle(loader), steps)):
        optimizer.param_groups[0]["lr"] = rates[number]
        given = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
        loss = sum(losses(network, given).values())
        mean = SMOOTHED * mean + (1 - SMOOTHED) * float(loss.detach())
        smooth = mean / (1 - SMOOTHED ** (number + 1))
        if not np.isfinite(smooth) or (found and smooth > DIVERGED * min(found)):
            break
        found.append(smooth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.cpu().load_state_dict(before)
    if len(found) < 2:
        raise DataFault("the loss is not finite at the lowest learning rate; look at the pictures and their classes")
    tried, values = rates[: len(found)], np.array(found)
    return RangeTest(tried, values, float(tried[np.gradient(values, np.log(tried)).argmin()]))
