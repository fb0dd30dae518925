"""Heat maps over radiographs."""

from collections.abc import Mapping

import numpy as np

from cxr.figures.pictures import WIDTH, Picture, plain
from cxr.figures.report import View, draw_view, radiograph

STRONGEST = 0.55  # opacity of the hottest place: the picture must be seen below it


def heat_card(view: View, heat: np.ndarray) -> Picture:
    """A radiograph with lungs and boxes as `radiograph` draws it, and heat [S x S] in 0..1 over it in red."""
    figure = radiograph(view)
    _lay_over(figure.axes[0], heat, view.size)
    return figure


def heat_maps(view: View, maps: Mapping[str, np.ndarray]) -> Picture:
    """The picture with lungs and boxes by itself, then each heat map [S x S] over it, side by side."""
    height, width = view.size
    across = WIDTH / (1 + len(maps))
    figure = Picture(WIDTH, across * min(max(height / width, 0.5), 2.0) + 0.3)
    for number, (name, heat) in enumerate({"": None, **maps}.items()):
        axes = figure.add_subplot(1, 1 + len(maps), number + 1)
        draw_view(axes, view)
        if heat is not None:
            _lay_over(axes, heat, view.size)
        axes.set_title(plain(name))
    return figure


def _lay_over(axes, heat: np.ndarray, size: tuple[float, float]) -> None:
    height, width = size
    colors = np.zeros((*heat.shape, 4), np.float32)
    colors[..., 0], colors[..., 3] = 1.0, STRONGEST * heat
    axes.imshow(colors, extent=(0, width, height, 0), aspect="auto", interpolation="bilinear")
