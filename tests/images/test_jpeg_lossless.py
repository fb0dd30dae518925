"""The fast JPEG Lossless decoder: exact, and loud about damage."""

import numpy as np
import pytest

from cxr.faults import DataFault
from cxr.images.jpeg_lossless import decode_jpeg_lossless, read_scan
from cxr.phantom.dicoms import jpeg_lossless


def smooth(rng: np.random.Generator, height: int, width: int, bits: int, noise: float = 0.01) -> np.ndarray:
    """A ramp with noise that uses all `bits`: short and long codes alike."""
    ramp = np.linspace(0, 1, width) * np.linspace(0.2, 1, height)[:, None]
    values = np.clip(ramp + rng.normal(0, noise, (height, width)), 0, 1) * (2**bits - 1)
    return values.astype(np.uint8 if bits == 8 else np.uint16)


def encoded(values: np.ndarray, bits: int) -> bytes:
    """The bare JPEG stream that gdcm makes of the samples, without the padding byte of DICOM."""
    frame = jpeg_lossless(values, bits)
    return frame[: frame.rindex(b"\xff\xd9") + 2]


@pytest.mark.parametrize("seed", range(60))
def test_equals_what_was_encoded(seed):
    rng = np.random.default_rng(seed)
    bits = int(rng.choice([8, 10, 12, 14, 15, 16]))
    height, width = int(rng.integers(1, 60)), 2 * int(rng.integers(1, 30))  # gdcm encodes even widths alone
    noise = rng.choice([0, 0.003, 0.05, 1])
    values = smooth(rng, height, width, bits, noise)
    decoded = decode_jpeg_lossless(memoryview(encoded(values, bits)), height, width, 8 if bits == 8 else 16)
    assert decoded.dtype == values.dtype and np.array_equal(decoded, values)


def test_differences_of_half_the_range_have_no_further_bits():
    """Category 16 of H.1.2.2 is the difference 32768 alone."""
    values = np.array([[32768, 0, 32768, 65535, 32767, 0]], np.uint16)
    assert np.array_equal(decode_jpeg_lossless(memoryview(encoded(values, 16)), 1, 6, 16), values)


@pytest.fixture(scope="module")
def stream():
    return encoded(smooth(np.random.default_rng(1), 40, 50, 12), 12)


def test_no_cut_goes_unnoticed(stream):
    """Cut anywhere: refused, or left to gdcm where not even the scan begins."""
    begin = read_scan(memoryview(stream)).start
    for end in range(begin, len(stream)):
        with pytest.raises(DataFault, match="damaged or cut off"):
            decode_jpeg_lossless(memoryview(stream[:end]), 40, 50, 16)
    for end in range(begin - 1):
        assert decode_jpeg_lossless(memoryview(stream[:end]), 40, 50, 16) is None
    with pytest.raises(DataFault, match="damaged or cut off"):  # cut inside, the end marker in its place
        decode_jpeg_lossless(memoryview(stream[: begin + 500] + b"\xff\xd9"), 40, 50, 16)


def test_surplus_data_are_damage(stream):
    for surplus in (b"\1", b"\0\0\0\0\0"):
        with pytest.raises(DataFault, match="damaged or cut off"):
            decode_jpeg_lossless(memoryview(stream[:-2] + surplus + b"\xff\xd9"), 40, 50, 16)


def test_fill_bytes_and_padding_are_allowed(stream):
    whole = decode_jpeg_lossless(memoryview(stream), 40, 50, 16)
    for same in (stream + b"\0", stream + b" ", stream[:-2] + b"\xff\xff\xff\xd9"):
        assert np.array_equal(decode_jpeg_lossless(memoryview(same), 40, 50, 16), whole)


def test_flipped_bits_that_change_the_count_of_bits_are_noticed(stream):
    """A code read as another one often changes how many bits follow; a changed sample bit cannot be noticed."""
    begin, noticed = read_scan(memoryview(stream)).start, 0
    for position in range(begin, len(stream) - 2):
        damaged = bytearray(stream)
        damaged[position] ^= 0x10
        try:
            decode_jpeg_lossless(memoryview(bytes(damaged)), 40, 50, 16)
        except DataFault:
            noticed += 1
    assert noticed > 0.1 * (len(stream) - begin)


def test_what_it_does_not_know_is_left_to_gdcm(stream):
    scan = read_scan(memoryview(stream))
    assert decode_jpeg_lossless(memoryview(stream), 50, 40, 16) is None
    assert decode_jpeg_lossless(memoryview(stream), 40, 50, 8) is None
    other_selection = bytearray(stream)
    other_selection[scan.start - 3] = 4  # Ss, the predictor
    assert read_scan(memoryview(bytes(other_selection))) is None
    for marker in (0xC0, 0xDD):  # baseline; restart intervals
        changed = stream.replace(b"\xff\xc3", bytes([0xFF, marker]), 1)
        assert read_scan(memoryview(changed)) is None
    assert read_scan(memoryview(b"")) is None and read_scan(memoryview(b"\xff\xd8")) is None


def test_impossible_tables_are_damage(stream):
    table = stream.index(b"\xff\xc4") + 5
    damaged = bytearray(stream)
    damaged[table : table + 2] = damaged[table : table + 2][::-1]
    damaged[table] = 3  # three codes of one bit
    damaged[table + 1 : table + 16] = bytes(15)
    total = sum(stream[table : table + 16])
    damaged[table + 15] = total - 3
    with pytest.raises(DataFault, match="damaged"):
        decode_jpeg_lossless(memoryview(bytes(damaged)), 40, 50, 16)
