"""Folder in, PNGs, cache and tables out."""

import argparse
import os

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.faults import DataFault
from cxr.images import convert
from cxr.images.convert import convert_files, fit_within, to_cache_size
from cxr.images.dicom import read_dicom
from cxr.images.files import find_files, unique_names
from cxr.images.outputs import CacheWriter
from cxr.tables import FAILURES, IMAGES, read_table


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
    assert last.startswith("5 images, 2 failures, ") and "2 without a PatientID" in last
    assert not [path for path in out.rglob(".*")], "temporary files are left"


def test_missing_ids_become_unknown_and_keep_images_apart(source, tmp_path):
    images, _ = convert_files(find_files(source), source, png=False)
    rows = images.set_index("source_path")
    assert rows.loc["a.dcm", ["study_id", "patient_id"]].tolist() == ["study", "unknown-study"]
    assert rows.loc["study/one.dcm", ["study_id", "patient_id"]].tolist() == ["unknown-one", "unknown-one"]


def test_several_workers_give_the_same_as_one(source, tmp_path):
    files = find_files(source)
    one, two = (convert_files(files, source, tmp_path / str(n), tmp_path / f"{n}.npy", 8, n) for n in (1, 2))
    pd.testing.assert_frame_equal(one[0], two[0])
    pd.testing.assert_frame_equal(one[1], two[1])
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "2.npy").read_bytes()
    for path in one[0]["path"]:
        assert (tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes()


def test_size_shrinks_the_png_but_not_the_table(source, tmp_path):
    run(source, tmp_path / "out", "--workers", 1, "--size", 25)
    images = read_table(tmp_path / "out" / "images.csv", IMAGES).set_index("path")
    small = cv2.imread(str(tmp_path / "out" / "study" / "one.png"), cv2.IMREAD_UNCHANGED)
    assert small.shape == (25, 10) and images.loc["study/one.png", ["height", "width"]].tolist() == [50, 20]
    assert fit_within(small, 1000) is small


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


def test_a_fault_of_ours_in_one_file_does_not_cost_the_run(source, monkeypatch):
    def fail(path):
        if path.name == "a.dcm":
            raise ZeroDivisionError("oops")
        return read_dicom(path)

    monkeypatch.setattr(convert, "read_dicom", fail)
    images, failures = convert_files(find_files(source), source, png=False)
    assert len(images) == 4 and failures.set_index("path").loc["a.dcm", "reason"].startswith("unexpected ZeroDivision")


def test_a_file_that_crashes_its_process_is_a_failure_and_the_others_are_not(tmp_path):
    def convert_or_crash(job):
        if job.image_id == "7":
            os.abort()
        return convert.Done(header={"image_id": job.image_id})

    jobs = [convert.Job(tmp_path / str(i), str(i)) for i in range(20)]
    results = list(convert.run_jobs(jobs, 2, convert_or_crash))
    ids = [done.header and done.header["image_id"] for done in results]
    assert ids == [*map(str, range(7)), None, *map(str, range(8, 20))]
    assert results[7].reason.startswith("crashed the decoder")


def test_an_interrupted_cache_leaves_the_old_one(tmp_path):
    path = tmp_path / "cache.npy"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), CacheWriter(path, 4) as cache:
        cache.append(np.zeros((4, 4), np.uint8))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_cache_of_many_rows_reads_like_any_npy(tmp_path):
    """The count takes more digits than the 0 written first: rows must not move."""
    rows = np.random.default_rng(0).integers(0, 256, (1234, 2, 2), dtype=np.uint8)
    with CacheWriter(tmp_path / "cache.npy", 2) as cache:
        for row in rows:
            cache.append(row)
    assert np.array_equal(np.load(tmp_path / "cache.npy", mmap_mode="r"), rows)


def test_cache_size_stretches_to_a_square_by_area():
    pixels = np.array([[0, 0, 100, 100], [0, 0, 100, 100], [50, 50, 200, 200], [50, 50, 200, 200],
                       [50, 50, 200, 200], [50, 50, 200, 200]], np.uint8)  # fmt: skip
    # rows 0-2 and 3-5 fall together: (0 + 0 + 50) / 3 = 17, (100 + 100 + 200) / 3 = 133
    assert to_cache_size(pixels, 2).tolist() == [[17, 133], [50, 200]]


def test_unique_names_depend_on_order_alone():
    assert unique_names(["a.png", "a.png", "a_2.png", "a.png"]) == ["a.png", "a_2.png", "a_2_2.png", "a_3.png"]


def test_links_to_folders_are_followed_once(tmp_path, dicom):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.dcm").write_bytes(dicom(ramp()))
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real", target_is_directory=True)
    assert find_files(tmp_path) == [tmp_path / "real" / "x.dcm"]
