"""What a compressed frame says about itself, before a decoder in native code is trusted with it."""

from typing import NamedTuple

JPEG_START, JPEG_2000_START, JP2_START = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
# start of frame of JPEG (ITU T.81 table B.1) and of JPEG-LS (ITU T.87 C.1.1); C4, C8 and CC are other markers
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
SCAN = 0xDA


class FrameFormat(NamedTuple):
    """Size and depth."""

    height: int  # px
    width: int  # px
    precision: int  # bits a sample


def frame_format(frame: memoryview) -> FrameFormat | None:
    """Of a JPEG, JPEG-LS or bare JPEG 2000 stream; None for others and for what ends before it says."""
    if frame[:2] == JPEG_START:
        return _jpeg_format(frame)
    if frame[:4] == JPEG_2000_START and len(frame) >= 44:
        # SIZ (ISO 15444-1 A.5.1): right, lower, left and upper edge of the picture; later the depth of each component
        right, lower, left, upper = (int.from_bytes(frame[i : i + 4]) for i in (8, 12, 16, 20))
        return FrameFormat(lower - upper, right - left, (frame[42] & 0x7F) + 1)
    return None


def _jpeg_format(frame: memoryview) -> FrameFormat | None:
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in FRAMES:
            size = (int.from_bytes(frame[position + i : position + i + 2]) for i in (5, 7))
            return FrameFormat(*size, frame[position + 4])
        if marker == SCAN:
            return None
        position += 2 + int.from_bytes(frame[position + 2 : position + 4])
    return None


def endless_jp2_box(frame: memoryview) -> bool:
    """Whether a JP2 box is shorter than its own header (ISO 15444-1 I.4), which sends pydicom 3.0 round for ever."""
    offset = 12  # of the signature box, which comes first
    while frame[:8] == JP2_START and offset < len(frame) and frame[offset + 4 : offset + 8] != b"jp2c":
        length = int.from_bytes(frame[offset : offset + 4])
        if length < 8:
            return True
        offset += length
    return False
