"""One Generator for each thing that is drawn, named by seed, purpose and index: the order of work changes nothing."""

import hashlib
import zlib

import numpy as np


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Generator of one purpose ("patient", "view", ...) and index. The same names give the same numbers everywhere."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *(int(part) for part in index)])


def hex_id(seed: int, kind: str, *index: int, digits: int = 12) -> str:
    """Identifier like those of the real set: hexadecimal digits, by which nothing can be sorted into classes."""
    text = "|".join(map(str, (seed, kind, *(int(part) for part in index))))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def share_out(rng: np.random.Generator, count: int, shares: dict) -> list:
    """`count` values in random order whose frequencies are as near to `shares` as whole numbers allow.

    Shares need not add up to one. Quotas (largest remainder) instead of free draws, so that a small phantom has the
    proportions of a large one.
    """
    values, weights = list(shares), np.array(list(shares.values()), dtype=float)
    exact = weights / weights.sum() * count
    quota = np.floor(exact).astype(int)
    by_remainder = np.argsort(quota - exact, kind="stable")
    quota[by_remainder[: count - quota.sum()]] += 1
    return [values[i] for i in rng.permutation(np.repeat(np.arange(len(values)), quota))]
