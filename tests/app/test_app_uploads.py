"""What holds uploads: names, ids, the shelf, the folder of which nothing is left, the command's own faults."""

import io
import os
import socket

import numpy as np
import pytest

from bad_decoders import crash, hang, swell
from cxr.__main__ import main
from cxr.app.decode import technical_facts
from cxr.app.limits import Limits
from cxr.app.uploads import Decoder, Refusal, Shelf, Upload, plain_ids, safe_name
from cxr.training.yolo import _writable
from made_server import png


@pytest.mark.parametrize(
    ("name", "shown"),
    [("../../etc/passwd", "passwd"), ("C:\\x\\chest.dcm", "chest.dcm"), ("a\nb\x00.png", "a_b_.png"), ("", "unnamed")],
)
def test_names_are_for_people(name, shown):
    assert safe_name(name) == shown


def test_a_long_name_is_cut():
    assert len(safe_name("x" * 5000)) == 100


def test_ids_of_rows_are_plain_and_no_two_alike():
    assert plain_ids(["a.dcm", "a.png", "=1+2.png", "..", "a_2.jpg"]) == ["a", "a_2", "1_2", "unnamed", "a_2_2"]


def kept(token):
    return Upload(token, token, token, 1, 1, {}, np.zeros((2, 2), np.uint8), b"")


def test_the_shelf_keeps_the_newest_for_a_while():
    now = [0.0]
    shelf = Shelf(2, minutes=1, clock=lambda: now[0])
    for token in "abc":
        shelf.put(kept(token))
        now[0] += 10
    assert shelf.get("a") is None and shelf.get("c").name == "c"
    now[0] = 75  # b is 65 seconds old, c 55
    assert shelf.get("b") is None and shelf.get("c").name == "c"
    now[0] = 90
    assert shelf.get("c") is None


def test_nothing_is_left_of_an_upload():
    decoder = Decoder(16, Limits())
    with decoder:
        assert isinstance(decoder.decode("../x.png", io.BytesIO(png(9))), Upload)
        assert isinstance(decoder.decode("x.dcm", io.BytesIO(b"no")), Refusal)
        assert os.listdir(decoder._folder) == []
    assert not decoder._folder.exists()


@pytest.mark.parametrize(("what", "words"), [(hang, "took longer than"), (crash, "crashed"), (swell, "memory")])
def test_a_file_that_hangs_crashes_or_swells_costs_itself_alone(monkeypatch, what, words):
    with Decoder(16, Limits(seconds=1)) as decoder:
        monkeypatch.setattr("cxr.app.uploads.DECODER", what)
        refused = decoder.decode("x.dcm", io.BytesIO(b"anything"))
        monkeypatch.undo()
        assert isinstance(refused, Refusal) and words in refused.reason
        assert isinstance(decoder.decode("x.png", io.BytesIO(png(9))), Upload)


def test_facts_are_technical_and_never_free_text():
    header = {
        "transfer_syntax": "1.2.3.4",
        "photometric": "JANE DOE",
        "modality": "JANE",
        "bits_stored": 12,
        "note": "",
    }
    flags = dict.fromkeys(("has_rescale", "has_voi_lut", "has_window"), 0)
    facts = technical_facts({**header, **flags})
    assert "JANE" not in str(facts) and facts["transfer syntax"] == "not a standard one"


def test_a_run_that_is_not_there_and_a_port_that_is_taken(tmp_path, capsys):
    assert main(["serve", "--run", str(tmp_path), "--port", "0"]) == 1
    assert "run `make all` first" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--run", str(tmp_path), "--port", str(taken.getsockname()[1])]) == 1
    assert "take another one: --port 8001" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_gets_a_stand_in(tmp_path):
    (tmp_path / "file").write_text("")
    assert _writable(tmp_path / "new") == tmp_path / "new"
    stand_in = _writable(tmp_path / "file" / "below")
    assert stand_in.is_dir() and tmp_path not in stand_in.parents
