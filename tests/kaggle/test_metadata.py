"""Kaggle's rules, each broken once."""

import nbformat
import pytest
from made_bundle import values

from cxr.kaggle.metadata import (
    DATASET_FILE,
    KERNEL_FILE,
    LICENCES,
    dataset_faults,
    kernel_faults,
    slug_of,
    write_dataset,
    write_kernel,
)
from cxr.workspace import write_json

SUBTITLE = "Twenty characters and more"


def dataset(folder, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "file.txt").write_text("x")
    path = write_dataset(folder, "somebody", "CXR code", SUBTITLE, "AGPL-3.0", "words")
    write_json({**values(path), **changes}, path)
    return folder


def kernel(folder, **changes):
    folder.mkdir(exist_ok=True)
    cell = nbformat.v4.new_code_cell("1")
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=spec), folder / "n.ipynb")
    path = write_kernel(
        folder, "somebody", "CXR submission", "n.ipynb", ["somebody/cxr-code"], ["siim-covid19-detection"], []
    )
    write_json({**values(path), **changes}, path)
    return folder


def test_what_is_written_breaks_no_rule(tmp_path):
    assert dataset_faults(dataset(tmp_path / "d")) == []
    assert kernel_faults(kernel(tmp_path / "k")) == []


def test_metadata_say_private_offline_and_two_t4(tmp_path):
    assert values(dataset(tmp_path / "d") / DATASET_FILE)["isPrivate"] is True
    found = values(kernel(tmp_path / "k") / KERNEL_FILE)
    # written out, since a client of before takes a missing enable_internet for true
    assert (found["enable_internet"], found["enable_gpu"], found["is_private"]) == (False, True, True)
    assert found["machine_shape"] == "NvidiaTeslaT4"
    assert found["id"] == "somebody/cxr-submission"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": "CXR", "id": "somebody/cxr"}, "title 'CXR' has 3 characters; Kaggle takes 6 to 50"),
        ({"title": "x" * 51, "id": "somebody/" + "x" * 51}, "has 51 characters"),
        ({"id": "somebody/other-slug"}, "slug 'other-slug' does not follow from title 'CXR code'"),
        ({"id": "cxr-code"}, "names no owner"),
        ({"id": "Some Body/cxr-code"}, "names no owner"),
        ({"subtitle": "short"}, "subtitle 'short' has 5 characters; Kaggle takes 20 to 80"),
        ({"licenses": []}, "exactly one"),
        ({"licenses": [{"name": "AGPL-3.0"}, {"name": "other"}]}, "exactly one"),
        ({"licenses": [{"name": "AGPL"}]}, "['AGPL']"),
        ({"licenses": [{"name": "other"}], "description": ""}, "needs a description"),
        ({"isPrivate": False}, "isPrivate is False; it must be true"),
    ],
)
def test_a_dataset_that_breaks_a_rule_is_refused(tmp_path, changes, words):
    faults = dataset_faults(dataset(tmp_path / "d", **changes))
    assert any(words in fault for fault in faults), faults
    assert all("\n" not in fault and DATASET_FILE in fault for fault in faults)


def test_every_broken_rule_has_a_line_of_its_own(tmp_path):
    faults = dataset_faults(dataset(tmp_path / "d", subtitle="short", isPrivate=False, licenses=[]))
    assert len(faults) == 3


def test_a_dataset_has_something_in_it_but_not_fifty_one_things(tmp_path):
    folder = dataset(tmp_path / "d")
    for number in range(50):
        (folder / f"{number}.txt").write_text("")
    assert "51 files and folders at the top" in dataset_faults(folder)[0]
    for path in folder.glob("*.txt"):
        path.unlink()
    assert "nothing to upload" in dataset_faults(folder)[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"enable_internet": True}, "enable_internet is True; it must be false"),
        ({"enable_internet": None}, "enable_internet is None"),
        ({"enable_gpu": False}, "enable_gpu is False"),
        ({"machine_shape": "NvidiaTeslaP100"}, 'it must be "NvidiaTeslaT4"'),
        ({"is_private": False}, "is_private"),
        ({"language": "r"}, "language is 'r'"),
        ({"kernel_type": "script"}, "kernel_type"),
        ({"competition_sources": []}, "lacks siim-covid19-detection"),
        ({"dataset_sources": ["cxr-code"]}, "'cxr-code'; a source is owner/slug"),
        ({"code_file": "other.ipynb"}, "'other.ipynb', which is not beside it"),
        ({"title": "CXR", "id": "somebody/cxr"}, "title 'CXR' has 3 characters"),
        ({"id": "somebody/cxr-other"}, "does not follow from title"),
    ],
)
def test_a_kernel_that_breaks_a_rule_is_refused(tmp_path, changes, words):
    faults = kernel_faults(kernel(tmp_path / "k", **changes))
    assert any(words in fault for fault in faults), faults


def test_a_missing_key_is_not_taken_for_its_default(tmp_path):
    path = kernel(tmp_path / "k") / KERNEL_FILE
    write_json({key: value for key, value in values(path).items() if key != "enable_internet"}, path)
    assert any("enable_internet is None; it must be false" in fault for fault in kernel_faults(path.parent))


def test_a_notebook_with_outputs_or_without_a_kernel_is_refused(tmp_path):
    folder = kernel(tmp_path / "k")
    notebook = nbformat.read(folder / "n.ipynb", as_version=4)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="a patient's name")]
    del notebook.metadata["kernelspec"]
    nbformat.write(notebook, folder / "n.ipynb")
    faults = kernel_faults(folder)
    assert any("holds outputs" in fault for fault in faults)
    assert any("kernelspec is not python3" in fault for fault in faults)
    (folder / "n.ipynb").write_text("{")
    assert any("no valid notebook" in fault for fault in kernel_faults(folder))


def test_unreadable_metadata_are_a_fault_and_no_traceback(tmp_path):
    folder = dataset(tmp_path / "d")
    (folder / DATASET_FILE).write_text("[1]")
    assert "no JSON object" in dataset_faults(folder)[0]
    (folder / DATASET_FILE).unlink()
    assert "cannot be read" in dataset_faults(folder)[0]


def test_a_slug_is_the_title_in_lower_case_with_dashes():
    assert slug_of("CXR: code,  v2!") == "cxr-code-v2"


def test_the_licence_of_our_parts_is_one_that_kaggle_knows():
    assert {"AGPL-3.0", "other"} <= LICENCES
    assert len(LICENCES) == 28  # the list of docs/datasets_metadata.md
