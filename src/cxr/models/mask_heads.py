"""Segmentation heads on box masks: from the levels of a backbone to logits at stride 8."""

from torch import Tensor, nn
from torch.nn import functional as F

from cxr.faults import DataFault
from cxr.models.backbones import Features, TimmFeatures

MASK_STRIDE = 8  # pixels of the input that one pixel of the predicted mask stands for
FINEST = 4  # stride of the finest level that a decoder of segmentation-models-pytorch gets
DECODERS = ("unet", "unetplusplus", "fpn")
WIDTHS = (256, 128, 64)  # of the decoders' blocks, coarse to fine (the library's own)


def build_mask_head(decoder: str, features: Features | TimmFeatures) -> nn.Module:
    """A head for the levels of `features`: a light pyramid, or a decoder by name. DataFault for an unknown one."""
    if not decoder:
        return MaskHead([width for width, stride in _levels(features) if stride >= MASK_STRIDE])
    if decoder not in DECODERS:
        raise DataFault(f"study.decoder={decoder}: not known; choose one of {', '.join(DECODERS)}, or leave it empty")
    return DecoderHead(decoder, [width for width, stride in _levels(features) if stride >= FINEST])


def _levels(features: Features | TimmFeatures) -> list[tuple[int, int]]:
    return list(zip(features.widths, features.strides, strict=True))


class MaskHead(nn.Module):
    """A small top-down pyramid over the coarsest levels [B x C_i x h_i x w_i] to mask logits at the finest of them."""

    def __init__(self, widths: list[int], width: int = 64):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths)
        self.refine = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 1, 1)
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        top = None
        for lateral, level in zip(reversed(self.lateral), levels[: -len(self.lateral) - 1 : -1], strict=True):
            here = lateral(level)
            top = here if top is None else here + F.interpolate(top, size=here.shape[2:], mode="nearest")
        return self.refine(top)


class DecoderHead(nn.Module):
    """A decoder of segmentation-models-pytorch over the levels of stride 4 to 32, its logits averaged to stride 8."""

    def __init__(self, decoder: str, widths: list[int]):
        super().__init__()
        # the library expects the picture itself before the levels, and takes it for nothing but its shape
        self.decoder, found = _decoder(decoder, [0, *widths])
        self.levels, self.logits = len(widths), nn.Conv2d(found, 1, 3, padding=1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        levels = levels[-self.levels :]
        found = self.logits(self.decoder([levels[0], *levels]))
        return F.avg_pool2d(found, MASK_STRIDE // FINEST)


def _decoder(name: str, widths: list[int]) -> tuple[nn.Module, int]:
    """A decoder and the channels that it gives."""
    if name == "fpn":
        from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

        decoder = FPNDecoder(widths, encoder_depth=len(widths) - 1)
        return decoder, decoder.out_channels
    if name == "unetplusplus":
        from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder

        return UnetPlusPlusDecoder(widths, WIDTHS, n_blocks=len(WIDTHS)), WIDTHS[-1]
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    return UnetDecoder(widths, WIDTHS, n_blocks=len(WIDTHS)), WIDTHS[-1]
