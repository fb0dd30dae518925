"""ultralytics' trainer with what paper 004 changes: the GIoU box loss, equation 1, warm-up in iterations.

To be imported after `yolo.prepare` alone: it imports ultralytics.
"""

from pathlib import Path

from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.loss import BboxLoss
from ultralytics.utils.metrics import bbox_iou
from ultralytics.utils.torch_utils import unwrap_model

from cxr.faults import DataFault
from cxr.profiles import Yolo
from cxr.training.recipe import cosine

BOX_LOSSES = ("giou", "ciou")


class GiouBoxLoss(BboxLoss):
    """Boxes by 1 - GIoU (Rezatofighi et al. 2019; paper 004, section 3.2) not 1 - CIoU."""

    def forward(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        target_scores_sum: Tensor,
        fg_mask: Tensor,
        *sizes: Tensor,
    ) -> tuple[Tensor, Tensor]:
        shared = (anchor_points, target_bboxes, target_scores, target_scores_sum, fg_mask, *sizes)
        _, distribution = super().forward(pred_dist, pred_bboxes, *shared)
        weight = target_scores[fg_mask].sum(-1, keepdim=True)
        giou = bbox_iou(pred_bboxes[fg_mask], target_bboxes[fg_mask], xywh=False, GIoU=True)
        return ((1 - giou) * weight).sum() / target_scores_sum, distribution


def take_box_loss(trainer: DetectionTrainer, settings: Yolo) -> None:
    """Let the model that is trained compute the box loss of the settings; a callback for the start of a training.

    Not by a class of model of our own: ultralytics pickles the last epoch, and would not read it back.
    """
    if settings.box_loss == "ciou":
        return
    model = unwrap_model(trainer.model)
    if getattr(model, "criterion", None) is None:
        model.criterion = model.init_criterion()
    # networks without suppression have two criteria
    for part in (model.criterion, *(getattr(model.criterion, name, None) for name in ("one2many", "one2one"))):
        if hasattr(part, "bbox_loss"):
            part.bbox_loss = GiouBoxLoss(part.reg_max).to(part.device)


def trainer_of(settings: Yolo) -> type[DetectionTrainer]:
    """A trainer that follows our settings where ultralytics has no argument for them, and knows which images are in the
    batch: what a message about a loss must name. DataFault for an unknown box loss."""
    if settings.box_loss not in BOX_LOSSES:
        raise DataFault(f"yolo.box_loss={settings.box_loss}: not known; choose one of {', '.join(BOX_LOSSES)}")

    class Trainer(DetectionTrainer):
        def preprocess_batch(self, batch: dict) -> dict:
            self.image_ids = [Path(file).stem for file in batch["im_file"]]
            return super().preprocess_batch(batch)

        def _setup_scheduler(self) -> None:
            self.lf = lambda epoch: rate_of(settings, epoch)
            self.scheduler = LambdaLR(self.optimizer, lr_lambda=self.lf)

        def _get_warmup_iterations(self, num_batches: int) -> int:
            return warmup_batches(settings, num_batches)

    return Trainer


def rate_of(settings: Yolo, epoch: int) -> float:
    """Share of the full learning rate in an epoch, counted from 0 (equation 1)."""
    return cosine(epoch // max(1, settings.step_every) / settings.epochs, settings.final_lr_fraction)


def warmup_batches(settings: Yolo, batches: int) -> int:
    """Batches in which the rate rises, of so many an epoch; the last epoch is none of them, as ultralytics has it."""
    wanted = settings.warmup_iterations or round(settings.warmup_epochs * batches)
    return min(wanted, batches * max(0, settings.epochs - 1))
