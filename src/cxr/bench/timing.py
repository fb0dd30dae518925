"""Medians of repeated calls."""

import statistics
import time
from collections.abc import Callable


def median_ms(piece: Callable[[], object], repeats: int) -> float:
    """Median milliseconds of a call, after one that warms caches up."""
    piece()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        piece()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def alternating_ms(pieces: list[Callable[[], object]], repeats: int) -> list[float]:
    """Median milliseconds of each piece, taken in turns, so that a slow moment of the machine hits all alike."""
    times: list[list[float]] = [[] for _ in pieces]
    for repeat in range(repeats + 1):
        for piece, seen in zip(pieces, times, strict=True):
            start = time.perf_counter()
            piece()
            if repeat:  # the first round warms caches up
                seen.append(time.perf_counter() - start)
    return [1000 * statistics.median(seen) for seen in times]


def print_pair(name: str, usual: float, ours: float) -> None:
    """One line: usual, ours, how many times faster."""
    print(f"{name:54}{usual:10.1f}{ours:10.1f}{usual / ours:8.2f}", flush=True)
