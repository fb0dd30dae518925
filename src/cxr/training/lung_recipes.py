"""How the papers train their lung segmenters, as settings of this project's trainer.

| | unet_hrnet (000) | patch_vote (002) | resunet_ensemble (003) |
|---|---|---|---|
| network | U-Net of table 4 | FC-DenseNet103 | ResUNet, 7 levels |
| learns | lungs | heart, right and left lung | lungs |
| loss | Dice with squared terms | cross entropy weighted by class | not stated; ours: binary cross entropy + Dice |
| rate | .005 | Adam 1e-4, a tenth when the training loss stalls | not stated; ours: .001, half a cosine |
| epochs | 25, best weights kept | not stated, early stopping; ours: at most 100 | 45 |
| batch | not stated; ours: 8 | 2 | not stated; ours: 8 |
| augmentation | table 3 | not stated; ours: none | rotation, shifts, shear, zoom, flip |
| tested | 10 folds | 80 / 20, and another data set | 80 / 20 |

Adam without weight decay is AdamW with a decay of 0. Paper 002 equalises histograms and takes a gamma of .5 before it
segments, which is a matter of the pictures, not of the training: it is not done here. Paper 001 says of its segmenter
that it is a U-Net whose best weights are kept; all else of `covid_cxnet` is ours.
"""

from dataclasses import replace

from cxr.profiles import Lungs

PAPERS: dict[str, Lungs] = {
    "unet_hrnet": Lungs(
        network="unet",
        size=512,
        epochs=25,
        batch=8,
        lr=0.005,
        schedule="constant",
        patience=25,  # of 25 epochs: all of them, and the best one's weights
        weight_decay=0.0,
        entropy_weight=0.0,
        dice_weight=1.0,
        augmentation="unet_hrnet",
    ),
    "covid_cxnet": Lungs(network="unet", size=256, epochs=25, batch=8, lr=0.001, patience=25, weight_decay=0.0),
    "patch_vote": Lungs(
        network="fc_densenet103",
        structures=True,
        size=256,
        epochs=100,
        batch=2,
        lr=1e-4,
        schedule="plateau",
        patience=10,
        weight_decay=0.0,
        entropy_weight=1.0,
        dice_weight=0.0,
        augmentation="none",
    ),
    "resunet_ensemble": Lungs(
        network="resunet", size=256, epochs=45, batch=8, lr=0.001, weight_decay=0.0, augmentation="resunet_ensemble"
    ),
}


def resized(recipe: Lungs, size: int, epochs: int, **more: object) -> Lungs:
    """A recipe at another size and length, with `patience` no longer than its epochs; more: other values of it."""
    patience = min(recipe.patience, epochs)
    return replace(recipe, **{"size": size, "epochs": epochs, "patience": patience, **more})
