"""A stage reruns when its input, settings or code change, and only then."""

import json

import nbformat
import pytest

from cxr import stamps
from cxr.__main__ import main
from cxr.paths import Places, find_places
from cxr.profiles import PROFILES
from cxr.stamps import input_identity, stage_values


@pytest.fixture
def notebooks(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name, source in {"07_a": "from cxr.boxes import iou_xyxy", "09_b": "from cxr.labels import CLASSES"}.items():
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), folder / f"{name}.ipynb")
    return folder


def stamp(tmp_path, *, overrides="", input_dir=None):
    input_dir = input_dir or tmp_path / "input"
    code = main(
        [
            "stamp",
            "--notebooks",
            str(tmp_path / "notebooks"),
            "--profile",
            "demo",
            "--overrides",
            overrides,
            "--input",
            str(input_dir),
            "--working",
            str(tmp_path / "working"),
            "--stage",
            "07_a:yolo",
            "--stage",
            "09_b:study",
        ]
    )
    assert code == 0
    return {name: (tmp_path / "working/demo/runs" / f"{name}.stamp").stat().st_mtime_ns for name in ("07_a", "09_b")}


def finish(tmp_path):
    for name in ("07_a", "09_b"):
        (tmp_path / "working/demo/runs" / f"{name}.ipynb").touch()


def test_nothing_changes_nothing_is_written(tmp_path, notebooks):
    assert stamp(tmp_path) == stamp(tmp_path)


def test_a_changed_setting_touches_only_the_stage_that_reads_it(tmp_path, notebooks, capsys):
    before = stamp(tmp_path)
    finish(tmp_path)
    after = stamp(tmp_path, overrides="study.epochs=99")
    assert after["07_a"] == before["07_a"] and after["09_b"] > before["09_b"]
    assert "[09_b] runs again: settings study epochs" in capsys.readouterr().out


def test_real_data_unpacked_after_a_phantom_run_reruns_everything(tmp_path, notebooks, capsys):
    before = stamp(tmp_path)
    finish(tmp_path)
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "train_study_level.csv").write_text("id\n")
    after = stamp(tmp_path)
    assert all(after[name] > before[name] for name in before)
    assert "[07_a] runs again: input" in capsys.readouterr().out


def test_an_input_is_known_by_label_content_and_file_sizes(tmp_path):
    places = Places(tmp_path / "input", tmp_path / "w", tmp_path / "s", "demo")
    places.input.mkdir()
    (places.input / "README.md").write_text("put data here")
    assert stamps.input_identity(places)["data"] == "phantom"
    (places.input / "a.csv").write_text("1")
    (places.input / "a.dcm").write_bytes(b"12")
    first = stamps.input_identity(places)
    (places.input / "a.csv").write_text("2")
    second = stamps.input_identity(places)
    (places.input / "a.dcm").write_bytes(b"123")
    assert len({first["content"], second["content"], stamps.input_identity(places)["content"]}) == 3
    assert first["files"] == 2


def test_code_is_followed_through_imports_and_blind_to_comments(tmp_path, notebooks, monkeypatch):
    package = tmp_path / "cxr"
    package.mkdir()
    (package / "boxes.py").write_text('"""Doc."""\nfrom cxr.faults import X\n')
    (package / "faults.py").write_text("X = 1\n")
    monkeypatch.setattr(stamps, "PACKAGE", package)

    def digest():
        stamps._module.cache_clear()
        return stamps.code_identity(notebooks / "07_a.ipynb")

    try:
        first = digest()
        assert set(first) == {"07_a.ipynb", "cxr.boxes", "cxr.faults"}
        (package / "faults.py").write_text("# a comment\nX = 1\n")
        (package / "boxes.py").write_text('"""Another doc."""\nfrom cxr.faults import X\n')
        assert digest() == first
        (package / "faults.py").write_text("X = 2\n")
        changed = digest()
        assert changed["cxr.faults"] != first["cxr.faults"] and changed["cxr.boxes"] == first["cxr.boxes"]
    finally:
        stamps._module.cache_clear()


def test_differences_are_told_in_words():
    old = {"settings": {"yolo": {"epochs": 20}}, "code": {"cxr.boxes": "a1"}}
    new = {"settings": {"yolo": {"epochs": 3}}, "code": {"cxr.boxes": "b2"}}
    assert stamps.differences(old, new) == ["code cxr.boxes changed", "settings yolo epochs 20 -> 3"]


def test_a_stamp_is_json_that_a_person_can_read(tmp_path, notebooks):
    stamp(tmp_path)
    content = json.loads((tmp_path / "working/demo/runs/07_a.stamp").read_text())
    assert content["settings"]["yolo"]["model"] == "yolo11n" and "cxr.boxes" in content["code"]


def test_a_new_collection_reruns_who_names_it_and_nothing_else(tmp_path):
    places = find_places("demo", str(tmp_path / "input"), str(tmp_path / "working"))
    (tmp_path / "input" / "siim").mkdir(parents=True)
    (tmp_path / "input" / "siim" / "train.csv").write_text("id\n")
    before, named = input_identity(places), stage_values(PROFILES["demo"], places, ["collected"])
    places.collections.mkdir()
    (places.collections / "two.csv").write_text("image_id\n")
    assert input_identity(places) == before
    assert stage_values(PROFILES["demo"], places, ["collected"]) != named
    assert stage_values(PROFILES["demo"], places, ["members"]) == {"members": {}}
