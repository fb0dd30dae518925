"""Several processes share every batch: the same losses as one process with the same batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from cxr.faults import DataFault
from cxr.training import ranks
from cxr.training.ranks import Share, shared, with_batch

PROGRAM = """
import sys
from pathlib import Path
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from cxr.training import ranks
from cxr.training.fit import fit
from cxr.training.recipe import Recipe, Stage

class Numbers(Dataset):
    # 22 pictures of 8 px whose brightness is what is to be found
    def __len__(self): return 22
    def __getitem__(self, index):
        value = index / 22
        return {"pixels": torch.full((1, 8, 8), value), "target": torch.tensor([2 * value]), "image_id": str(index)}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 1)
    def forward(self, pixels):
        return self.head(self.body(pixels).relu().mean((2, 3)))

seen = []
def losses(network, batch):
    if network.training:
        seen.append(list(batch["image_id"]))
    return {"square": (network(batch["pixels"]).float() - batch["target"]).square().mean()}

ranks.join()
torch.manual_seed(0)
network = Net()
def loader(training):
    generator = torch.Generator().manual_seed(3)
    return DataLoader(Numbers(), 4, shuffle=training, generator=generator, drop_last=training)
recipe = Recipe((Stage(1, 0.01, ("head",)), Stage(2, 0.01)), 1, optimizer="SGD", accumulate=2)
folder = Path(sys.argv[1])
record = fit(network, losses, loader(True), loader(False), recipe, folder)
with ranks.first_ahead(), open(folder / "order", "a") as file:
    file.write(str(ranks.rank()))
torch.save(network.state_dict(), folder / f"weights_{ranks.rank()}.pt")
(folder / f"seen_{ranks.rank()}.json").write_text(__import__("json").dumps(seen))
ranks.leave()
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folders of one process and of two."""
    root = tmp_path_factory.mktemp("ranks")
    program = root / "program.py"
    program.write_text(PROGRAM)
    folders = {count: root / str(count) for count in (1, 2)}
    starts = {
        1: [sys.executable],
        2: [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = str(Path(ranks.__file__).parents[2])
    for count, folder in folders.items():
        folder.mkdir()
        done = subprocess.run(
            [*starts[count], str(program), str(folder)], capture_output=True, text=True, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return folders


def test_two_processes_have_the_losses_of_one(both):
    one, two = (pd.read_csv(both[count] / "metrics.csv") for count in (1, 2))
    # bfloat16 rounds sums over two pictures in another place than sums over four
    assert two["train_square"].to_numpy() == pytest.approx(one["train_square"].to_numpy(), rel=1e-3)
    assert two["val_square"].to_numpy() == pytest.approx(one["val_square"].to_numpy(), rel=1e-3)
    assert list(two["lr"]) == list(one["lr"]) and len(two) == 3


def test_two_processes_share_every_batch_without_overlap(both):
    whole = json.loads((both[1] / "seen_0.json").read_text())
    parts = [json.loads((both[2] / f"seen_{rank}.json").read_text()) for rank in (0, 1)]
    assert len(whole) == len(parts[0]) == len(parts[1]) == 15, "five batches of four, three epochs"
    for batch, one, other in zip(whole, *parts, strict=True):
        assert not set(one) & set(other) and sorted(one + other) == sorted(batch)


def test_both_end_with_the_same_weights(both):
    files = [both[2] / f"weights_{rank}.pt" for rank in (0, 1)]
    first, second = (torch.load(file, weights_only=True) for file in files)
    alone = torch.load(both[1] / "weights_0.pt", weights_only=True)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.allclose(first[name], alone[name], atol=0.02) for name in first)


def test_the_first_process_goes_ahead_of_the_other(both):
    assert (both[2] / "order").read_text() == "01" and (both[1] / "order").read_text() == "0"


def test_a_share_is_every_second_one_and_padded_where_it_must():
    order = list(range(7))
    plain = [list(Share(order, 2, rank, padded=False)) for rank in (0, 1)]
    assert plain == [[0, 2, 4, 6], [1, 3, 5]] and [len(Share(order, 2, rank, False)) for rank in (0, 1)] == [4, 3]
    padded = [list(Share(order, 2, rank, padded=True)) for rank in (0, 1)]
    assert padded == [[0, 2, 4, 6], [1, 3, 5, 0]] and len(Share(order, 2, 1, True)) == 4


def test_a_batch_that_ranks_do_not_divide_is_refused(monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: 2)
    with pytest.raises(DataFault, match="a batch of 5 cannot be shared by 2 processes"):
        shared(DataLoader(np.zeros(10), 5), True)


def test_one_process_keeps_its_loader_and_another_batch_keeps_the_order():
    loader = DataLoader(torch.arange(10), 4, shuffle=True, generator=torch.Generator().manual_seed(0))
    assert shared(loader, True) is loader and shared(None, False) is None
    order = torch.cat(list(loader)).tolist()
    loader.generator.manual_seed(0)
    assert torch.cat(list(with_batch(loader, 2))).tolist() == order
