"""How loops over arrays are compiled."""

from collections.abc import Callable

from numba import njit


def compiled(function: Callable) -> Callable:
    """numba's `njit`, kept on disk where a folder can be written to, else compiled by every process anew.

    A division by zero gives what numpy gives.
    """
    try:
        return njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # numba finds no place for its cache: a read-only mount and no home, as on some clusters
        return njit(error_model="numpy")(function)
