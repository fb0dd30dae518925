"""Wheels: fetched once, packed with their digests, chosen by Python, unpacked whole."""

import sys

import pytest
from made_bundle import REPOSITORY, list_wheels, made_run, toy_wheel, values, wanted

from cxr.faults import DataFault
from cxr.kaggle import bundle, wheels
from cxr.kaggle.unpack import MANIFEST, choose_wheel, fits, unpack_wheels
from cxr.kaggle.wheels import pack_wheels, read_pins, wheel_licences

HERE = f"{sys.version_info[0]}{sys.version_info[1]}"


@pytest.fixture
def pins(tmp_path):
    (tmp_path / "pins.txt").write_text("# toys\ncxrtoy==1.0  # a toy\n")
    return tmp_path / "pins.txt"


def no_fetch(monkeypatch):
    def fetch(cache, name, version, python):
        raise AssertionError(f"{name} was asked of the index again")

    monkeypatch.setattr(wheels, "fetch", fetch)


def test_a_pure_wheel_is_packed_once_for_all_pythons(tmp_path, pins, monkeypatch):
    no_fetch(monkeypatch)
    wheel = toy_wheel(tmp_path / "cache")
    assert pack_wheels(pins, ["3.12", "3.13"], tmp_path / "cache", tmp_path / "out") == []
    manifest = values(tmp_path / "out" / MANIFEST)
    assert manifest["packages"] == {"cxrtoy": "1.0"} and list(manifest["files"]) == [wheel.name]
    assert (tmp_path / "out" / wheel.name).read_bytes() == wheel.read_bytes()
    assert wheel_licences(tmp_path / "out") == {wheel.name: "MIT"}


def test_each_python_gets_its_own_compiled_wheel(tmp_path, pins, monkeypatch):
    no_fetch(monkeypatch)
    names = {toy_wheel(tmp_path / "cache", tags=f"cp{n}-cp{n}-manylinux_2_28_x86_64").name for n in (312, 313)}
    assert pack_wheels(pins, ["3.12", "3.13"], tmp_path / "cache", tmp_path / "out") == []
    assert set(values(tmp_path / "out" / MANIFEST)["files"]) == names


def test_half_a_download_is_not_taken_from_the_cache(tmp_path, pins, monkeypatch):
    wheel = toy_wheel(tmp_path / "cache")
    wheel.write_bytes(wheel.read_bytes()[:200])
    asked = []
    monkeypatch.setattr(wheels, "fetch", lambda *words: asked.append(words))
    missing = pack_wheels(pins, ["3.12"], tmp_path / "cache", tmp_path / "out")
    assert len(asked) == 1 and missing[0].startswith("cxrtoy==1.0 for Python 3.12: no wheel")


def test_without_an_index_what_is_missing_is_named_and_the_rest_is_there(tmp_path, monkeypatch, capsys):
    made_run(tmp_path / "working")
    monkeypatch.setattr(wheels, "fetch", lambda *words: None)
    assert bundle.build(wanted(tmp_path, wheels=True, pythons=("3.12",))) == 1
    said = capsys.readouterr().err
    assert "error: ultralytics==8.4.190 for Python 3.12" in said and "the rest of the bundle is there" in said
    assert (tmp_path / "out/submission/submission.ipynb").is_file()


def test_torch_never_travels(tmp_path):
    for name in ("torch", "torchvision", "numpy", "nvidia-cublas-cu12"):
        (tmp_path / "pins.txt").write_text(f"{name}==1.0  # no\n")
        with pytest.raises(DataFault, match=f"{name}==1.0 must not travel"):
            pack_wheels(tmp_path / "pins.txt", ["3.12"], tmp_path / "cache", tmp_path / "out")


@pytest.mark.parametrize("line", ["torch>=2", "torch", "a b==1", "-r other.txt"])
def test_only_exact_pins_are_read(tmp_path, line):
    (tmp_path / "pins.txt").write_text(f"numpy==2.0.2\n{line}\n")
    with pytest.raises(DataFault, match=r"pins.txt:2: .* is no exact pin"):
        read_pins(tmp_path / "pins.txt")


def test_the_fetch_asks_for_one_wheel_without_dependencies(tmp_path, monkeypatch):
    calls = []

    def run(command, **options):
        calls.append(command)
        toy_wheel(wheels.Path(command[command.index("--dest") + 1]))
        return type("Done", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(wheels, "pip", lambda: ["pip"])
    monkeypatch.setattr(wheels.subprocess, "run", run)
    wheel = wheels.fetch(tmp_path, "cxrtoy", "1.0", "3.12")
    assert wheel.is_file() and list(tmp_path.iterdir()) == [wheel]
    assert {"--no-deps", "--only-binary=:all:", "--python-version=3.12", "cxrtoy==1.0"} <= set(calls[0])


def test_a_failed_fetch_tells_what_pip_said(tmp_path, monkeypatch, capsys):
    failed = type("Done", (), {"returncode": 1, "stderr": "noise\nERROR: no matching distribution for cxrtoy==1.0"})
    monkeypatch.setattr(wheels, "pip", lambda: ["pip"])
    monkeypatch.setattr(wheels.subprocess, "run", lambda *words, **options: failed)
    assert wheels.fetch(tmp_path, "cxrtoy", "1.0", "3.12") is None
    assert "ERROR: no matching distribution" in capsys.readouterr().out and list(tmp_path.iterdir()) == []


def test_an_environment_without_pip_uses_the_one_on_path(tmp_path, monkeypatch):
    monkeypatch.setattr(wheels.subprocess, "run", lambda *w, **o: type("Done", (), {"returncode": 1}))
    monkeypatch.setattr(wheels.shutil, "which", lambda name: "/bin/pip3" if name == "pip3" else None)
    assert wheels.pip() == ["/bin/pip3"]
    monkeypatch.setattr(wheels.shutil, "which", lambda name: None)
    with pytest.raises(DataFault, match="no pip to fetch wheels with"):
        wheels.pip()


@pytest.mark.parametrize(
    ("tags", "python", "runs"),
    [
        ("py3-none-any", (3, 12), True),
        ("py2.py3-none-any", (3, 13), True),
        ("cp312-cp312-manylinux_2_28_x86_64", (3, 12), True),
        ("cp312-cp312-manylinux_2_28_x86_64", (3, 13), False),
        ("cp312-abi3-manylinux_2_28_x86_64", (3, 13), True),
        ("cp313-abi3-manylinux_2_28_x86_64", (3, 12), False),
        ("py2-none-any", (3, 12), False),
    ],
)
def test_tags_say_which_python_a_wheel_runs_on(tags, python, runs):
    assert fits(f"toy-1.0-{tags}.whl", python) is runs


def test_unpacking_gives_what_is_imported_and_no_scripts(tmp_path):
    toy_wheel(tmp_path / "w")
    list_wheels(tmp_path / "w", {"cxrtoy": "1.0", "numpy": wheels_version("numpy")})
    (tmp_path / "out").mkdir()
    assert unpack_wheels(tmp_path / "w", tmp_path / "out") == (["cxrtoy==1.0"], [f"numpy=={wheels_version('numpy')}"])
    assert {path.name for path in tmp_path.joinpath("out").iterdir()} == {
        "cxrtoy.py",
        "cxrtoy_more.py",
        "cxrtoy-1.0.dist-info",
    }


def wheels_version(name):
    return read_pins(REPOSITORY / "requirements-kaggle.txt")[name]


def test_a_damaged_or_missing_wheel_is_refused(tmp_path):
    wheel = toy_wheel(tmp_path / "w")
    list_wheels(tmp_path / "w", {"cxrtoy": "1.0"})
    wheel.write_bytes(wheel.read_bytes() + b"x")
    for _ in ("damaged", "missing"):
        with pytest.raises(DataFault, match=r"cxrtoy-1.0-py3-none-any.whl: is missing or not the file"):
            unpack_wheels(tmp_path / "w", tmp_path)
        wheel.unlink(missing_ok=True)


def test_another_python_is_told_how_to_get_its_wheels(tmp_path):
    files = {"cxrtoy-1.0-cp39-cp39-manylinux_2_28_x86_64.whl": ""}
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(DataFault, match=rf"no wheel for Python {python} among cxrtoy.*KAGGLE_PYTHON={python}"):
        choose_wheel("cxrtoy", "1.0", files)


def test_a_list_that_is_none_is_refused(tmp_path):
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(DataFault, match="no list of wheels"):
        unpack_wheels(tmp_path, tmp_path)
