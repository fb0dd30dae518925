"""metrics.csv of every training as TensorBoard's events."""

import os

import pandas as pd

from cxr.__main__ import main
from cxr.report.tensorboard import folder_of, refresh
from cxr.workspace import open_workspace


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {
        tag: [(event.step, round(event.value, 3)) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]
    }


def test_curves_are_written_and_grow(tmp_path, capsys):
    run = open_workspace("demo", "", str(tmp_path), str(tmp_path), str(tmp_path))
    for folder in (run.places.model("yolo", 0), run.places.pretrained("nih")):
        folder.mkdir(parents=True)
        table = pd.DataFrame(
            {"epoch": [1, 2], "train_box": [2.0, 1.0], "val_box": [None, 1.5], "lr": 0.1, "seconds": 3}
        )
        table.to_csv(folder / "metrics.csv", index=False)
    assert main(["tensorboard", "--run", str(run.places.root), "--once"]) == 0
    assert "2 trainings in" in capsys.readouterr().out
    found = scalars(folder_of(run) / "yolo" / "fold_0")
    assert found == {"box/train": [(1, 2.0), (2, 1.0)], "box/val": [(2, 1.5)], "lr": [(1, 0.1), (2, 0.1)]}
    known = {}
    assert len(refresh(run, known)) == 2 and refresh(run, known) == [], "nothing has changed since"
    path = run.places.model("yolo", 0) / "metrics.csv"
    with open(path, "a") as file:
        file.write("3,.5,1.2,.1,4\n")
    os.utime(path, ns=(1, 1))
    assert refresh(run, known) == [path]
    assert scalars(folder_of(run) / "yolo" / "fold_0")["box/train"][-1] == (3, 0.5)
