"""Pictures of an outcome with the heat of its networks, each by the fold that never saw it."""

from collections.abc import Mapping

import numpy as np

from cxr.data.draw import hash_order
from cxr.explain.where import heat_shares
from cxr.figures.pictures import Picture
from cxr.figures.systems import heat_rows
from cxr.papers.run import Outcome


def examples(outcome: Outcome, per_class: int = 2) -> np.ndarray:
    """Places in `outcome.rows`, so many of each class, drawn by a hash of their ids; right answers where there are."""
    ids = outcome.task.pictures.images["image_id"].to_numpy()[outcome.rows]
    correct, chosen = outcome.chances.argmax(1) == outcome.truth, []
    for number in range(len(outcome.task.classes)):
        own = np.flatnonzero(outcome.truth == number)
        preferred = own[correct[own]] if correct[own].any() else own
        order = {name: place for place, name in enumerate(hash_order(ids[preferred]))}
        chosen += sorted(preferred, key=lambda place, order=order: order[ids[place]])[:per_class]
    return np.array(chosen, int)


def heat_of(outcome: Outcome, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Heat [N x S x S] of a class each, at places in `outcome.rows`."""
    pictures = outcome.task.pictures
    rows, folds = outcome.rows[places], outcome.folds[places]
    heat = np.zeros((len(places), pictures.side, pictures.side), np.float32)
    for fold in np.unique(folds):
        here = np.flatnonzero(folds == fold)
        heat[here] = outcome.system.heat(
            outcome.folders[fold], outcome.config, pictures.take(rows[here]), targets[here]
        )
    return heat


def heat_figure(outcomes: Mapping[str, Outcome], per_class: int = 2, target: int | None = None) -> Picture:
    """Pictures of the first outcome's task, and below each outcome's heat over them: of `target`, or of their class.

    All outcomes must hold the same pictures. Outlines are the lungs that the first one's segmenter found.
    """
    first = next(iter(outcomes.values()))
    places = examples(first, per_class)
    rows, rest = first.rows[places], {}
    targets = np.full(len(places), target) if target is not None else first.truth[places]
    for name, outcome in outcomes.items():
        rest[name] = heat_of(outcome, _same_places(outcome, rows, first), targets)
    pictures = first.task.pictures
    titles = [first.task.classes[number] for number in first.truth[places]]
    shown = [pictures.picture(row) for row in rows]
    return heat_rows(shown, rest, titles, [pictures.mask(row) for row in rows])


def _same_places(outcome: Outcome, rows: np.ndarray, first: Outcome) -> np.ndarray:
    """Where an outcome has the first one's pictures."""
    place = {row: number for number, row in enumerate(outcome.rows.tolist())}
    missing = [first.task.pictures.ids[row] for row in rows if row not in place]
    if missing:
        raise ValueError(f"{outcome.system.NAME}: picture {missing[0]} was not tested; compare outcomes of one task")
    return np.array([place[row] for row in rows.tolist()], int)


def share_in_lungs(outcome: Outcome, at_most: int = 24) -> dict[str, float]:
    """Mean share of the heat of the found class inside the lungs, beside the lungs' share of the picture."""
    known = np.flatnonzero(outcome.task.pictures.known_lungs[outcome.rows])
    places = known[np.linspace(0, len(known) - 1, min(at_most, len(known))).round().astype(int)]
    if not len(places):
        return {"heat in lungs": float("nan"), "even": float("nan"), "pictures": 0}
    heat = heat_of(outcome, places, outcome.chances[places].argmax(1))
    masks = np.stack([outcome.task.pictures.mask(row) for row in outcome.rows[places]])
    shares = heat_shares(heat, masks)
    known = shares[~np.isnan(shares)]
    return {
        "heat in lungs": float(known.mean()) if len(known) else float("nan"),
        "even": float(masks.mean()),
        "pictures": len(places),
    }
