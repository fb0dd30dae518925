"""Lung segmenters in pictures: Dice over the share of the data that a network learned from, and of each network."""

from collections.abc import Mapping, Sequence

import numpy as np

from cxr.figures.pictures import WIDTH, Picture, plain


def dice_by_share(rows: Sequence[dict]) -> Picture:
    """Mean Dice with its interval; rows: share (of the patients), dice, low, high."""
    figure = Picture(4.2, 2.4)
    _draw_shares(figure.add_subplot(), rows)
    return figure


def dice_by_network(dice: Mapping[str, np.ndarray]) -> Picture:
    """The pictures' Dice [N] of each network as a box: quartiles, median, mean as a diamond, outliers as dots."""
    figure = Picture(min(WIDTH, 2.2 + 0.8 * len(dice)), 2.8)
    _draw_boxes(figure.add_subplot(), dice)
    return figure


def comparison(dice: Mapping[str, np.ndarray], rows: Sequence[dict]) -> Picture:
    """Both beside each other; one alone where the other has nothing to show."""
    if not rows:
        return dice_by_network(dice)
    if not dice:
        return dice_by_share(rows)
    figure = Picture(WIDTH, 2.8)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    _draw_boxes(left, dice)
    _draw_shares(right, rows)
    return figure


def _draw_shares(axes, rows: Sequence[dict]) -> None:
    rows = sorted(rows, key=lambda row: row["share"])
    shares, dice = [row["share"] for row in rows], [row["dice"] for row in rows]
    low, high = ([row.get(end, row["dice"]) for row in rows] for end in ("low", "high"))
    axes.fill_between(shares, low, high, alpha=0.25, linewidth=0)
    axes.plot(shares, dice, marker="o", markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share:.0%}" for share in shares], minor=False)
    axes.minorticks_off()
    axes.set(xlabel="of the patients to learn from", ylabel="Dice")


def _draw_boxes(axes, dice: Mapping[str, np.ndarray]) -> None:
    values = [np.asarray(each)[~np.isnan(each)] for each in dice.values()]
    mean = {"marker": "D", "markersize": 4, "markerfacecolor": "C1", "markeredgecolor": "none"}
    axes.boxplot(values, showmeans=True, meanprops=mean, flierprops={"markersize": 3}, medianprops={"color": "black"})
    crowded = len(dice) > 4
    axes.set_xticks(
        range(1, len(dice) + 1),
        [plain(name) for name in dice],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.set_ylabel("Dice of a picture")
