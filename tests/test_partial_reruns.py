"""Which stages `make all` runs again after a change: the real Makefile and the real stamps, with stages that only leave
their record."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
STAGES = [path.stem for path in sorted((REPOSITORY / "notebooks").glob("[01][0-9]_*.ipynb"))]
# `python -m cxr run NOTEBOOK OUT ...` writes OUT, `summary` has nothing to show, everything else is the real thing
PYTHON = f"""#!/bin/sh
case "$3" in
  run) echo "RAN $4"; echo '{{}}' > "$5" ;;
  summary) ;;
  *) exec {sys.executable} "$@" ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """`make(SET=..., ...)`: runs `make all` and returns the numbers of the stages that ran, and what was printed."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    (tmp_path / "venv" / "installed").touch()
    (tmp_path / "input").mkdir()

    def run(**variables):
        # a stamp must be newer than the records before it, whatever the file system's clock resolves
        time.sleep(0.02)
        places = {"VENV": tmp_path / "venv", "WORKING": tmp_path / "w", "INPUT": tmp_path / "input"}
        given = [f"{name}={value}" for name, value in {**places, **variables}.items()]
        done = subprocess.run(["make", "all", *given], cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [name[:2] for name in re.findall(r"RAN notebooks/(\w+)\.ipynb", done.stdout)], done.stdout

    return run


ALL = [name[:2] for name in STAGES]


def test_the_first_run_runs_every_stage_in_order_and_the_second_none(make):
    assert make()[0] == ALL == ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"]
    assert make()[0] == []


def test_study_settings_rerun_09_to_12_and_nothing_else(make):
    make()
    ran, said = make(SET="study.size=320")
    assert ran == ["09", "10", "11", "12"]
    assert "[09_classify_studies] runs again: settings study size 160 -> 320" in said
    assert make(SET="study.size=320")[0] == []


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("faster_rcnn.epochs=3", ["05", "07", "08", "10", "11", "12"]),  # 05 trains it too, and 07 follows 05
        ("nih.epochs=3", ["04", "05", "07", "08", "09", "10", "11", "12"]),
        ("lungs.epochs=3", ["06", "07", "08", "09", "10", "11", "12"]),
        ("fusion.tune=no", ["10", "11", "12"]),
        ("folds.count=3", ["03", "07", "08", "09", "10", "11", "12"]),
    ],
)
def test_a_setting_reruns_the_stages_that_read_it_and_what_follows(make, setting, expected):
    make()
    assert make(SET=setting)[0] == expected


def test_real_data_after_a_phantom_run_reruns_everything(make, tmp_path):
    make()
    (tmp_path / "input" / "siim-covid19-detection").mkdir()
    (tmp_path / "input" / "siim-covid19-detection" / "train_image_level.csv").write_text("id\n")
    ran, said = make()
    assert ran == ALL and "input data phantom -> " in said


def test_a_member_reruns_the_blend_and_what_follows(make, tmp_path):
    make()
    (tmp_path / "input" / "members").mkdir()
    (tmp_path / "input" / "members" / "mine.csv").write_text("image_id,label,score,x_min,y_min,x_max,y_max\n")
    ran, said = make()
    assert ran == ["10", "11", "12"] and "members mine.csv" in said
    assert make()[0] == []


def test_a_stage_whose_record_is_lost_runs_again_with_what_follows(make, tmp_path):
    make()
    (tmp_path / "w" / "demo" / "runs" / "08_train_faster_rcnn.ipynb").unlink()
    assert make()[0] == ["08", "10", "11", "12"]
