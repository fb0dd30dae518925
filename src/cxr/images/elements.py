"""Single DICOM elements as plain values, whatever state they are in.

Faults name the element and never quote it: in a damaged file any element may hold the patient's name.
"""

from collections.abc import Callable

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cxr.faults import DataFault


def value_of(dataset: pydicom.Dataset, keyword: str):
    """An element's value, None where it is absent or empty. Raises DataFault where pydicom cannot make sense of it."""
    try:
        value = dataset.get(keyword)
    except Exception:  # values are parsed on first access, and strange ones make pydicom raise almost anything
        raise DataFault(f"{keyword} cannot be read; correct that element") from None
    return None if isinstance(value, str) and not value.strip() else value


def text_of(dataset: pydicom.Dataset, keyword: str) -> str:
    try:
        value = value_of(dataset, keyword)
    except DataFault:
        return ""  # a header field that nobody needs for the pixels
    value = [] if value is None else value if isinstance(value, MultiValue) else [value]
    return " ".join("\\".join(map(str, value)).split())


def number_of(dataset: pydicom.Dataset, keyword: str) -> float | None:
    """The first value of a numeric element, None where it is absent or empty."""
    value = value_of(dataset, keyword)
    if isinstance(value, MultiValue):
        value = value[0] if len(value) and value[0] not in ("", None) else None
    try:
        number = None if value is None else float(value)
    except (TypeError, ValueError):
        raise DataFault(f"{keyword} is not a number; correct that element") from None
    if number is not None and not np.isfinite(number):
        raise DataFault(f"{keyword} is not a finite number; correct that element")
    return number


def tolerant(read: Callable[[], object], notes: list[str]) -> object | None:
    """For elements that a picture can do without: unreadable counts as absent, and a note says so."""
    try:
        return read()
    except DataFault as fault:
        notes.append(f"ignored: {fault}")
        return None


def number_or_none(dataset: pydicom.Dataset, keyword: str) -> float | None:
    """Like `number_of`, None for the unreadable too."""
    return tolerant(lambda: number_of(dataset, keyword), [])


def set_value(dataset: pydicom.Dataset, keyword: str, value: str | int) -> None:
    """Put a value in the place of whatever is there; plain assignment would read the old element and may fail on it."""
    if keyword in dataset:
        del dataset[tag_for_keyword(keyword)]
    setattr(dataset, keyword, value)


def transfer_syntax_of(dataset: pydicom.Dataset) -> UID:
    """From the file meta information; without it, what pydicom guessed from the first element. Raises DataFault."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if isinstance(syntax, UID):
        return syntax
    if syntax:
        raise DataFault("states several transfer syntaxes; get the file again")
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
