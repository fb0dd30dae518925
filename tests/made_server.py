"""The web server with models that tell what they saw: answers follow from the grey levels of each picture alone."""

import io
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import cv2
import httpx
import numpy as np
import pandas as pd

from cxr.app.limits import Limits
from cxr.app.models import FUSED, Answer, Models
from cxr.app.serve import listen, server_of
from cxr.app.server import create_app
from cxr.labels import STUDY_CLASSES
from cxr.phantom.dicoms import write_dicom
from cxr.tables import BOX_COLUMNS

SIZE = 64
QUIRKS = {
    "bits_stored": 12, "range_low": 0.0, "range_high": 1.0, "photometric": "MONOCHROME2", "rescale": "absent",
    "voi": "none", "window_function": "", "transfer_syntax": "Explicit VR Little Endian", "modality": "CR",
}  # fmt: skip
PATIENT = "DOE^JANE"


class TellingModels(Models):
    """`fused`, `yolo` and `faster_rcnn` each find a box whose score is the mean grey level, and less of it."""

    def __init__(self):
        self.size, self.systems = SIZE, {}
        self.spine = SimpleNamespace(all_detectors=("yolo", "faster_rcnn"))
        self.workspace = SimpleNamespace(is_phantom=True, places=SimpleNamespace(root=SimpleNamespace(name="made")))

    def predict(self, images, pixels, names):
        shares = {FUSED: 1.0, "yolo": 0.8, "faster_rcnn": 0.4, "studies": 1.0}
        return {name: self._tell(name, images, pixels, shares[name]) for name in names}

    def _tell(self, name, images, pixels, share):
        means = pixels.reshape(len(pixels), -1).mean(1) / 255
        boxes, none, studies = None, None, None
        if name in self.boxes_by:
            boxes = images[["image_id"]].assign(label="opacity", score=means * share)
            size = images[["width", "height"]].to_numpy(float)
            boxes[BOX_COLUMNS] = np.hstack([size * 0.25, size * 0.25 + size * 0.5 * share])
            none = pd.Series(1 - means, index=images["image_id"].to_numpy())
        if name in self.studies_by:
            mean = pd.Series(means).groupby(images["study_id"].to_numpy()).mean()
            rest = (1 - mean) / 3
            values = dict(zip(STUDY_CLASSES, (rest, mean, rest, rest), strict=True))
            studies = pd.DataFrame(values).rename_axis("study_id").reset_index()
        return Answer(boxes, none, studies)

    def lungs(self, pixels):
        mask = np.zeros((SIZE, SIZE), bool)
        mask[8:56, 6:26] = mask[8:56, 38:58] = True
        return mask, ""

    def heat(self, images, pixels, name, label):
        return np.tile(np.linspace(0, 1, SIZE), (SIZE, 1))


@contextmanager
def serving(models=None, limits=None):
    """A client of a server that listens on a free port."""
    listening = listen("127.0.0.1", 0)
    app = create_app(models or TellingModels(), limits or Limits())
    server = server_of(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)


def picture(level, height=80, width=96):
    return np.full((height, width), level, np.uint8)


def png(level, **size):
    return cv2.imencode(".png", picture(level, **size))[1].tobytes()


def dicom(folder, pixels, study="1.2.3", name="x"):
    """A file of a made study, with a patient's name in it; pixels float [H x W] in 0..1, W even."""
    path = folder / f"{name}.dcm"
    tags = {"SOPInstanceUID": f"{study}.9", "StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.8"}
    write_dicom(
        path, pixels, QUIRKS, {**tags, "PatientID": PATIENT, "PatientName": PATIENT, "PatientBirthDate": "19610101"}
    )
    return path.read_bytes()


def upload(content, name="x.png"):
    return ("file", (name, io.BytesIO(content)))
