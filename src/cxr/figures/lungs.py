"""Radiographs with the outline of the lungs that a segmenter found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.data.masks import read_masks
from cxr.figures.pictures import PREDICTED, Picture, contact_sheet


def lung_outlines(
    pixels: Sequence[np.ndarray], masks: Sequence[np.ndarray], titles: Sequence[str], columns: int = 8
) -> Picture:
    """Gray pictures uint8 [S x S], at least one, side by side, each with the outline of its mask, bool [S x S]."""
    figure = contact_sheet(pixels, titles, min(columns, len(pixels)), edge=1.7)
    for axes, mask in zip(figure.axes, masks, strict=True):
        # a frame of background, one pixel wide, closes the outline of lungs that reach the edge
        framed = np.pad(np.asarray(mask, float), 1)
        if framed.any():
            x, y = (np.arange(side + 2) - 1 for side in reversed(mask.shape))
            axes.contour(x, y, framed, levels=[0.5], colors=PREDICTED, linewidths=1.0)
        axes.set_xlim(-0.5, mask.shape[1] - 0.5)
        axes.set_ylim(mask.shape[0] - 0.5, -0.5)
    return figure


def show_lungs(
    table: pd.DataFrame | None, pixels: np.ndarray | None, folder: Path, accepted: int, at_most: int = 24
) -> Picture | None:
    """Training pictures with their masks of `folder`: accepted (1) or rejected (0) ones; None where there are none.

    table: rows of the lungs table, of which `pixels`, uint8 [N x S x S], are the pictures. What is shown lies evenly
    between the smallest and the largest area, which the titles give.
    """
    rows = pick_lungs(table, accepted, at_most) if table is not None else []
    if not rows:
        return None
    chosen = table.iloc[rows]
    titles = [f"{row.image_id[:10]}  {row.area:.0%}" for row in chosen.itertuples()]
    return lung_outlines([pixels[row] for row in rows], read_masks(folder, list(chosen["image_id"])), titles)


def pick_lungs(table: pd.DataFrame, accepted: int, at_most: int) -> list[int]:
    """Row numbers of the lungs table, evenly from the smallest to the largest area."""
    rows = np.flatnonzero(table["accepted"] == accepted)
    by_area = rows[np.argsort(table["area"].to_numpy()[rows], kind="stable")]
    chosen = np.linspace(0, len(rows) - 1, min(at_most, len(rows))).round().astype(int)
    return [int(row) for row in by_area[chosen]]
