"""What decoders in native code print instead of raising: that they met damage and went on."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

DAMAGE = (b"corrupt", b"premature", b"[error]")  # libjpeg and OpenJPEG; other lines are chat about odd formats
_lock = threading.Lock()  # the descriptor belongs to the whole process


@contextmanager
def no_complaints() -> Iterator[None]:
    """Raise ValueError at the end if the standard error of this process told of damage. Nothing else that was printed
    there meanwhile is kept."""
    with _lock, tempfile.TemporaryFile() as said:
        error_stream = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(error_stream, 2)
            os.close(error_stream)
        said.seek(0)
        text = said.read().lower()
    if any(word in text for word in DAMAGE):
        raise ValueError("the decoder met damaged data")
