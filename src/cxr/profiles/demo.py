"""Two CPU cores, minutes. Networks that learn from random weights on a few hundred pictures."""

from dataclasses import replace

from cxr.profiles import ours
from cxr.profiles.networks import Rsna
from cxr.profiles.sections import Folds, Images, Lungs, Prediction, Profile
from cxr.profiles.systems import CovidCxnet, PatchVote, ResunetEnsemble, UnetHrnet

DEMO = Profile(
    "demo",
    images=Images(cache_size=320, png=True, train_limit=340),
    folds=Folds(count=2),
    nih=replace(
        ours.NIH,
        network="mobilenet_v2",
        weights="mobilenet_v2",
        size=160,
        epochs=12,
        batch=8,
        lr=0.0005,
        lr_random=0.003,
        warmup_fraction=0.1,
        ema=0.98,
        train_limit=300,
    ),
    rsna=Rsna(yolo_epochs=6, faster_rcnn_epochs=6, negatives=1.0, train_limit=130),
    lungs=Lungs(width=8, size=96, epochs=50, batch=4, lr=0.004),
    yolo=replace(
        ours.YOLO,
        model="yolo11n",
        weights="yolo11n",
        size=256,
        epochs=16,
        batch=4,
        nominal_batch=4,
        optimizer="AdamW",
        lr=0.002,
        momentum=0.9,
        mixup=0.0,
        flip_up_down=0.0,
        scale=0.2,
        resume=False,  # a fold takes two minutes, and begins to the same end
    ),
    faster_rcnn=replace(
        ours.FASTER_RCNN,
        network="mobilenet_v2",
        weights="mobilenet_v2",
        pyramid=64,
        head=256,
        size=192,
        predict_size=192,
        epochs=13,
        batch=4,
        lr=0.001,
        lr_random=0.004,
        warmup_fraction=0.1,
        ema=0.98,
        proposals=200,
        regions=64,
        anchor=18,
        validate_every=5,
    ),
    study=replace(
        ours.STUDY,
        network="mobilenet_v2",
        weights="mobilenet_v2",
        size=160,
        epochs=22,
        batch=16,
        lr=0.001,
        lr_random=0.004,
        dropout=0.2,
        warmup_fraction=0.1,
    ),
    prediction=Prediction(half=False),
    # each paper's own networks at a fraction of its pixels; they start from random weights, so rates are higher;
    # below 64 px HRNet's branches do not fit together, and the ensemble's Grad-CAM is a single cell
    unet_hrnet=UnetHrnet(size=64, epochs=5, batch=16, folds=2, lungs_size=64, lungs_epochs=8),
    covid_cxnet=CovidCxnet(
        size=80, epochs=6, more_epochs=6, second_epochs=6, base_epochs=8, lr=5e-4, lungs_size=64, lungs_epochs=8
    ),
    patch_vote=PatchVote(
        side=256,
        patch=56,
        votes=25,
        patches_an_epoch=2,
        epochs=8,
        patience=6,
        lr=3e-4,
        lungs_size=64,  # a quarter of `side`, as in the paper
        lungs_epochs=9,
        lungs_lr=0.001,
    ),
    resunet_ensemble=ResunetEnsemble(
        size=64, head_epochs=1, steps=1, step_epochs=1, lr=1e-4, batch=16, lungs_size=64, lungs_epochs=7
    ),
)
