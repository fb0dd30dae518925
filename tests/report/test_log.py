"""submissions/log.csv: a line a run, none twice, none lost, and nothing that a person wrote is touched."""

import csv
import json
from concurrent.futures import ProcessPoolExecutor

import pytest

from cxr.faults import DataFault
from cxr.report.log import BY_HAND, COLUMNS, append_line, harmless, record_run
from made_run import make_run, workspace_in

HEADER = ",".join((*COLUMNS, *BY_HAND))


def line(submission="aa", cv="0.5790", score="", **more):
    return {**dict.fromkeys(COLUMNS, ""), "profile": "demo", "submission": submission, "cv": cv, "score": score} | more


def rows(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose stage 11 has written a submission."""
    workspace, images, _ = make_run(tmp_path_factory.mktemp("log"))
    places = workspace.places
    images.assign(source="siim_test").to_csv(places.test_images_table, index=False)
    places.submission.parent.mkdir(parents=True)
    places.submission.write_text("id,PredictionString\n")
    return workspace


def test_a_run_gets_one_line_however_often_the_report_is_made(run):
    assert "a new line" in record_run(run) and "stands there already" in record_run(run)
    (found,) = rows(run.places.log)
    assert list(found) == [*COLUMNS, *BY_HAND] and found["public"] == found["private"] == ""
    assert found["data"] == "phantom" and found["overrides"] == "images.cache_size=32"
    # 3.2 s of stage 00 and 301 s of stage 07; the report's own record is that of an earlier run
    assert (found["seconds"], found["score"], found["score_low"]) == ("304", "0.5680", "0.5270")
    assert 0 < float(found["cv_low"]) < float(found["cv"]) < float(found["cv_high"]) < 1
    kept = json.loads(run.places.manifest.read_text())
    assert (
        kept["digests"]["submission.csv"]["sha256"].startswith(found["submission"]) and len(found["submission"]) == 12
    )


def test_another_submission_is_another_line_and_old_lines_stay_as_they_are(run):
    record_run(run)
    before = run.places.log.read_bytes()
    run.places.submission.write_text("id,PredictionString\nx,\n")
    record_run(run)
    after = run.places.log.read_bytes()
    assert after.startswith(before) and after.count(b"\n") == before.count(b"\n") + 1


def test_a_run_without_a_submission_has_no_line(tmp_path):
    workspace = workspace_in(tmp_path)
    assert "stage 11" in record_run(workspace) and not workspace.places.log.exists()
    assert json.loads(workspace.places.manifest.read_text())["input"] == ""


def test_what_a_person_wrote_survives(tmp_path):
    path = tmp_path / "log.csv"
    # a spreadsheet: byte order mark, CRLF, figures without their last zero, columns of its own, no end of line
    kept = (
        f"\ufeffwhy,{HEADER}\r\n"
        + "first try,"
        + ",".join(["", "", "demo", *[""] * 3, "0.579", *[""] * 6, "aa,.61,.6"])
    )
    path.write_bytes(kept.encode())
    assert not append_line(path, line()), ".5790 and 0.579 are the same run"
    assert append_line(path, line("bb")) and path.read_bytes().startswith(kept.encode() + b"\r\n")
    first, second = rows(path)
    assert (first["why"], first["public"], first["private"]) == ("first try", ".61", ".6")
    assert (second["why"], second["submission"], second["public"]) == ("", "bb", "")


def test_a_score_that_becomes_known_is_a_new_line(tmp_path):
    path = tmp_path / "log.csv"
    assert append_line(path, line()) and append_line(path, line(score="0.61")) and not append_line(path, line())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"date;commit;profile\n", "column date, commit"),
        (HEADER.replace("cv_low", "cv").encode(), "column cv, cv_low must stand once"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_broken_log_is_named_and_left_alone(tmp_path, content, words):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(DataFault, match=words) as fault:
        append_line(path, line())
    assert str(path) in str(fault.value) and "move it away" in str(fault.value) and "\n" not in str(fault.value)
    assert path.read_bytes() == content


def test_a_log_that_cannot_be_written_is_a_fault_in_words(tmp_path):
    (tmp_path / "log.csv").mkdir()
    with pytest.raises(DataFault, match="cannot be written .*the run and its report stand"):
        append_line(tmp_path / "log.csv", line())


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    append_line(path, line())
    before = path.read_bytes()
    monkeypatch.setattr("cxr.report.log.new_text", lambda *_: _HalfWritten(b"one,two\n"))
    with pytest.raises(DataFault, match="no space"):
        append_line(path, line("bb"))
    assert path.read_bytes() == before


class _HalfWritten(bytes):
    """Seems longer than what the disk takes."""

    def __len__(self):
        return super().__len__() + 1


def test_two_runs_at_once_lose_no_line(tmp_path):
    path = tmp_path / "log.csv"
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(append_line, [path] * 40, [line(f"{number:02}") for number in range(40)]))
    assert sorted(row["submission"] for row in rows(path)) == [f"{number:02}" for number in range(40)]
    assert path.read_text().count(HEADER) == 1


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", " =1"])
def test_no_cell_is_taken_for_a_formula(tmp_path, cell):
    append_line(tmp_path / "log.csv", line(overrides=cell))
    assert rows(tmp_path / "log.csv")[0]["overrides"] == f"'{cell.strip()}"


def test_text_stays_on_its_line():
    assert harmless('a\n"b",  c') == 'a "b", c'
