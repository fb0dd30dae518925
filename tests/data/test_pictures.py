import json
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from cxr.data import pictures
from cxr.data.pictures import cache_pictures, convert_picture, load_gray
from cxr.faults import DataFault

RAMP = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21  # 0..64491, 48 rows of 64
GRAY = (RAMP >> 8).astype(np.uint8)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_gray_pictures_keep_every_value(tmp_path, suffix):
    pixels = load_gray(save(tmp_path / f"a.{suffix}", GRAY))
    assert pixels.dtype == np.uint8 and (pixels == GRAY).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_pictures_come_close(tmp_path, suffix):
    pixels = load_gray(save(tmp_path / f"a.{suffix}", GRAY, quality=95))
    assert pixels.shape == GRAY.shape and np.abs(pixels.astype(int) - GRAY).mean() < 2


def test_colour_becomes_luminance(tmp_path):
    colour = np.zeros((2, 3, 3), np.uint8)
    colour[0, :] = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    colour[1, :] = 77
    expected = [[round(0.299 * 255), round(0.587 * 255), round(0.114 * 255)], [77] * 3]
    assert load_gray(save(tmp_path / "rgb.png", colour)).tolist() == expected


def test_the_transparency_of_an_rgba_picture_is_ignored(tmp_path):
    pixels = np.dstack([GRAY, GRAY, GRAY, np.where(GRAY > 99, 0, 200).astype(np.uint8)])
    assert (load_gray(save(tmp_path / "rgba.png", pixels)) == GRAY).all()


@pytest.mark.parametrize("options", [{}, {"transparency": b"\x00\x80\xff"}])
def test_a_palette_is_looked_up(tmp_path, options):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([10, 10, 10, 200, 200, 200, 90, 90, 90])
    image.save(tmp_path / "p.png", **options)
    assert load_gray(tmp_path / "p.png").tolist() == [[10, 200, 90]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_lose_the_lower_eight(tmp_path, channels):
    deep = RAMP if channels == 1 else np.dstack([RAMP] * channels)
    assert cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert (load_gray(tmp_path / "deep.png") == GRAY).all()


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray(GRAY > 99).save(tmp_path / "bits.png")
    assert (load_gray(tmp_path / "bits.png") == np.where(GRAY > 99, 255, 0)).all()


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right of the stored picture
    path = save(tmp_path / "turned.png", GRAY, exif=exif)
    assert (load_gray(path) == np.rot90(GRAY, -1)).all()


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    first, second = Image.fromarray(GRAY), Image.fromarray(255 - GRAY)
    first.save(tmp_path / "two.gif", save_all=True, append_images=[second])
    assert (load_gray(tmp_path / "two.gif") == GRAY).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp"])
def test_a_picture_that_was_cut_off_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    path = save(tmp_path / f"cut.{suffix}", noise)
    data = path.read_bytes()
    for share in (0.3, 0.6, 0.95):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(DataFault, match=r"cut\.\w+: .*(damaged|cut off)"):
            load_gray(path)


def test_a_png_with_a_flipped_byte_is_refused(tmp_path):
    path = save(tmp_path / "flipped.png", GRAY)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 30] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataFault, match="damaged or cut off"):
        load_gray(path)


def png_of_size(path, width, height):
    """A PNG that claims a size; its data are a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [6_325, 13_000, 60_000])
def test_absurd_sizes_are_refused_before_decoding(tmp_path, side):
    with pytest.raises(DataFault, match="more than the 32,000,000 pixels"):
        load_gray(png_of_size(tmp_path / "bomb.png", side, side))


def test_other_formats_and_missing_files_are_named(tmp_path):
    save(tmp_path / "a.tif", GRAY)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    for name in ("a.tif", "text.png", "empty.png"):
        with pytest.raises(DataFault, match=f"{name}: no PNG, JPEG, GIF, WEBP"):
            load_gray(tmp_path / name)
    with pytest.raises(DataFault, match=r"gone\.png: no such file"):
        load_gray(tmp_path / "gone.png")


def test_random_bytes_never_raise_anything_else(tmp_path):
    rng = np.random.default_rng(1)
    data = {suffix: save(tmp_path / f"a.{suffix}", GRAY).read_bytes() for suffix in ("png", "jpg", "gif", "webp")}
    path, refused = tmp_path / "fuzz", 0
    for whole in data.values():
        for _ in range(60):
            bad = bytearray(whole)
            for place in rng.integers(0, len(bad), 4):
                bad[place] = rng.integers(256)
            path.write_bytes(bad)
            try:
                assert load_gray(path).dtype == np.uint8
            except DataFault as fault:
                refused += 1
                assert "\n" not in str(fault)
    assert refused > 50


@pytest.fixture
def folder(tmp_path):
    """Three pictures and a damaged one, in the order c, bad, a, b."""
    for number, name in enumerate("abc"):
        save(tmp_path / f"{name}.png", np.full((20 + number, 30), 50 * number, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


NAMES = ["c", "bad", "a", "b"]


def cache(folder, names=NAMES, size=8, workers=0, **options):
    files = [folder / f"{name}.png" for name in names]
    return cache_pictures(
        files, [f"id-{name}" for name in names], size, folder / "cache" / "x_8.npy", workers, **options
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_the_cache_has_the_rows_of_its_table(folder, workers):
    table, failures = cache(folder, workers=workers)
    pixels = np.load(folder / "cache" / "x_8.npy", mmap_mode="r")
    assert list(table.columns) == ["image_id", "height", "width", "path", "pixel_hash"]
    assert table["image_id"].tolist() == ["id-c", "id-a", "id-b"]
    assert table[["height", "width"]].to_numpy().tolist() == [[22, 30], [20, 30], [21, 30]]
    assert table["path"][0] == (folder / "c.png").as_posix() and table["pixel_hash"].nunique() == 3
    assert pixels.shape == (3, 8, 8) and pixels.dtype == np.uint8 and pixels[:, 0, 0].tolist() == [100, 0, 50]
    assert failures["path"].tolist() == [(folder / "bad.png").as_posix()]
    assert failures["reason"][0].startswith("no PNG, JPEG, GIF, WEBP")  # without the path, which has its own column


def counted(monkeypatch):
    """Every file that is decoded, by name."""
    read, seen = pictures.load_gray, []

    def counting(path):
        seen.append(path.name)
        return read(path)

    monkeypatch.setattr(pictures, "load_gray", counting)
    return seen


def test_a_second_call_decodes_nothing_but_what_failed(folder, monkeypatch):
    first, failed = cache(folder)
    seen = counted(monkeypatch)
    again, still = cache(folder)
    assert seen == ["bad.png"]
    assert first.equals(again) and failed.equals(still) and (first.dtypes == again.dtypes).all()


def change_a(folder):
    path = save(folder / "a.png", np.full((20, 30), 9, np.uint8))
    os.utime(path, ns=(0, 0))  # the clock of the file system may be too coarse for a fast test


def lose_the_cache(folder):
    (folder / "cache" / "x_8.npy").unlink()


def spoil_the_cache(folder):
    np.save(folder / "cache" / "x_8.npy", np.zeros((3, 8, 8), np.uint8))


def halve_the_note(folder):
    note = folder / "cache" / "x_8.json"
    note.write_text(note.read_text()[:100])


def mend_the_bad_one(folder):
    save(folder / "bad.png", np.full((9, 9), 13, np.uint8))


@pytest.mark.parametrize("change", [change_a, lose_the_cache, spoil_the_cache, halve_the_note, mend_the_bad_one])
def test_a_change_makes_the_cache_again(folder, change):
    cache(folder)
    change(folder)
    table, _ = cache(folder)
    pixels = np.load(folder / "cache" / "x_8.npy")
    expected = {"id-c": 100, "id-a": 9 if change is change_a else 0, "id-b": 50}
    found = dict(zip(table["image_id"], pixels[:, 0, 0].tolist(), strict=True))
    assert found == ({**expected, "id-bad": 13} if change is mend_the_bad_one else expected)


def test_another_size_order_or_converter_makes_the_cache_again(folder, monkeypatch):
    cache(folder)
    seen = counted(monkeypatch)
    for options in ({"size": 4}, {"names": NAMES[::-1]}, {"convert": lambda job: convert_picture(job)}):
        seen.clear()
        cache(folder, **options)
        assert len(seen) == 4, options


def test_a_file_that_failed_for_the_moment_is_tried_again(folder, monkeypatch):
    read = pictures.load_gray
    monkeypatch.setattr(pictures, "load_gray", lambda path: read(path.with_name("bad.png")))
    assert len(cache(folder)[1]) == 4
    monkeypatch.setattr(pictures, "load_gray", read)
    assert len(cache(folder)[0]) == 3


def test_an_interrupted_run_leaves_no_note_that_fits(folder, monkeypatch):
    cache(folder)

    def stop(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pictures, "load_gray", stop)
        cache(folder, size=4)
    assert [path.name for path in (folder / "cache").iterdir()] == ["x_8.npy"]  # the older one, whole
    assert len(cache(folder)[0]) == 3


def test_without_any_picture_there_is_no_cache(folder):
    cache(folder)
    table, failures = cache(folder, ["bad"])
    assert table.empty and len(failures) == 1 and not (folder / "cache" / "x_8.npy").exists()
    assert json.loads((folder / "cache" / "x_8.json").read_text())["cache"] is None
    assert cache(folder, ["bad"])[0].empty


def test_each_file_needs_an_id_of_its_own(folder):
    with pytest.raises(ValueError, match="2 files need as many different ids, got 1 of 2"):
        cache_pictures([folder / "a.png", folder / "b.png"], ["x", "x"], 8, folder / "x.npy")


def test_real_pictures_of_every_kind_are_read(realdata):
    files = sorted((realdata / "images" / "nih_png_original").glob("*.png"))
    files += sorted(path for path in (realdata / "images" / "covid_cxnet").iterdir() if path.is_file())
    assert len(files) > 20
    for file in files:
        pixels = load_gray(file)
        assert pixels.ndim == 2 and min(pixels.shape) > 100 and pixels.std() > 10, file.name
