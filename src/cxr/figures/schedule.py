"""The learning rate by epoch: equation 1 of paper 004 both ways, and what the settings of a run make of it."""

from collections.abc import Mapping

import numpy as np

from cxr.figures.pictures import Picture


def learning_rates(rates: Mapping[str, np.ndarray]) -> Picture:
    """Shares of the full learning rate by epoch, a line a schedule; rates: [epochs] by name."""
    figure = Picture(6, 2.6)
    axes = figure.add_subplot()
    for name, values in rates.items():
        # the last epoch is as wide as the others
        axes.step(np.arange(len(values) + 1), [*values, values[-1]], where="post", linewidth=1.2, label=name)
        axes.annotate(f"{values[-1]:.3f}", (len(values), values[-1]), fontsize=7, xytext=(2, 3),
                      textcoords="offset points")  # fmt: skip
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("epoch")
    axes.set_ylabel("share of the full rate")
    axes.legend(frameon=False, fontsize=7)
    return figure
