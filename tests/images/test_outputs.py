"""PNGs and caches: whole or not there, exact, and small."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from cxr.images.outputs import CacheWriter, encode_png, partial_path, remove_stale, write_png


def pictures() -> dict[str, np.ndarray]:
    """Noise, smooth, flat in parts, and odd shapes."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 300) * np.linspace(0.3, 1, 400)[:, None]
    noisy = np.clip(ramp + rng.normal(0, 2, ramp.shape), 0, 255).astype(np.uint8)
    collimated = noisy.copy()
    collimated[:150], collimated[:, 200:] = 0, 0
    windowed = np.where(noisy > 120, 255, 0).astype(np.uint8)
    return {
        "noise": rng.integers(0, 256, (200, 300), dtype=np.uint8), "noisy": noisy, "smooth": ramp.astype(np.uint8),
        "collimated": collimated, "windowed": windowed, "black": np.zeros((99, 77), np.uint8),
        "row": noisy[:1], "column": noisy[:, :1], "narrow": noisy[:, :5], "pixel": noisy[:1, :1],
    }  # fmt: skip


@pytest.mark.parametrize("name", pictures())
def test_pngs_are_exact_and_no_larger_than_opencv_makes_them(name, tmp_path):
    pixels = pictures()[name]
    write_png(tmp_path / "sub" / "x.png", pixels)
    assert np.array_equal(cv2.imread(str(tmp_path / "sub" / "x.png"), cv2.IMREAD_UNCHANGED), pixels)
    assert len(encode_png(pixels)) <= len(cv2.imencode(".png", pixels)[1])
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["x.png"]


def test_stale_parts_go_but_not_those_of_running_processes(tmp_path):
    mine = partial_path(tmp_path / "x.png")
    mine.write_bytes(b"half")
    process = mine.name.split("-")[-1]
    dead = mine.with_name(mine.name.replace(process, "4194305.part"))  # above the largest id of a process
    elsewhere = mine.with_name(f".x.png.elsewhere-{process}")
    for path in (dead, elsewhere):
        path.write_bytes(b"half")
    remove_stale(tmp_path)
    assert mine.exists() and elsewhere.exists() and not dead.exists()


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


def test_what_a_killed_process_left_goes_though_nobody_has_asked_how_it_ended(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    theirs = partial_path(tmp_path / "a.png").name.removesuffix(f"{os.getpid()}.part")
    left = tmp_path / f"{theirs}{process.pid}.part"
    left.write_bytes(b"half")
    remove_stale(tmp_path)
    assert left.exists(), "its process runs"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    remove_stale(tmp_path)
    assert not left.exists()
    process.wait()
