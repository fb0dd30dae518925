"""What a process that nobody trusts sends: lines of JSON through a pipe, bounded in time and size."""

import json
import select
import time
from io import FileIO

MAX_LINE = 2**20  # bytes; the header of a picture has about a thousand
BLOCK = 2**18


class Lost(Exception):
    """The process ended, fell silent or talks nonsense: its exit status, or else the message, says what happened."""


class Ended(Lost):
    """The other end of the pipe is closed."""


class Silent(Lost):
    """Nothing came in time."""


class Replies:
    """Reads an unbuffered pipe; `deadline` is on the clock of `time.monotonic`, seconds."""

    def __init__(self, stream: FileIO):
        self._stream, self._kept, self.deadline = stream, b"", 0.0
        self._poll = select.poll()  # not select(): that cannot wait for descriptors above 1023
        self._poll.register(stream, select.POLLIN)

    def line(self) -> dict:
        """The next line as a JSON object. Raises Lost."""
        while b"\n" not in self._kept:
            if len(self._kept) > MAX_LINE:
                raise Lost("answered without end")
            self._kept += self._read(BLOCK)
        line, self._kept = self._kept.split(b"\n", 1)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Lost("answered with garbage")
        return answer

    def _read(self, size: int) -> bytes:
        if not self._poll.poll(max(0, self.deadline - time.monotonic()) * 1000):
            raise Silent("did not answer in time")
        part = self._stream.read(size)
        if not part:
            raise Ended("ended without an answer")
        return part
