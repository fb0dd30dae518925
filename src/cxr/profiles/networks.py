"""Sections of the networks. The defaults are paper 004's values: behind each stands its section, equation or figure
there, `code` where only the authors' repository tells, `ours` where both leave it open, or `library`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Nih:
    """Pretraining of the shared backbone: 15 labels of NIH ChestX-ray14, several at once (paper 004, section 3.1)."""

    use: bool = True  # ours; no: backbones start from a weight file or from random weights
    # study and faster_rcnn take its features
    network: str = "resnext101_32x8d"  # 3.1; a network of torchvision, or of timm behind `tu-`
    weights: str = "resnext101_32x8d"  # 3.1, ImageNet; looked for as input/weights/<weights>*.pth
    size: int = 224  # 3.1; px of the centre that is seen
    resize: int = 256  # 3.1; px of the shorter side before; 0: the whole picture is seen
    epochs: int = 35  # 3.1
    batch: int = 32  # 3.1
    accumulate: int = 1  # ours; batches whose gradients make one step
    optimizer: str = "SGD"  # 3.1; with Nesterov acceleration
    momentum: float = 0.9  # code
    lr: float = 0.001  # 3.1
    lr_random: float = 0.001  # 3.1; for a backbone that starts from random weights, which the paper has not
    step_every: int = 2  # 3.1, below equation 1: a step every other epoch; figure 7 has one an epoch; 0: one a batch
    weight_decay: float = 1e-4  # ours
    warmup_fraction: float = 0.0  # ours; not mentioned
    dropout: float = 0.0  # ours; not mentioned
    ema: float = 0.0  # ours; decay of the averaged weights; 0 = off
    keep_best: bool = True  # ours; `best.pt` beside `weights.pt`
    train_limit: int = 0  # ours; images of the train_val part, and of the test part; 0 = all
    score_test: bool = True  # ours; AP and AUC of each finding on the official test part too, once
    seed: int = 2021  # ours


@dataclass(frozen=True)
class Rsna:
    """Pretraining of the detectors on RSNA pneumonia boxes. Networks and sizes are those of the detectors."""

    use: bool = True  # ours
    yolo_epochs: int = 30  # 3.2
    faster_rcnn_epochs: int = 0  # 3.2; the paper pretrains YOLO alone
    negatives: float = 0.0  # 2.2; images without a box for each one with: the paper takes positives only
    train_limit: int = 0  # ours; images; 0 = all
    seed: int = 2021  # ours


@dataclass(frozen=True)
class Yolo:
    """The one-stage detector (ultralytics; paper 004, section 3.2)."""

    model: str = "yolov5l"  # 3.2; an ultralytics model, today's yolov5lu; its yaml is built
    weights: str = "yolov5lu"  # 3.2, COCO; looked for as input/weights/<weights>*.pt
    size: int = 512  # 3.2; px
    epochs: int = 35  # 3.2
    batch: int = 3  # 3.2
    nominal_batch: int = 64  # 3.2; reached by accumulation
    optimizer: str = "SGD"  # 3.2
    lr: float = 0.01  # 3.2
    final_lr_fraction: float = 0.05  # equation 1
    step_every: int = 1  # figure 7; epochs a step of equation 1
    momentum: float = 0.937  # 3.2
    weight_decay: float = 0.0005  # 3.2
    warmup_iterations: int = 1000  # 3.2; batches; 0: `warmup_epochs` count
    warmup_epochs: float = 1.0  # ours
    box_loss: str = "giou"  # 3.2; or ciou (ultralytics' own)
    # Equation 2 has box .075, class .05, objectness .75. Today's loss has no objectness (class scores have its place)
    # and another scale, so that the ratio box : class is carried over; the loss of the distributions is the library's
    box_gain: float = 7.5  # equation 2, ratio
    class_gain: float = 5.0  # equation 2, ratio
    distribution_gain: float = 1.5  # library
    mosaic: float = 0.0  # 3.2; not among the augmentations listed
    mixup: float = 0.5  # 3.2
    flip_left_right: float = 0.5  # 3.2
    flip_up_down: float = 0.1  # 3.2
    # 3.2 names hue, saturation, value without numbers; the first two do nothing to gray pictures
    hsv_h: float = 0.015  # library
    hsv_s: float = 0.7  # library
    hsv_v: float = 0.4  # library
    translate: float = 0.1  # library
    scale: float = 0.5  # library
    degrees: float = 0.0  # library
    confidence: float = 0.1  # 3.2; average precision wants .001, which the other profiles take
    nms_iou: float = 0.2  # 3.2
    max_boxes: int = 30  # ours
    flip_at_test: bool = False  # ours; mirror images too
    resume: bool = True  # ours; a killed training goes on after its last epoch; no: it begins again
    pretrained: bool = True  # 3.2; start from the detector of stage 05, where there is one
    lungs: str = "whole"  # ours; what it sees of a picture: whole, crop, mask or crop+mask (`cxr.data.lung_views`)
    seed: int = 2021  # ours


@dataclass(frozen=True)
class FasterRcnn:
    """The two-stage detector (torchvision), on the backbone of stage 04 with a feature pyramid (section 3.1).

    Further torchvision detectors (`detectors.more`) train with the same values.
    """

    network: str = "resnext101_32x8d"  # 3.1
    weights: str = "resnext101_32x8d"  # 3.1; for the backbone, where stage 04 left none
    pyramid: int = 256  # library; channels of the feature pyramid
    head: int = 1024  # library; width of the box head
    size: int = 512  # 3.1; px, training
    predict_size: int = 1024  # 3.1; px
    epochs: int = 50  # 3.1
    head_epochs: int = 0  # ours; epochs before those, in which the backbone rests
    batch: int = 10  # 3.1
    validation_batch: int = 6  # 3.1; 0: as `batch`
    accumulate: int = 1  # ours; batches whose gradients make one step
    optimizer: str = "SGD"  # 3.1; as the backbone
    momentum: float = 0.9  # code
    lr: float = 0.001  # 3.1; for a backbone that began with a weight file
    lr_random: float = 0.001  # 3.1; for one that began with random weights, even if stages 04 and 05 trained it since
    step_every: int = 1  # figure 7; epochs a step of equation 1; 0: one a batch
    weight_decay: float = 1e-4  # ours
    warmup_fraction: float = 0.02  # ours
    box_loss: str = "smooth_l1"  # 3.1; or ciou, which the paper found worse
    augmentation: str = "paper_004"  # 3.1; or ours (`cxr.data.augment`)
    ema: float = 0.0  # ours
    # validations without a lower loss on a tenth of the training patients, after which the best epoch is kept
    patience: int = 0  # ours
    keep_best: bool = True  # ours; `best.pt` beside `weights.pt`
    proposals: int = 1000  # library; boxes that the first stage hands to the second; half of it in prediction
    regions: int = 512  # library; of those, how many an image gives to the loss of the second stage
    anchor: int = 16  # ours; px, edge of the smallest anchor at training size; it doubles from level to level
    validate_every: int = 1  # ours; epochs
    confidence: float = 0.001  # ours
    nms_iou: float = 0.5  # library
    max_boxes: int = 30  # ours
    flip_at_test: bool = False  # ours; mirror images too
    pretrained: bool = True  # 3.1; start from stage 05, else from the backbone of stage 04, where they are
    lungs: str = "whole"  # ours; what it sees of a picture
    seed: int = 2021  # ours


@dataclass(frozen=True)
class Detectors:
    """Architectures beside YOLO and Faster R-CNN: the paper wishes for RetinaNet (section 6)."""

    more: str = ""  # names of `cxr.models.architectures`, joined by commas: retinanet,fcos


@dataclass(frozen=True)
class Study:
    """The study classifier (section 3.4)."""

    network: str = "resnext101_32x8d"  # 3.4
    weights: str = "resnext101_32x8d"  # 3.4; for the backbone, where stage 04 left none
    size: int = 224  # 3.4; px of the centre that is seen
    resize: int = 256  # 3.1; px of the shorter side before; 0: the whole picture is seen
    hidden: int = 1024  # 3.4; width between the two layers of the head; 0: one layer
    epochs: int = 58  # 3.4
    head_epochs: int = 0  # ours; epochs before those, in which the backbone rests
    freeze_backbone: bool = True  # 3.4; it rests in all epochs
    optimizer: str = "SGD"  # 3.4; as the backbone
    momentum: float = 0.9  # code
    batch: int = 15  # 3.4
    accumulate: int = 1  # ours; batches whose gradients make one step
    lr: float = 0.0005  # 3.4; for a backbone that began with a weight file
    lr_random: float = 0.0005  # 3.4; for one that began with random weights, which the paper has not
    step_every: int = 1  # 3.4, cosine annealing; epochs a step of equation 1; 0: one a batch
    weight_decay: float = 1e-4  # 3.4, within .00001 to .3
    warmup_fraction: float = 0.0  # ours; share of all steps in which the rate rises linearly
    dropout: float = 0.5  # 3.4, within .5 to .7
    augmentation: str = "paper_004"  # 3.4; or ours (`cxr.data.augment`)
    mask_weight: float = 0.0  # ours; > 0 adds a segmentation head on box masks (what the winners share)
    # of that head, from segmentation-models-pytorch: unet, unetplusplus or fpn; empty: a light pyramid
    decoder: str = ""  # ours
    none_weight: float = 0.0  # ours; > 0 adds a head of two classes, opacity or `none`
    class_weights: bool = False  # 6, wished for; classes count by inverse frequency
    focal: float = 0.0  # ours; gamma of the focal loss; 0 = cross entropy (3.4)
    oversample: bool = False  # 6, wished for; each class is drawn as often
    ema: float = 0.0  # ours; decay of the averaged weights; 0 = off
    patience: int = 0  # ours; as for Faster R-CNN
    keep_best: bool = True  # ours; `best.pt` beside `weights.pt`
    flip_at_test: bool = False  # ours; mirror images too
    pretrained: bool = True  # 3.4; start from the backbone of stage 04, where there is one
    lungs: str = "whole"  # ours; what it sees of a picture
    seed: int = 2021  # ours


@dataclass(frozen=True)
class Pseudo:
    """Learning from images without labels, by what the folds' own models say of them (noisy student)."""

    rounds: int = 0  # off; a round: every fold's model labels, and a new one learns from these labels and the true ones
    images: str = ""  # a folder of DICOM files or pictures; empty: the competition's test images
    limit: int = 0  # pictures; 0 = all
    weight: float = 0.5  # of a picture with such a label, beside one with a true label
    least_confidence: float = 0.5  # of the most probable class, below which a picture is left out
    dropout: float = 0.5  # of the students: the noise of the noisy student
