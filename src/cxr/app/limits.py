"""What an upload may take. A radiograph of the competition has 4 to 20 megapixels and up to 30 MB."""

from dataclasses import dataclass

from cxr.images.child import Limits as DecoderLimits

MB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of the server; pixels are bounded by `images.source.MAX_PIXELS` for every reader."""

    file_mb: int = 64
    request_mb: int = 256
    files: int = 16  # a request
    waiting: int = 32  # requests at a time; further ones are told to come again
    body_seconds: float = 120  # in which a request must have arrived
    seconds: float = 30  # of decoding a file
    memory_mb: int = 1000  # of decoding a file
    kept: int = 64  # pictures that can be asked about again
    kept_minutes: float = 30

    @property
    def decoder(self) -> DecoderLimits:
        return DecoderLimits(self.seconds, self.memory_mb)
