"""What a header says about showing its pixels: the input of `display`, read with the tolerance that real files need."""

import numpy as np
import pydicom

from cxr.faults import DataFault
from cxr.images.display import Display, Lut, Window
from cxr.images.elements import number_of, text_of, tolerant, value_of

COLOUR = Display(inverted=False, stored_range=(0, 0))  # modality and VOI tables are defined for grayscale alone


def read_display(dataset: pydicom.Dataset, notes: list[str]) -> Display:
    """Collect modality and VOI transformation, inversion and padding.

    A window, rescale or padding that breaks its rule is left out, with a note. A broken look-up table is a DataFault:
    what it would have done to the picture is unknown.
    """
    bits = dataset.BitsStored
    low = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    modality = _lut(dataset, "ModalityLUTSequence") or tolerant(lambda: _rescale(dataset), notes)
    voi = _lut(dataset, "VOILUTSequence") or tolerant(lambda: _window(dataset), notes)
    padding = tolerant(lambda: _padding(dataset), notes)
    # PresentationLUTShape INVERSE says the same as MONOCHROME1 once more (C.8.11.3.1.2): honouring both inverts twice
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return Display(inverted, (low, low + 2**bits - 1), modality, voi, padding)


def _rescale(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    """Slope and intercept (C.11.1.1.2), both needed."""
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    if not slope or intercept is None:
        raise DataFault(f"RescaleSlope {slope} with RescaleIntercept {intercept}")
    return slope, intercept


def _window(dataset: pydicom.Dataset) -> Window | None:
    """The first window. LINEAR needs a width of 1 or more (C.11.2.1.2.1), the others more than 0; else all is shown."""
    center, width = number_of(dataset, "WindowCenter"), number_of(dataset, "WindowWidth")
    if center is None and width is None:
        return None
    function = text_of(dataset, "VOILUTFunction").upper() or "LINEAR"  # absent or empty: LINEAR (C.11.2.1.3)
    if center is None or width is None:
        raise DataFault(f"window with center {center} and width {width}")
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise DataFault("window with an unknown VOILUTFunction")
    if width < 1 if function == "LINEAR" else width <= 0:
        raise DataFault(f"{function} window of width {width:g}")
    return Window(center, width, function)


def _padding(dataset: pydicom.Dataset) -> tuple[int, int] | None:
    """First and last padding value (C.7.5.1.1.2), as numbers of the pixels' own signedness.

    The two elements are US or SS by PixelRepresentation; files err, so the sign is settled here by the word's width.
    """
    values = [number_of(dataset, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if values[0] is None:
        return None
    word = 1 << dataset.BitsAllocated
    wrapped = [int(value) % word for value in values if value is not None]
    if dataset.PixelRepresentation:
        wrapped = [value - word if value >= word // 2 else value for value in wrapped]
    return min(wrapped), max(wrapped)


def _lut(dataset: pydicom.Dataset, keyword: str) -> Lut | None:
    """The first item of a LUT sequence (C.11.1.1.1, C.11.2.1.1), None where there is none; DataFault if broken."""
    sequence = value_of(dataset, keyword)
    if not sequence:
        return None
    descriptor, data = value_of(sequence[0], "LUTDescriptor"), value_of(sequence[0], "LUTData")
    if descriptor is None or data is None:
        return None
    try:
        count, first, depth = (int(value) for value in descriptor)
        if isinstance(data, bytes):  # OW; 8-bit entries may be packed two to a word
            little = dataset.original_encoding[1] is not False
            word = "u1" if depth == 8 and len(data) < 2 * (count or 65536) else "<u2" if little else ">u2"
            data = np.frombuffer(data, word)
        entries = np.asarray(data, np.int64).ravel() & 0xFFFF
    except (TypeError, ValueError):
        raise DataFault(f"{keyword} cannot be read; correct or remove it") from None
    count = count % 65536 or 65536  # 0 stands for 2^16, which does not fit the element
    if dataset.PixelRepresentation and first >= 32768:
        first -= 65536  # written as US where the sign of the pixels asks for SS
    if len(entries) < count or not 8 <= depth <= 16:
        raise DataFault(
            f"{keyword} has {len(entries)} entries of {depth} bits where {count} of 8 to 16 are declared; "
            "correct or remove it"
        )
    return Lut(first, entries[:count], depth)
