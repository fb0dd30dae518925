"""Folder in, PNGs, cache and tables out; nothing done twice, nothing half done, nobody named."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.faults import DataFault
from cxr.images import convert, jobs, outputs
from cxr.images.convert import Wanted, convert_files
from cxr.images.dicom import read_dicom
from cxr.images.files import STATE, find_files, unique_names
from cxr.images.pseudonyms import pseudonym
from cxr.images.resize import to_cache_size
from cxr.tables import FAILURES, IMAGES, read_table

SALT = "a salt for the tests alone"


@pytest.fixture(autouse=True)
def salted(monkeypatch):
    monkeypatch.setenv("CXR_SALT", SALT)


def ramp(height: int = 40, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, (height, width), dtype=np.uint16)


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    return convert.main(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def source(tmp_path, dicom):
    """A folder with files of many names: five images, one cut off, one that is no DICOM, one to leave alone."""
    root = tmp_path / "set"
    (root / "study" / "series").mkdir(parents=True)
    (root / "study" / "series" / "one.dcm").write_bytes(dicom(ramp(seed=1)))
    (root / "study" / "one.dcm").write_bytes(dicom(ramp(50, 20, seed=2), PatientID="", StudyInstanceUID=""))
    (root / "a").write_bytes(dicom(ramp(seed=3)))
    (root / "a.dcm").write_bytes(dicom(ramp(seed=4), PatientID=""))
    (root / "photo.png").write_bytes(dicom(ramp(seed=5)))
    (root / "cut.dcm").write_bytes(dicom(ramp())[:-100])
    (root / "notes.xml").write_text("<x/>")
    (root / "labels.csv").write_text("id,label\n")
    (root / "DICOMDIR").write_bytes(dicom(ramp()))
    return root


def convert_here(source: Path, out: Path, wanted: Wanted = Wanted(), workers: int = 0) -> convert.Converted:  # noqa: B008
    """In this process, so that tests can look into it."""
    return convert_files(find_files(source), source, out / STATE, wanted, workers=workers)


def test_the_command_converts_every_image_and_lists_the_rest(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(source, out, "--workers", 1, "--cache", 16) == 0
    images, failures = read_table(out / "images.csv", IMAGES), read_table(out / "failures.csv", FAILURES)
    assert images["source_path"].tolist() == ["a", "a.dcm", "photo.png", "study/one.dcm", "study/series/one.dcm"]
    assert images["path"].tolist() == ["a.png", "a_2.png", "photo.png.png", "study/one.png", "study/series/one.png"]
    assert images["image_id"].tolist() == ["a", "a_2", "photo.png", "one", "one_2"]
    assert images["source"].unique().tolist() == ["set"]
    assert images[["height", "width"]].to_numpy().tolist() == [[40, 30]] * 3 + [[50, 20], [40, 30]]
    assert failures["path"].tolist() == ["cut.dcm", "notes.xml"]
    assert failures["reason"][0].startswith("its Pixel Data are shorter") and "not a DICOM" in failures["reason"][1]
    cache = np.load(out / "cache_16.npy", mmap_mode="r")
    assert cache.shape == (5, 16, 16) and cache.dtype == np.uint8
    for i, row in images.iterrows():
        pixels = read_dicom(source / row["source_path"]).pixels
        assert np.array_equal(cv2.imread(str(out / row["path"]), cv2.IMREAD_UNCHANGED), pixels)
        assert np.array_equal(cache[i], to_cache_size(pixels, 16))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("5 images, 2 failures, ") and "2 without a PatientID" in last and "salted" in last
    hidden = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if "/." in f"/{path.relative_to(out)}")
    assert hidden == [".convert", ".convert/ledger.jsonl", ".convert/lock"], "nothing half done is left"


def test_missing_ids_become_unknown_and_keep_images_apart(source, tmp_path):
    rows = convert_here(source, tmp_path).images.set_index("source_path")
    assert rows.loc["a.dcm", ["study_id", "patient_id"]].tolist() == ["study", "unknown-study"]
    assert rows.loc["study/one.dcm", ["study_id", "patient_id"]].tolist() == ["unknown-one", "unknown-one"]


def test_several_workers_give_the_same_as_one(source, tmp_path):
    outs = [tmp_path / "0", tmp_path / "1", tmp_path / "2"]
    done = [convert_here(source, out, Wanted(out, None, out / "c.npy", 8), n) for n, out in enumerate(outs)]
    for other, out in zip(done[1:], outs[1:], strict=True):
        pd.testing.assert_frame_equal(done[0].images, other.images)
        pd.testing.assert_frame_equal(done[0].failures, other.failures)
        for name in ["c.npy", *other.images["path"]]:
            assert (outs[0] / name).read_bytes() == (out / name).read_bytes()


def test_a_destination_inside_the_source_is_not_taken_for_pictures(source):
    for _ in range(2):
        assert run(source, source / "out", "--workers", 1, "--cache", 8) == 0
        assert pd.read_csv(source / "out" / "failures.csv")["path"].tolist() == ["cut.dcm", "notes.xml"]


def test_names_that_are_no_utf8_or_need_quotes_reach_the_tables(tmp_path, dicom):
    (tmp_path / "src").mkdir()
    for name in (b"bad\xff\xfe.dcm", b'comma, "quote".dcm', b"new\nline.dcm"):
        Path(os.fsdecode(os.fsencode(tmp_path / "src") + b"/" + name)).write_bytes(dicom(ramp()))
    Path(os.fsdecode(os.fsencode(tmp_path / "src") + b"/cut\xff")).write_bytes(dicom(ramp())[:-9])
    for _ in range(2):
        assert run(tmp_path / "src", tmp_path / "out", "--workers", 1) == 0
        images = read_table(tmp_path / "out" / "images.csv", IMAGES)
        assert images["source_path"].tolist() == ["bad\\xff\\xfe.dcm", 'comma, "quote".dcm', "new\nline.dcm"]
        assert all((tmp_path / "out" / path).is_file() for path in images["path"])
        assert read_table(tmp_path / "out" / "failures.csv", FAILURES)["path"].tolist() == ["cut\\xff"]


def test_size_shrinks_the_png_but_not_the_table(source, tmp_path):
    run(source, tmp_path / "out", "--workers", 1, "--size", 25)
    images = read_table(tmp_path / "out" / "images.csv", IMAGES).set_index("path")
    small = cv2.imread(str(tmp_path / "out" / "study" / "one.png"), cv2.IMREAD_UNCHANGED)
    assert small.shape == (25, 10) and images.loc["study/one.png", ["height", "width"]].tolist() == [50, 20]


def test_nothing_converted_is_exit_1_with_the_reasons_and_no_stale_cache(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.dcm").write_bytes(b"rubbish" * 99)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cache_8.npy").write_bytes(b"old")
    assert run(tmp_path / "src", tmp_path / "out", "--workers", 1, "--cache", 8) == 1
    assert (tmp_path / "out" / "failures.csv").read_text().splitlines()[1].startswith("x.dcm,not a DICOM file")
    assert len(pd.read_csv(tmp_path / "out" / "images.csv")) == 0
    assert not (tmp_path / "out" / "cache_8.npy").exists()


def test_failures_csv_is_a_header_when_nothing_failed(tmp_path, dicom):
    (tmp_path / "x.dcm").write_bytes(dicom(ramp()))
    assert run(tmp_path / "x.dcm", tmp_path / "out", "--workers", 1) == 0
    assert (tmp_path / "out" / "failures.csv").read_text() == "path,reason\n"


def test_a_missing_source_and_an_unusable_destination_are_faults(tmp_path, dicom):
    with pytest.raises(DataFault, match="no such file or folder"):
        run(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "x.dcm").write_bytes(dicom(ramp()))
    with pytest.raises(DataFault, match="cannot be written"):
        run(tmp_path / "x.dcm", tmp_path / "x.dcm", "--workers", 1)


@pytest.mark.parametrize("words", [("--size", "0"), ("--workers", "two"), ("--cache", "-1")])
def test_wrong_usage_is_exit_2(tmp_path, words, capsys):
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, tmp_path / "out", *words)
    assert caught.value.code == 2 and "is not a whole number above 0" in capsys.readouterr().err


def test_a_fault_of_ours_in_one_file_does_not_cost_the_run(source, tmp_path, monkeypatch):
    def fail(path):
        if path.name == "a.dcm":
            raise ZeroDivisionError("Doe^Jane")
        return read_dicom(path)

    monkeypatch.setattr(jobs, "read_dicom", fail)
    images, failures, _ = convert_here(source, tmp_path)
    reason = failures.set_index("path").loc["a.dcm", "reason"]
    assert len(images) == 4 and reason.startswith("unexpected ZeroDivisionError in test_convert.py, line ")


# ------------------------------------------------------------------------------------------------- done, not done twice


@pytest.fixture
def read_files(monkeypatch):
    """Names of the files that were decoded."""
    names = []

    def remember(path):
        names.append(path.name)
        return read_dicom(path)

    monkeypatch.setattr(jobs, "read_dicom", remember)
    return names


def everything(out: Path) -> Wanted:
    return Wanted(out, None, out / "c.npy", 8)


def test_only_what_changed_is_converted_again(source, tmp_path, read_files, dicom):
    out = tmp_path / "out"
    first = convert_here(source, out, everything(out))
    assert len(read_files) == 7 and first.kept == 0
    cache = (out / "c.npy").read_bytes()
    read_files.clear()
    second = convert_here(source, out, everything(out))
    assert sorted(read_files) == ["cut.dcm", "notes.xml"], "what failed is tried again"
    assert second.kept == 5 and (out / "c.npy").read_bytes() == cache
    pd.testing.assert_frame_equal(first.images, second.images)

    (source / "a").write_bytes(dicom(ramp(seed=9)))
    os.utime(source / "photo.png")  # touched, but the same
    (source / "study" / "new.dcm").write_bytes(dicom(ramp(seed=8)))
    (source / "study" / "one.dcm").unlink()
    read_files.clear()
    third = convert_here(source, out, everything(out))
    # the second `one` now is the only one of that name, so its picture is called otherwise
    assert sorted(read_files) == ["a", "cut.dcm", "new.dcm", "notes.xml", "one.dcm"] and third.kept == 2
    fresh = convert_here(source, tmp_path / "fresh", everything(tmp_path / "fresh"))
    pd.testing.assert_frame_equal(third.images, fresh.images)
    assert (out / "c.npy").read_bytes() == (tmp_path / "fresh" / "c.npy").read_bytes()


@pytest.mark.parametrize("change", [{"cache_size": 9}, {"png_size": 20}, {"salt": "another salt, long enough"}])
def test_a_changed_setting_converts_all_again(source, tmp_path, read_files, change):
    wanted = everything(tmp_path / "out")
    convert_here(source, tmp_path / "out", wanted)
    read_files.clear()
    assert convert_here(source, tmp_path / "out", wanted._replace(**change)).kept == 0 and len(read_files) == 7


@pytest.mark.parametrize("damage", ["remove png", "change png", "remove cache", "change cache"])
def test_lost_or_changed_results_are_made_again(source, tmp_path, read_files, damage):
    out = tmp_path / "out"
    images = convert_here(source, out, everything(out)).images
    good = {name: (out / name).read_bytes() for name in ["c.npy", *images["path"]]}
    what, which = damage.split()
    file = out / ("c.npy" if which == "cache" else images["path"][2])
    changed = bytearray(file.read_bytes())
    changed[-70] ^= 1
    if what == "remove":
        file.unlink()
    else:
        file.write_bytes(changed)
    read_files.clear()
    again = convert_here(source, out, everything(out))
    assert {name: (out / name).read_bytes() for name in good} == good
    assert again.kept == (0 if damage == "remove cache" else 4)


def test_what_was_done_before_a_kill_stays_done(source, tmp_path, read_files, monkeypatch):
    out = tmp_path / "out"
    whole = convert_here(source, tmp_path / "whole", everything(tmp_path / "whole"))

    class Killed(BaseException):
        pass

    def die_at_photo(path):
        if path.name == "photo.png":
            raise Killed
        return read_dicom(path)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "read_dicom", die_at_photo)
        for _ in range(2):  # two kills in a row
            with pytest.raises(Killed):
                convert_here(source, out, everything(out))
    with open(out / STATE / "ledger.jsonl", "a") as file:
        file.write('{"path": "half a li')
    with open(out / STATE / "rows_8.u8", "ab") as file:
        file.write(b"half a row")
    read_files.clear()
    resumed = convert_here(source, out, everything(out))
    assert resumed.kept == 2 and sorted(read_files) == ["cut.dcm", "notes.xml", "one.dcm", "one.dcm", "photo.png"]
    pd.testing.assert_frame_equal(resumed.images, whole.images)
    assert (out / "c.npy").read_bytes() == (tmp_path / "whole" / "c.npy").read_bytes()
    assert not (out / STATE / "rows_8.u8").exists()


def test_two_conversions_into_one_folder_are_refused(source, tmp_path):
    with (
        convert.Ledger(tmp_path / "out" / STATE, "", None, None, 0),
        pytest.raises(DataFault, match="another conversion is writing here"),
    ):
        convert_here(source, tmp_path / "out")


@pytest.fixture
def many(tmp_path, dicom):
    """Enough files that a conversion can be hit in its middle."""
    root = tmp_path / "many"
    root.mkdir()
    for i in range(300):
        (root / f"{i:03}.dcm").write_bytes(dicom(ramp(300, 300, seed=i)))
    return root


def start(source: Path, out: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "cxr", "convert", str(source), str(out), "--workers", "2", "--cache", "64"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(out.glob("*.png"))) < 20:
        assert time.monotonic() < deadline and process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    return process


def wait_for_orphans(out: Path) -> None:
    """On a busy machine the processes that decode outlive by a moment the one that asked; theirs is not stale yet."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        owners = {int(path.name.removesuffix(".part").rpartition("-")[2]) for path in out.rglob(".*.part")}
        if not any(outputs._is_running(owner) for owner in owners):
            return
        time.sleep(0.02)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_or_ctrl_c_leaves_no_half_file_and_no_work_to_do_twice(many, tmp_path, blow):
    out = tmp_path / "out"
    process = start(many, out)
    process.send_signal(blow)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == (-9 if blow == signal.SIGKILL else 130)
    if blow == signal.SIGINT:
        assert errors.splitlines()[-1] == "interrupted; what is done stays done" and "Traceback" not in errors
    wait_for_orphans(out)
    done = list(out.glob("*.png"))
    assert 20 <= len(done) < 300 and not (out / "images.csv").exists()
    for png in done:
        assert cv2.imread(str(png), cv2.IMREAD_UNCHANGED).shape == (300, 300)
    again = convert_files(find_files(many), many, out / STATE, Wanted(out, None, out / "cache_64.npy", 64, SALT))
    assert len(again.images) == 300 and len(again.failures) == 0
    assert len(done) - 12 <= again.kept < 300, "all but what was on its way"
    assert not list(out.rglob(".*.part"))


# --------------------------------------------------------------------------------------------------------- nobody named


def test_patients_are_salted_hashes_outside_the_public_sets(source, tmp_path, capsys):
    run(source, tmp_path / "out", "--workers", 1)
    patients = read_table(tmp_path / "out" / "images.csv", IMAGES)["patient_id"]
    assert patients[0] == pseudonym("patient", SALT) != pseudonym("patient", SALT + "!") and len(patients[0]) == 16
    assert patients.nunique() == 3 and "salted hashes" in capsys.readouterr().out
    run(source, tmp_path / "kept", "--workers", 1, "--public")
    assert read_table(tmp_path / "kept" / "images.csv", IMAGES)["patient_id"][0] == "patient"
    (tmp_path / "train_study_level.csv").write_text("id\n")  # beside `set`, as beside train/
    run(source, tmp_path / "known", "--workers", 1)
    assert read_table(tmp_path / "known" / "images.csv", IMAGES)["patient_id"][0] == "patient"


def test_nothing_else_of_a_header_is_written(tmp_path, dicom, capsys):
    """A secret in every text element but the documented ones, and where numbers should be, is in no byte of DST."""
    secret = "Wintergreen"  # noqa: S105  a patient, not a password
    texts = dict.fromkeys(
        ("PatientName", "PatientAddress", "OtherPatientIDs", "PatientComments", "InstitutionName", "StudyDescription",
         "ReferringPhysicianName", "AccessionNumber", "OperatorsName", "ImageComments", "PatientSex", "PatientAge",
         "WindowCenterWidthExplanation", "PatientBirthDate"), secret,
    )  # fmt: skip
    (tmp_path / "src").mkdir()
    broken = [{"VOILUTFunction": secret, "WindowCenter": 9, "WindowWidth": 99}, {"PhotometricInterpretation": secret}]
    for i, more in enumerate([{}, *broken]):
        (tmp_path / "src" / f"{i}.dcm").write_bytes(dicom(ramp(), PatientID=secret, **texts, **more))
    for i, element in enumerate(("WindowCenter", "RescaleSlope", "NumberOfFrames")):
        data = dicom(ramp(), WindowWidth=99, RescaleIntercept=1, **{element: "11111111111"})
        (tmp_path / "src" / f"n{i}.dcm").write_bytes(data.replace(b"11111111111", secret.encode()))
    assert run(tmp_path / "src", tmp_path / "out", "--workers", 1, "--cache", 8) == 0
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) >= 8
    for path in files:
        assert secret.lower().encode() not in path.read_bytes().lower(), path
    printed = capsys.readouterr()
    assert secret not in printed.out + printed.err


def test_a_salt_is_made_once_and_kept_from_others(tmp_path, monkeypatch):
    from cxr.images.pseudonyms import user_salt

    monkeypatch.delenv("CXR_SALT")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    salt = user_salt()
    file = tmp_path / "cxr" / "salt"
    assert salt == user_salt() == file.read_text() and len(salt) == 64 and file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["salt"]
    monkeypatch.setenv("CXR_SALT", "short")
    with pytest.raises(DataFault, match="16 to 64 characters"):
        user_salt()
    monkeypatch.delenv("CXR_SALT")
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "blocked"))
    with pytest.raises(DataFault, match="cannot be kept"):
        user_salt()


def test_unique_names_depend_on_order_alone():
    assert unique_names(["a.png", "a.png", "a_2.png", "a.png"]) == ["a.png", "a_2.png", "a_2_2.png", "a_3.png"]


def test_links_to_folders_are_followed_once(tmp_path, dicom):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.dcm").write_bytes(dicom(ramp()))
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real", target_is_directory=True)
    assert find_files(tmp_path) == [tmp_path / "real" / "x.dcm"]
