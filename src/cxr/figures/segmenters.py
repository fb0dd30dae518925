"""Lung segmenters in pictures: Dice over the share of the data that a network learned from."""

from collections.abc import Sequence

from cxr.figures.pictures import Picture


def dice_by_share(rows: Sequence[dict]) -> Picture:
    """Mean Dice with its interval; rows: share (of the patients), dice, low, high."""
    figure = Picture(4.2, 2.4)
    axes = figure.add_subplot()
    rows = sorted(rows, key=lambda row: row["share"])
    shares, dice = [row["share"] for row in rows], [row["dice"] for row in rows]
    low, high = ([row.get(end, row["dice"]) for row in rows] for end in ("low", "high"))
    axes.fill_between(shares, low, high, alpha=0.25, linewidth=0)
    axes.plot(shares, dice, marker="o", markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share:.0%}" for share in shares], minor=False)
    axes.minorticks_off()
    axes.set(xlabel="of the patients to learn from", ylabel="Dice")
    return figure
