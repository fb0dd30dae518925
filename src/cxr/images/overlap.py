"""How far two masks overlap, picture by picture: Dice and Jaccard of each structure."""

import numpy as np

from cxr.images.lungs import HEART, LEFT_LUNG, RIGHT_LUNG, UNKNOWN

# what is scored of a map of structures: both lungs together, and each structure
SCORED = {"lungs": (RIGHT_LUNG, LEFT_LUNG), "heart": (HEART,), "right": (RIGHT_LUNG,), "left": (LEFT_LUNG,)}


def dice_jaccard(
    found: np.ndarray, truth: np.ndarray, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Dice and Jaccard [N] of bool masks [N x S x S]; known: bool, pixels that count. NaN where both are empty."""
    if known is not None:
        found, truth = found & known, truth & known
    both, either = (found & truth).sum((1, 2)), (found | truth).sum((1, 2))
    with np.errstate(invalid="ignore"):
        return 2 * both / (both + either), both / either


def structure_dice_jaccard(found: np.ndarray, truth: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """`dice_jaccard` of each of SCORED for maps of structures uint8 [N x S x S]; UNKNOWN pixels of the truth do not
    count. A structure that the truth of no picture has is left out."""
    known, scores = truth != UNKNOWN, {}
    for name, numbers in SCORED.items():
        drawn = np.isin(truth, numbers)
        if drawn.any():
            scores[name] = dice_jaccard(np.isin(found, numbers), drawn, known)
    return scores
