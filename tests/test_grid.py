"""The grid search: one file of values, one table."""

import json

import pandas as pd
import pytest

from cxr.ablations import grid
from cxr.ablations.grid import GRID, read_grid, search_grid
from cxr.faults import DataFault
from cxr.workspace import open_workspace


def test_the_grid_of_the_paper_is_read_from_its_one_place():
    found = read_grid(GRID)
    assert len(found) == 9 and found[0] == ("studies", {"dropout": 0.5, "weight_decay": 1e-5})
    assert {values["dropout"] for _, values in found} == {0.5, 0.6, 0.7}, "section 3.4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[nets]\na = [1]", "section 'nets' is none of study, yolo, faster_rcnn"),
        ("[study]\ndropuot = [0.5]", r"study.dropuot = \[0.5\]: a list of values of a setting is needed"),
        ("[study]\ndropout = 0.5", "study.dropout = 0.5: a list"),
        ("[study]\ndropout = ['half']", r"study.dropout = \['half'\]: a list"),
        ("[study]\noversample = [1]", r"study.oversample = \[1\]: a list"),
        ("[study", "no TOML"),
        ("", "no combination in it"),
    ],
)
def test_faults_of_a_grid_are_named(tmp_path, text, message):
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(DataFault, match=message):
        read_grid(tmp_path / "grid.toml")
    with pytest.raises(DataFault, match="no such file"):
        read_grid(tmp_path / "other.toml")


def test_the_table_has_a_row_a_combination_the_best_first(tmp_path, monkeypatch):
    workspace = open_workspace("demo", "", str(tmp_path), str(tmp_path), str(tmp_path))
    trained = []

    def train(workspace, variant, **values):
        trained.append(values)
        for fold in range(2):
            folder = workspace.places.model(f"studies_{variant}", fold)
            folder.mkdir(parents=True)
            (folder / "run.json").write_text(json.dumps({"epochs": 3, "seconds": 2.0}))
        return values["dropout"]

    monkeypatch.setitem(grid.TRAININGS, "studies", (train, "", None, ""))
    monkeypatch.setattr(
        grid, "value_of", lambda workspace, model, table: {"metric": "m", "value": table, "low": 0, "high": 1}
    )
    combinations = [("studies", {"dropout": dropout}) for dropout in (0.1, 0.4, 0.2)]
    table = search_grid(workspace, combinations)
    assert list(table["value"]) == [0.4, 0.2, 0.1] and list(table["dropout"]) == [0.4, 0.2, 0.1]
    assert trained == [values for _, values in combinations] and table["seconds"].eq(4).all()
    assert isinstance(table, pd.DataFrame) and table["epochs"].eq(3).all()
