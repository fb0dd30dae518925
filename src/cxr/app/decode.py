"""One upload to pixels, in a process of its own: nothing here imports torch, and nothing here is trusted outside.

Of a header only technical facts leave this process: no name, no id, no date. The study is told by a digest, which says
which files belong together and nothing else.
"""

from pathlib import Path

import numpy as np
import pydicom.uid
from xxhash import xxh3_64_hexdigest

from cxr.data.pictures import load_gray
from cxr.faults import DataFault, TooLargeFault
from cxr.images.dicom import read_dicom
from cxr.images.jobs import Done, Job, lacked_memory
from cxr.images.jobs import warm_up as warm_up  # the process calls it before its first file
from cxr.images.outputs import write_png
from cxr.images.resize import fit_within, to_cache_size

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
TOO_LARGE = "too large: "  # how a reason begins that is about size
STUDY = "study"  # in the header, beside the facts: equal for files of one study, empty where none is known


def decode_upload(job: Job) -> Done:
    """Read a DICOM, PNG or JPEG file: the row for the cache, and a preview of `job.size` px at `job.png`.

    header: height, width (pixels of the file), study, facts (name to text). A file that cannot be used is a reason.
    """
    try:
        pixels, facts, study = _read(job.file)
    except TooLargeFault as fault:
        return Done(reason=TOO_LARGE + _words(fault, job))
    except DataFault as fault:
        return Done(reason=_words(fault, job))
    except Exception as error:
        if lacked_memory(error):
            raise MemoryError from error  # whoever set the limit names it
        raise
    write_png(job.png, fit_within(pixels, job.size))
    height, width = pixels.shape
    header = {"height": height, "width": width, STUDY: study, "facts": facts}
    return Done(header, to_cache_size(pixels, job.thumbnail))


def _words(fault: DataFault, job: Job) -> str:
    return str(fault).removeprefix(f"{job.file}: ")


def _read(path: Path) -> tuple[np.ndarray, dict[str, str], str]:
    with open(path, "rb") as file:
        start = file.read(len(PNG))
    if start.startswith((PNG, JPEG)):
        kind = "PNG" if start.startswith(PNG) else "JPEG"
        return load_gray(path), {"format": f"{kind}, 8 bits of grey are seen"}, ""
    try:
        pixels, header = read_dicom(path)
    except DataFault as fault:
        if "not a DICOM file" in str(fault):
            raise DataFault("neither DICOM nor PNG nor JPEG; give a radiograph in one of these formats") from None
        raise
    study = xxh3_64_hexdigest(header["study_id"].encode()) if header["study_id"] else ""
    return pixels, technical_facts(header), study


def technical_facts(header: dict[str, str | int]) -> dict[str, str]:
    """What a header of `read_dicom` says of the picture, and nothing of the patient."""
    uid = pydicom.uid.UID(str(header["transfer_syntax"]))
    photometric = str(header["photometric"])
    steps = [("has_rescale", "rescale"), ("has_voi_lut", "VOI LUT"), ("has_window", "window")]
    return {
        "format": "DICOM",
        "modality": str(header["modality"] if header["modality"] in MODALITIES else "") or "not said, or no radiograph",
        "photometric": photometric if photometric in PHOTOMETRIC else "another one",
        "bits stored": str(int(header["bits_stored"])),
        "transfer syntax": uid.name if not uid.is_private and uid.name != uid else "not a standard one",
        "display steps": ", ".join(words for name, words in steps if header[name]) or "none in the header",
        "put right": str(header["note"]) or "nothing",
    }


MODALITIES = ("CR", "DX", "DR", "RG", "XA", "RF", "MG", "OT", "SC", "CT", "MR", "US")  # PS3.3 C.7.3.1.1.1, some of them
# PS3.3 C.7.6.3.1.2; another value is text that somebody wrote
PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
