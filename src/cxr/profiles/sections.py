"""Sections of data, fusion, prediction and clock, and the profile that holds all sections."""

from dataclasses import dataclass, field

from cxr.profiles.networks import Detectors, FasterRcnn, Nih, Pseudo, Rsna, Study, Yolo
from cxr.profiles.systems import Collections, CovidCxnet, PatchVote, ResunetEnsemble, UnetHrnet


@dataclass(frozen=True)
class Phantom:
    """The synthetic data set that stands in where no competition data is found."""

    studies: int = 560  # train and test together; a quarter is test
    seed: int = 0
    nih: float = 0.75  # pictures to pretrain the backbone on, for each study
    rsna: float = 0.5  # pictures to pretrain the detectors on, for each study


@dataclass(frozen=True)
class Images:
    """DICOM to pixels."""

    cache_size: int = 512  # px, edge of the square uint8 cache that trainings read
    png: bool = False  # keep full-size PNGs in working/images (25 GB for the real train set)
    train_limit: int = 0  # 0 = all labelled images; otherwise a stratified choice of this many
    workers: int = 0  # 0 = one a core
    keep_caches: bool = True  # no: pictures of NIH and RSNA, and YOLO's folders, go when their training is finished


@dataclass(frozen=True)
class Folds:
    """Cross-validation."""

    count: int = 5
    seed: int = 2021
    most_patients: int = 3  # that copied pictures may join to one group; more is taken for a fault


@dataclass(frozen=True)
class Lungs:
    """The lung segmenter (by default the U-Net of paper 000, table 4) and what counts as a believable mask."""

    network: str = "unet"  # one of `cxr.models.segmenters.NETWORKS`
    structures: bool = False  # heart, right and left lung apart (paper 002); only from sets that tell them apart
    width: int = 0  # channels of the first level; 0: as published
    depth: int = 0  # levels; 0: as published
    size: int = 512  # px
    epochs: int = 50
    batch: int = 8
    lr: float = 0.001
    schedule: str = "cosine"  # of the rate; constant, or plateau: a tenth whenever the training loss stalls
    patience: int = 0  # epochs without a lower loss on a tenth of the training patients, then the best epoch's weights
    weight_decay: float = 1e-4
    entropy_weight: float = 1.0  # of cross entropy
    dice_weight: float = 1.0
    ema: float = 0.0  # decay of the averaged weights; 0 = off
    augmentation: str = "ours"  # one of `cxr.data.lung_batches.AUGMENTATIONS`
    min_area: float = 0.06  # share of the picture; masks outside of these are rejected
    max_area: float = 0.75
    margin: float = 0.08  # of the lungs' box, added at each side where a model sees that box alone
    keep_heart: bool = False  # what lies between the lungs is not covered where a model sees lungs alone (paper 003)
    seed: int = 2021


@dataclass(frozen=True)
class Fusion:
    """From the models' predictions to rows of the submission. Constants are paper 004's, the 8th and 11th place's.

    With `tune` stage 10 chooses them anew from out-of-fold predictions, and these are where it starts.
    """

    tune: bool = True
    resamples: int = 1000  # of the bootstrap behind each interval
    # Patients who have a class, in each part that a step is tuned on, below which the published values stay. AP from 21
    # positives has a standard error near .07, and it shrinks with their root: at 30 still .06, more than any step gains
    least_patients: int = 30

    wbf_iou: float = 0.55
    wbf_skip: float = 0.001
    # none = (1 - w) none of the boxes + w none of the two-class head, where a classifier has one (ours)
    none_from_head: float = 0.5
    none_from_negative: float = 0.5  # none' = (1 - w) none + w negative
    negative_from_none: float = 0.3  # negative' = (1 - w) negative + w none
    none_into_boxes: float = 0.16  # score' = score^(1 - w) (1 - none)^w
    max_boxes: int = 30  # an image row


@dataclass(frozen=True)
class Prediction:
    """How test images go through the models (stage 11); `batch` and `block` change no prediction."""

    batch: int = 16  # images at a time on the GPU: 16 GB must hold them
    block: int = 64  # studies that are decoded and predicted at a time
    # half precision where the machine has it: bfloat16 on GPUs from Ampere on and on CPUs with AVX512-BF16 or AMX,
    # float16 on older GPUs; networks of depthwise convolutions, as the demo's, gain little from it on a CPU
    half: bool = True


@dataclass(frozen=True)
class Budget:
    """One clock for the whole run; shares are of the hours that are left when a stage starts."""

    hours: float = 9.0
    reserve: float = 0.1  # of the hours, that no training may use: for the submission
    margin: float = 0.02  # of the hours, that nothing may use: Kaggle throws away what is not finished in time
    nih_share: float = 0.15
    rsna_share: float = 0.15
    lungs_share: float = 0.1
    yolo_share: float = 0.4
    faster_rcnn_share: float = 0.55  # of each torchvision detector, one after another
    study_share: float = 0.8


@dataclass(frozen=True)
class Profile:
    """All settings of a run."""

    name: str
    phantom: Phantom = field(default_factory=Phantom)
    images: Images = field(default_factory=Images)
    folds: Folds = field(default_factory=Folds)
    nih: Nih = field(default_factory=Nih)
    rsna: Rsna = field(default_factory=Rsna)
    lungs: Lungs = field(default_factory=Lungs)
    yolo: Yolo = field(default_factory=Yolo)
    faster_rcnn: FasterRcnn = field(default_factory=FasterRcnn)
    detectors: Detectors = field(default_factory=Detectors)
    study: Study = field(default_factory=Study)
    pseudo: Pseudo = field(default_factory=Pseudo)
    fusion: Fusion = field(default_factory=Fusion)
    prediction: Prediction = field(default_factory=Prediction)
    budget: Budget = field(default_factory=Budget)
    # the other papers' systems (`make systems`)
    collections: Collections = field(default_factory=Collections)
    unet_hrnet: UnetHrnet = field(default_factory=UnetHrnet)
    covid_cxnet: CovidCxnet = field(default_factory=CovidCxnet)
    patch_vote: PatchVote = field(default_factory=PatchVote)
    resunet_ensemble: ResunetEnsemble = field(default_factory=ResunetEnsemble)
