"""A full disk in one line: which folder, how much is free there, what to do."""

import errno
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from cxr.faults import DataFault

FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the device; none left of the user's quota


def is_full(error: BaseException) -> bool:
    """Whether the system refused to write for lack of room."""
    # pydicom raises the exception anew with the place added to its text, and without its number
    return isinstance(error, OSError) and (error.errno in FULL or (error.errno is None and says_full(str(error))))


def says_full(text: str) -> bool:
    """The same from the text of an exception that another process raised (`[Errno 28] No space left on device`)."""
    return any(re.search(rf"\[Errno {number}\]", text) for number in FULL)


def full_disk(places: Iterable[Path]) -> DataFault:
    """The fault to raise: names the one of `places` with the least room."""
    folder, free = min(((place, free_bytes(place)) for place in places), key=lambda found: found[1])
    return DataFault(
        f"{folder}: the disk is full ({free / 1e6:.0f} MB free there); make room and give the same command again, "
        "what is finished is kept"
    )


def free_bytes(place: Path) -> int:
    """Room where `place` is, or would be made."""
    place = Path(place).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
