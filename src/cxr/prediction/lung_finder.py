"""Lungs of pictures that models are about to see, found once for all models that look at lungs alone."""

import numpy as np
import pandas as pd

from cxr.data.lung_views import Lung, lung_of
from cxr.faults import DataFault
from cxr.images.lungs import rejection
from cxr.prediction.segment import LungSegmenter
from cxr.workspace import Workspace


class LungFinder:
    """The segmenter of a run, which is loaded when it is asked first, and what it said of each image."""

    def __init__(self, workspace: Workspace):
        self.folder, self.settings = workspace.places.lungs_model, workspace.profile.lungs
        self._segmenter: LungSegmenter | None = None
        self._known: dict[str, Lung | None] = {}

    def find(self, images: pd.DataFrame, pixels: np.ndarray) -> list[Lung | None]:
        """images: image_id of N images; pixels: uint8 [N x S x S]. None where the mask is not believed.

        Raises DataFault where the run has no lung segmenter.
        """
        new = np.flatnonzero(~images["image_id"].isin(list(self._known)))
        if len(new):
            masks = self._load().predict(pixels[new])
            self._known.update(zip(images["image_id"].iloc[new], map(self._lung, masks), strict=True))
        return [self._known[image_id] for image_id in images["image_id"]]

    def forget(self) -> None:
        """Let go of what it said: whoever asks about ever new images would gather masks without end."""
        self._known.clear()

    def _lung(self, mask: np.ndarray) -> Lung | None:
        believed = not rejection(float(mask.mean()), self.settings.min_area, self.settings.max_area)
        return lung_of(mask, self.settings) if believed else None

    def _load(self) -> LungSegmenter:
        if self._segmenter is None:
            if not (self.folder / "run.json").is_file():
                raise DataFault(
                    f"{self.folder}: no lung segmenter, and a model of this run looks at lungs alone; "
                    "run 06_segment_lungs first, or `make all`"
                )
            self._segmenter = LungSegmenter(self.folder)
        return self._segmenter
