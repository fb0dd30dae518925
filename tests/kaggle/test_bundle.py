"""The bundle of a small run: what travels, what stays at home, what is refused."""

import argparse
import shutil

import nbformat
import pytest
from made_bundle import REPOSITORY, made_run, mount, values, wanted

from cxr.data.siim import find_weights
from cxr.faults import DataFault
from cxr.kaggle import bundle
from cxr.kaggle.check import bundle_faults
from cxr.kaggle.kernels import LOOK, read_stages, set_value


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A bundle of a run on the phantom, with a starting weight of the profile `demo` for the pipeline."""
    root = tmp_path_factory.mktemp("bundle")
    made_run(root / "working", members=["foreign"])
    (root / "input" / "weights").mkdir(parents=True)
    (root / "input" / "weights" / "mobilenet_v2-abc.pth").write_bytes(b"start")
    (root / "input" / "weights" / "unused.pth").write_bytes(b"not asked for")
    order = wanted(
        root,
        pipeline_profile="demo",
        pipeline_overrides="yolo.epochs=1",
        datasets=("nih-chest-xrays/data",),
        competitions=("rsna",),
    )
    assert bundle.build(order) == 0
    return root / "out"


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_parts_are_there_and_break_no_rule(built):
    assert {path.name for path in built.iterdir()} == {"code", "weights", "submission", "pipeline", "commands.txt"}
    assert bundle_faults(built, [REPOSITORY, built.parent]) == []


def test_of_the_run_only_what_predicts_travels(built):
    fold = ("config.json", "model.json", "run.json", "weights.pt")
    models = {f"demo/models/{name}/fold_{k}/{file}" for name in ("yolo", "studies") for k in (0, 1) for file in fold}
    # no weight in the blend: faster_rcnn; no model of the blend: yolo_without_pretraining; a member: foreign
    own = {"demo/profile.json", "demo/blend.json", "demo/tables/priors.json"}
    rest = {"README.md", "LICENSE", "dataset-metadata.json", "weights/mobilenet_v2-abc.pth"}
    assert files(built / "weights") == models | own | rest
    assert (built / "weights/demo/models/yolo/fold_1/weights.pt").read_bytes() == b"yolo 1"


def test_no_path_of_this_machine_travels(built):
    record = values(built / "weights/demo/models/yolo/fold_0/run.json")
    assert record["weights"] == "models/pretrain_rsna_yolo" and record["seed"] == 1
    profile = values(built / "weights/demo/profile.json")
    assert profile == {"overrides": "folds.count=2", "input": "", "submissions": ""}


def test_the_weights_say_what_they_learned_from_and_their_terms(built):
    words = (built / "weights/README.md").read_text()
    assert "**PHANTOM" in words and "- phantom of SIIM-FISABIO-RSNA train" in words
    assert "AGPL-3.0" in words and "non-commercial" in words and "foreign" in words
    described = values(built / "weights/dataset-metadata.json")
    assert described["licenses"] == [{"name": "AGPL-3.0"}]
    assert "non-commercial" in described["description"] and "PHANTOM" in described["description"]


def test_real_weights_are_not_called_a_phantom(tmp_path):
    made_run(tmp_path / "working", sources=("SIIM-FISABIO-RSNA train",))
    assert bundle.build(wanted(tmp_path)) == 0
    assert "PHANTOM" not in (tmp_path / "out/weights/README.md").read_text()


def test_the_code_knows_its_commit_and_holds_no_leftovers(built):
    code = files(built / "code")
    assert (built / "code/src/cxr/COMMIT").read_text().strip()
    assert {"LICENSE", "README.md", "requirements-kaggle.txt", "src/cxr/kaggle/session.py"} <= code
    assert "notebooks/11_submission.ipynb" in code and not [name for name in code if "explore/" in name]
    assert not [name for name in code if "__pycache__" in name or name.startswith("tests/")]


def test_starting_weights_are_found_where_the_stages_look(built, tmp_path):
    for layout in ("new", "old"):
        root = mount(built, tmp_path / layout, layout)
        assert find_weights(root / "input", "mobilenet_v2").read_bytes() == b"start"


def test_the_submission_notebook_is_notebook_11_behind_two_cells(built):
    own = nbformat.read(REPOSITORY / "notebooks" / "11_submission.ipynb", as_version=4).cells
    made = nbformat.read(built / "submission" / "submission.ipynb", as_version=4).cells
    at = next(n for n, cell in enumerate(made) if "parameters" in cell.metadata.get("tags", []))
    assert 'profile = "demo"' in made[at].source
    assert "working_dir = begin_submission(profile)" in made[at + 1].source and made[at + 2].source == LOOK
    assert [cell.source for cell in made[at + 3 :]] == [cell.source for cell in own[at:]]
    assert own[at - 1].metadata.get("tags") == ["parameters"], "one title cell of our own stands before them"


def test_the_pipeline_notebook_has_a_cell_for_each_line_of_the_makefile(built):
    cells = [cell for cell in nbformat.read(built / "pipeline" / "pipeline.ipynb", 4).cells if cell.cell_type == "code"]
    runs = [cell.source for cell in cells if cell.source.startswith("pipeline.run(")]
    names = sorted(path.stem for path in (REPOSITORY / "notebooks").glob("[01][0-9]_*.ipynb"))
    assert [source.split("'")[1] for source in runs] == names
    assert runs[names.index("11_submission")] == "pipeline.run('11_submission', follows=('10_fuse_and_blend',))"
    assert "profile = 'demo'\noverrides = 'yolo.epochs=1'" in cells[0].source
    assert cells[-1].source == "pipeline.finish()"


def test_each_kernel_asks_for_what_it_reads(built):
    ours = ["somebody/cxr-code", "somebody/cxr-weights"]  # this bundle was built without wheels
    submission = values(built / "submission/kernel-metadata.json")
    assert (submission["dataset_sources"], submission["competition_sources"]) == (ours, ["siim-covid19-detection"])
    pipeline = values(built / "pipeline/kernel-metadata.json")
    assert pipeline["dataset_sources"] == [*ours, "nih-chest-xrays/data"]
    assert pipeline["competition_sources"] == ["siim-covid19-detection", "rsna"]


def test_commands_name_every_part_and_keep_folders(built):
    lines = (built / "commands.txt").read_text().splitlines()
    assert "kaggle datasets create -p code -r zip -t" in lines
    assert "kaggle kernels push -p submission" in lines
    assert not [line for line in lines if "--public" in line or "-p wheels" in line]
    submit = next(line for line in lines if "competitions submit" in line and "cxr-submission" in line)
    assert "siim-covid19-detection -f submission.csv -k somebody/cxr-submission -v VERSION" in submit


def test_without_a_finished_run_the_pipeline_alone_is_built(tmp_path, capsys):
    run = made_run(tmp_path / "working")
    (run / "models/studies/fold_1/weights.pt").unlink()
    assert bundle.build(wanted(tmp_path)) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"code", "pipeline", "commands.txt"}
    said = capsys.readouterr().out
    assert "studies/fold_1/weights.pt is not there" in said and "no submission kernel" in said
    assert values(tmp_path / "out/pipeline/kernel-metadata.json")["dataset_sources"] == ["somebody/cxr-code"]


PLANTED = [
    (lambda out: (out / "weights/x.dcm").write_bytes(b"DICM"), "data of the competition"),
    (lambda out: (out / "weights/demo/tables/images.csv").write_text("image_id\n"), "data of the competition"),
    (lambda out: (out / "code/kaggle.json").write_text("{}"), "a key, must not travel"),
    (lambda out: (out / "weights/link.pt").symlink_to("demo/blend.json"), "is a link"),
    (lambda out: (out / "code/notes.txt").write_text("see /home/anna/work/x"), "names /home/anna, a folder of this"),
    (lambda out: (out / "code/LICENSE").write_text('"/home/anna"'), "names /home/anna"),
    (lambda out: (out / "more").mkdir(), "has neither dataset-metadata.json nor kernel-metadata.json"),
]


@pytest.mark.parametrize(("plant", "words"), PLANTED, ids=[words for _, words in PLANTED])
def test_what_must_not_leave_is_found(built, tmp_path, plant, words):
    out = tmp_path / "out"
    shutil.copytree(built, out, ignore=shutil.ignore_patterns("src"))
    plant(out)
    faults = bundle_faults(out, [tmp_path.__class__("/home/anna"), tmp_path.__class__("/")])
    assert len(faults) == 1 and words in faults[0]


def test_a_longer_name_is_not_this_machine_s(built, tmp_path):
    (tmp_path / "a.txt").write_text("/home/annabel and docs/home/anna")
    assert bundle.bundle_faults(tmp_path, [tmp_path.__class__("/home/anna")]) == []


def test_a_refused_bundle_leaves_the_old_one_in_place(tmp_path, capsys):
    made_run(tmp_path / "working")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "commands.txt").write_text("still here")
    assert bundle.build(wanted(tmp_path, user="Some Body")) == 1
    faults = [line for line in capsys.readouterr().err.splitlines() if "names no owner" in line]
    assert [fault.split(":")[1].strip() for fault in faults] == [
        "code/dataset-metadata.json",
        "pipeline/kernel-metadata.json",
        "submission/kernel-metadata.json",
        "weights/dataset-metadata.json",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert (tmp_path / "out" / "commands.txt").read_text() == "still here"


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years")
    with pytest.raises(DataFault, match=r"out: holds something else"):
        bundle.build(wanted(tmp_path))
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years"


def test_a_wrong_setting_of_the_pipeline_is_a_fault_here(tmp_path):
    with pytest.raises(DataFault, match="yolo has no 'epoch'"):
        bundle.build(wanted(tmp_path, pipeline_overrides="yolo.epoch=3"))


def test_the_command_builds_and_says_sizes(tmp_path, capsys):
    made_run(tmp_path / "working")
    parser = argparse.ArgumentParser()
    bundle.add_arguments(parser)
    words = ["--working", "working", "--input", "input", "--out", "out"]
    words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    assert bundle.main(parser.parse_args([*words, "--no-wheels"])) == 0
    said = capsys.readouterr().out
    assert "weights" in said and "build again with KAGGLE_USER=name" in said and "kaggle kernels push" in said
    with pytest.raises(SystemExit):
        parser.parse_args(["--python", "twelve"])
    assert "'twelve' is no version like 3.12" in capsys.readouterr().err


def test_a_parameter_keeps_its_comment_and_must_be_there():
    assert set_value('profile = ""  # words', "profile", "demo") == 'profile = "demo"  # words'
    with pytest.raises(DataFault, match="no parameter 'other'"):
        set_value('profile = ""', "other", "demo")


def test_a_makefile_without_stages_is_refused(tmp_path):
    (tmp_path / "Makefile").write_text("all:\n")
    with pytest.raises(DataFault, match="lists no stage"):
        read_stages(tmp_path / "Makefile")
