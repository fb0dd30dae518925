"""JPEG Lossless with first-order prediction (ITU T.81 H, process 14, selection value 1): most compressed radiographs.

Stands before gdcm, the decoder of record, for the one plain form that radiographs have (a single component, scan and
table, no restarts), four to five times as fast and stricter: it counts the bits, so data that end early, that are too
many, or that hold a code which no table knows are a DataFault, where other decoders fill up with grey in silence.
Every other form is left to gdcm.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cxr.compiled import compiled
from cxr.faults import DataFault

SOI, EOI, DHT, SOF3, SOS = 0xD8, 0xD9, 0xC4, 0xC3, 0xDA
SKIPPED = {*range(0xE0, 0xF0), 0xFE}  # APPn and COM say nothing about the pixels
LOOKUP_BITS = 13  # code and difference bits that one table look-up decodes: nearly all, in 32 KiB
DAMAGED = "its JPEG Lossless data are damaged or cut off; get the file again"


class Scan(NamedTuple):
    """What stands before the entropy-coded data of the plain form."""

    height: int
    width: int
    precision: int  # bits a sample
    lengths: bytes  # count of Huffman codes of 1..16 bits (DHT, B.2.4.2)
    categories: bytes  # what they mean, in order
    start: int  # of the entropy-coded data


def read_scan(frame: memoryview) -> Scan | None:
    """Parse the markers of a JPEG stream (B.1.1); None for every form that this decoder does not know."""
    position, size, table = 2, None, None
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] != SOI:
        return None
    while position + 4 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4])
        segment = bytes(frame[position + 4 : position + 2 + length])
        position += 2 + length
        if length < 2 or len(segment) != length - 2:
            return None
        if marker == DHT and table is None and segment[:1] == b"\0" and len(segment) == 17 + sum(segment[1:17]):
            table = segment[1:17], segment[17:]
        elif marker == SOF3 and size is None and len(segment) == 9 and segment[5] == 1:
            size = *(int.from_bytes(segment[i : i + 2]) for i in (1, 3)), segment[0]
        elif marker == SOS:
            # one component, the first table, selection value 1, no point transform (B.2.3, H.1.2.1)
            plain = size and table and size[2] in range(2, 17)
            known = len(segment) == 6 and segment[0] == 1 and segment[2:] == b"\0\1\0\0"
            return Scan(*size, *table, position) if plain and known else None
        elif marker not in SKIPPED:
            return None
    return None


def decode_jpeg_lossless(frame: memoryview, height: int, width: int, bits: int) -> np.ndarray | None:
    """Samples uint8 or uint16 [height x width]; None for a form or a size that gdcm must see to.

    bits: width of a sample in memory, 8 or 16; the stream may use fewer. Raises DataFault for damaged data.
    """
    scan = read_scan(frame)
    if scan is None or scan[:2] != (height, width) or (scan.precision <= 8) != (bits == 8):
        return None
    tables = _tables(scan.lengths, scan.categories)
    if tables is None:
        raise DataFault(DAMAGED)
    data = np.frombuffer(frame, np.uint8)
    data.flags.writeable = False  # one kind of array, wherever it comes from: numba compiles for each kind anew
    samples = np.empty((height, width), np.uint16)
    end = _decode(data, scan.start, *tables, scan.precision, samples)
    rest = data[end:].tobytes() if end >= 0 else b""
    ended = rest[:1] == b"\xff" and rest.lstrip(b"\xff")[:1] == bytes([EOI])  # fill bytes may come first (B.1.1.2)
    if not ended or samples.max() >> scan.precision:
        raise DataFault(DAMAGED)
    return samples.astype(f"u{bits // 8}", copy=False)


@lru_cache(maxsize=16)
def _tables(lengths: bytes, categories: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """Two look-up tables for the next bits of the stream; None if the Huffman codes cannot be (C.2).

    By 16 bits: code length * 64 + category, 0 where no code fits. By LOOKUP_BITS bits: difference * 64 + length of
    code and difference together, 0 where they are longer than that.
    """
    room = sum(count << (16 - bits) for bits, count in enumerate(lengths, 1))
    if not categories or room > 1 << 16 or max(categories) > 16:
        return None
    codes = np.zeros(1 << 16, np.int32)
    begin, order = 0, iter(categories)
    for bits, count in enumerate(lengths, 1):
        for _ in range(count):
            end = begin + (1 << (16 - bits))
            codes[begin:end] = bits * 64 + next(order)
            begin = end
    prefixes = np.arange(1 << LOOKUP_BITS)
    entries = codes[prefixes << (16 - LOOKUP_BITS)]
    bits, category = entries >> 6, entries & 63
    fits = (bits > 0) & (bits + category <= LOOKUP_BITS)
    extra = (prefixes >> np.where(fits, LOOKUP_BITS - bits - category, 0)) & ((1 << category) - 1)
    negative = (category > 0) & (extra >> np.maximum(category - 1, 0) == 0)  # F.1.2.1.1, table H.2
    difference = extra - np.where(negative, (1 << category) - 1, 0)
    return codes, np.where(fits, difference * 64 + bits + category, 0).astype(np.int32)


@compiled
def _decode(data, position, codes, combined, precision, samples):
    """Fill `samples`; returns where the data end, or -1 if they do not fit. Differences are modulo 2^16 (H.1.2.1).

    The next bit is the highest of `buffer`, so that one shift and one look-up lie between a sample and the next.
    """
    height, width = samples.shape
    buffer, available, invented = np.uint64(0), 0, 0
    for y in range(height):
        left = 1 << (precision - 1) if y == 0 else np.int64(samples[y - 1, 0])
        for x in range(width):
            if available < 32:
                buffer, available, position, invented = _refill(data, position, buffer, available, invented)
            entry = np.int64(combined[buffer >> np.uint64(64 - LOOKUP_BITS)])
            if entry:
                buffer <<= np.uint64(entry & 63)
                available -= entry & 63
                left += entry >> 6
            else:
                code = codes[buffer >> np.uint64(48)]
                if code == 0:
                    return -1
                category = code & 63
                buffer <<= np.uint64(code >> 6)
                available -= code >> 6
                if category == 16:
                    left += 32768  # no further bits
                elif category:
                    extra = np.int64(buffer >> np.uint64(64 - category))
                    buffer <<= np.uint64(category)
                    available -= category
                    left += extra if extra >> (category - 1) else extra - (1 << category) + 1
            samples[y, x] = left & 65535
        if invented * 8 > available:  # more was decoded than is there; no need to go on
            return -1
    return position if available - 8 * invented < 8 else -1


@compiled
def _refill(data, position, buffer, available, invented):
    """At least 32 bits: four bytes at once, or single ones where a 0xFF is, behind which a 0 is stuffed (F.1.2.3).

    At a marker or the end the position stays, and zeros are invented.
    """
    if position + 4 <= len(data):
        word = (
            (np.uint64(data[position]) << np.uint64(24))
            | (np.uint64(data[position + 1]) << np.uint64(16))
            | (np.uint64(data[position + 2]) << np.uint64(8))
            | np.uint64(data[position + 3])
        )
        inverse = word ^ np.uint64(0xFFFFFFFF)
        if ((inverse - np.uint64(0x01010101)) & word & np.uint64(0x80808080)) == 0:  # no byte of the inverse is 0
            return buffer | (word << np.uint64(32 - available)), available + 32, position + 4, invented
    while available < 32:
        byte = np.uint64(0)
        if position + 1 < len(data) and not (data[position] == 0xFF and data[position + 1] != 0):
            byte = np.uint64(data[position])
            position += 2 if data[position] == 0xFF else 1
        else:
            invented += 1
        buffer |= byte << np.uint64(56 - available)
        available += 8
    return buffer, available, position, invented
