"""Sections of the four other papers' systems. Defaults are the papers' values: behind each stands its section, table or
figure there, or `ours` where the paper leaves it open. Lung segmenters train as `training.lung_recipes` has them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class UnetHrnet:
    """Paper 000, Ahmed et al. 2020: lungs by a U-Net, HRNet on them, COVID-19 or not."""

    network: str = "tu-hrnet_w18"  # 3.4; the width is ours
    weights: str = "hrnet_w18"  # ours; looked for as input/weights/<weights>*.pth
    hidden: int = 256  # figure 11 has several connected layers, their widths are ours
    dropout: float = 0.2  # figure 11 has some, how much is ours
    size: int = 512  # table 3; px
    augmentation: str = "unet_hrnet"  # table 3
    epochs: int = 25  # table 5
    batch: int = 8  # table 5
    optimizer: str = "SGD"  # table 5
    lr: float = 0.01  # table 5
    momentum: float = 0.8  # 4.3
    weight_decay: float = 1e-4  # table 5
    drops: str = "30,60,90"  # table 5; epochs after which the rate is a tenth, never reached in 25
    folds: int = 10  # 4.3
    reject: bool = True  # 3.2; pictures whose lungs are not believed are left out of its own task
    lungs: str = "mask"  # 4.2; or whole, crop, crop+mask (`cxr.data.lung_views`)
    lungs_size: int = 512  # table 4; px
    lungs_epochs: int = 25  # 4.2
    seed: int = 2021  # ours


@dataclass(frozen=True)
class CovidCxnet:
    """Paper 001, Haghanifar et al. 2020: CheXNet fine-tuned on three enhancements of a picture."""

    network: str = "densenet121"  # 4.3; or resnet50 (4.2), or base (4.1)
    weights: str = "chexnet"  # 4.3; without such a file: the backbone of stage 04, if it is the same network
    hidden: int = 10  # 4.3
    dropout: float = 0.2  # 4.3
    size: int = 320  # 3.2; px; 224 for models other than COVID-CXNet (figure 6)
    channels: str = "original,clahe,beasf"  # 3.2
    gamma: float = 1.5  # 3.2; of BEASF
    augmentation: str = "covid_cxnet"  # 5.3
    smoothing: float = 0.1  # 5.3 smooths labels, how much is ours
    class_weights: bool = True  # 5.1
    epochs: int = 10  # table 6; of two classes
    more_epochs: int = 30  # table 6; of three classes, and of four
    second_epochs: int = 20  # table 6; of the second level of the hierarchy
    base_epochs: int = 120  # table 6; of the base model
    hierarchical: bool = False  # 5.3; normal or not, then which disease
    batch: int = 16  # 5.3; 32 for other models
    optimizer: str = "Adam"  # 5.1
    lr: float = 1e-4  # 5.1, by the range test of the base model
    weight_decay: float = 0.0  # ours
    folds: int = 1  # 5.3; the collection's own split
    reject: bool = False  # ours
    lungs: str = "crop+mask"  # 3.2; the lungs and a margin around them
    margin: float = 0.05  # 3.2 has margins, how wide is ours
    lungs_size: int = 256  # ours
    lungs_epochs: int = 25  # ours
    seed: int = 2021  # ours


@dataclass(frozen=True)
class PatchVote:
    """Paper 002, Oh et al. 2020: patches from random places of the lungs, each with a vote."""

    approach: str = "local"  # II-B; or global, its baseline: the whole masked picture
    network: str = "resnet18"  # II-B
    weights: str = "resnet18"  # II-B, ImageNet
    side: int = 1024  # II-B; px of the picture that patches are taken from
    patch: int = 224  # II-B; px, of the global picture too
    votes: int = 100  # II-B; K
    voting: str = "majority"  # II-B; or mean, of the patches' probabilities
    masked: bool = True  # II-B; table XVI leaves the mask out
    mask_only: bool = False  # V-F.3; the network sees the mask in place of the picture
    gamma: float = 0.5  # II-A
    augmentation: str = "patch_vote"  # ours
    patches_an_epoch: int = 1  # ours; of a picture
    epochs: int = 100  # II-B
    patience: int = 20  # II-B stops early on F1, after how many epochs is ours
    batch: int = 16  # II-B
    optimizer: str = "Adam"  # II-B
    lr: float = 1e-5  # II-B
    weight_decay: float = 1e-4  # II-B has one, how much is ours
    l1: float = 1e-6  # II-B has one, how much is ours
    folds: int = 1  # III-A.2; the collection's own split of .7, .1, .2
    reject: bool = False  # V-F.3; under-segmented pictures stay
    lungs: str = "mask"  # II-B
    lungs_network: str = "fc_densenet103"  # II-A; table XIV has unet and fc_densenet67 beside it
    lungs_size: int = 256  # II-A
    lungs_epochs: int = 100  # ours; II-A stops early
    lungs_lr: float = 1e-4  # II-A
    lungs_structures: bool = True  # II-A; no: from masks that tell neither heart nor sides, which most sets are
    seed: int = 2021  # ours


@dataclass(frozen=True)
class ResunetEnsemble:
    """Paper 003, Hertel and Benlamri 2022: ResUNet, and three classifiers that vote."""

    networks: str = "densenet201,resnet152,vgg19"  # 3.3; looked for in input/weights by these names, ImageNet
    hidden: str = "128,1024,4096"  # 3.3; width of each one's further layer
    dropout: float = 0.1  # 3.3
    size: int = 224  # ours; px, of ImageNet's weights
    augmentation: str = "resunet_ensemble"  # 3.3
    class_weights: bool = True  # 3.3
    standardised: bool = True  # 3.3
    optimizer: str = "Adam"  # 3.3
    head_epochs: int = 5  # 3.3; with the head alone
    head_lr: float = 0.001  # 3.3, Adam's default
    steps: int = 4  # 3.3 unfreezes progressively, in how many steps is ours
    step_epochs: int = 5  # ours
    lr: float = 1e-5  # 3.3
    patience: int = 10  # 3.3 goes on to the highest validation accuracy, after how many epochs it is one is ours
    weight_decay: float = 0.0  # ours
    batch: int = 32  # 3.3
    ensemble: str = "weighted"  # 3.3; or majority
    folds: int = 1  # 3.2; the collection's own split
    reject: bool = False  # ours
    lungs: str = "mask"  # 3.3
    lungs_size: int = 256  # 3.3
    lungs_epochs: int = 45  # 3.3
    seed: int = 2021  # ours


@dataclass(frozen=True)
class Collections:
    """The phantom's collection, on which the papers' own tasks run where the user has put none into the input."""

    pictures: int = 260
    seed: int = 0
    split: str = ".7,.1,.2"  # paper 002, III-A.2
