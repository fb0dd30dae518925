"""Several processes that train one network: on several GPUs, or on several machines (torchrun, docs/machines.md).

In one process everything here does nothing. Each process is a rank; they share every batch of the profile's size, so
that a training comes out alike on however many.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed
from torch.utils.data import DataLoader, Sampler

from cxr.faults import DataFault

PER_MACHINE = "LOCAL_WORLD_SIZE"  # of torchrun


def join() -> None:
    """Find the other processes that torchrun started; to be called once, before anything is trained."""
    if "TORCHELASTIC_RUN_ID" in os.environ and not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def leave() -> None:
    """Say goodbye, at the end."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def count() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def machines() -> tuple[int, int]:
    """(machines, processes on each)."""
    each = int(os.environ.get(PER_MACHINE, "1")) if count() > 1 else 1
    return count() // each, each


def wait() -> None:
    """Until every process is here."""
    if count() > 1:
        distributed.barrier()


@contextmanager
def first_ahead() -> Iterator[None]:
    """The first process does what stands inside alone, then the others do it: what it left on disk they find there."""
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


class Share(Sampler[int]):
    """This rank's part of what a sampler gives: all ranks draw the same order, and each takes every so manieth.

    `padded`: the first ones come again, so that all ranks have as many, as gradients that wait for each other need it.
    """

    def __init__(self, whole: Sampler[int], ranks: int, rank: int, padded: bool):
        self.whole, self.ranks, self.rank, self.padded = whole, ranks, rank, padded

    def __iter__(self) -> Iterator[int]:
        # not to its very end, where PyTorch's own sampler would draw once more than it does for one process
        order = list(itertools.islice(self.whole, len(self.whole)))
        if self.padded:
            order += order[: -len(order) % self.ranks]
        return iter(order[self.rank :: self.ranks])

    def __len__(self) -> int:
        total, extra = divmod(len(self.whole), self.ranks)
        return total + (extra > (0 if self.padded else self.rank))


def shared(loader: DataLoader | None, training: bool) -> DataLoader | None:
    """The loader of this rank: its share of every batch. DataFault where ranks do not divide a batch."""
    if loader is None or count() == 1:
        return loader
    batch, rest = divmod(loader.batch_size, count())
    if not batch or rest:
        raise DataFault(
            f"a batch of {loader.batch_size} cannot be shared by {count()} processes; choose a batch that they divide"
        )
    return with_batch(loader, batch, Share(loader.sampler, count(), rank(), padded=training))


def with_batch(loader: DataLoader, batch: int, sampler: Sampler[int] | None = None) -> DataLoader:
    """The same loader with batches of another size, or in another order."""
    sampler = sampler or loader.sampler
    return DataLoader(
        loader.dataset,
        batch,
        sampler=sampler,
        generator=loader.generator,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        drop_last=loader.drop_last and len(sampler) > batch,
    )
