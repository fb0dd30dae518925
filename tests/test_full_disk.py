"""What happens when the disk is full, on a small one of its own."""

import errno
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cxr import __main__
from cxr.full_disk import full_disk, is_full, says_full

MAIN = Path(__file__).resolve().parent


def on_a_small_disk(folder: Path, megabytes: int, program: str) -> str:
    """What a program prints that finds a disk of its own at `folder`; skips where the system allows no such thing."""
    mount = f"mount -t tmpfs -o size={megabytes}m none '{folder}'"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this system lets no user mount a tmpfs in a namespace of its own (unshare -rm)")
    code = f"from pathlib import Path\nHERE = Path({str(folder)!r})\n{textwrap.dedent(program)}"
    command = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_writer_leaves_the_older_file_and_nothing_else(tmp_path):
    said = on_a_small_disk(
        tmp_path,
        2,
        """
        import numpy as np, pandas as pd, torch
        from cxr.full_disk import is_full
        from cxr.images.outputs import CacheWriter, write_png
        from cxr.tables import write_csv
        from cxr.training.checkpoint import save_atomically
        from cxr.training.runs import finish_run
        from cxr.workspace import write_json

        noise = np.random.default_rng(0).integers(0, 255, (1500, 2000), dtype=np.uint8)

        def cache(path):
            with CacheWriter(path, 1000) as rows:
                for _ in range(3):
                    rows.append(noise[:1000, :1000])

        writers = {
            "a.csv": lambda path: write_csv(pd.DataFrame(noise[:800]), path),
            "a.json": lambda path: write_json({"text": "x" * 3_000_000}, path),
            "a.npy": cache,
            "a.png": lambda path: write_png(path, noise),
            "a.pt": lambda path: save_atomically({"w": torch.zeros(1_000_000)}, path),
            "weights.pt": lambda path: finish_run(path.parent, {"w": torch.zeros(1_000_000)}, {}),
        }
        for name, write in writers.items():
            path = HERE / name
            path.write_bytes(b"older")
            try:
                write(path)
            except OSError as error:
                assert is_full(error), repr(error)
                left = sorted(other.name for other in HERE.iterdir())
                assert path.read_bytes() == b"older" and left == [name], left
                print(name)
            path.unlink()
        """,
    )
    assert said.split() == ["a.csv", "a.json", "a.npy", "a.png", "a.pt", "weights.pt"]


@pytest.mark.slow
def test_a_training_goes_on_when_there_is_room_again(tmp_path):
    said = on_a_small_disk(
        tmp_path,
        1,
        f"""
        import sys
        sys.path.insert(0, {str(MAIN / "training")!r})
        import numpy as np, pandas as pd, torch
        import test_resume as small
        from cxr.full_disk import is_full
        from cxr.training import checkpoint

        checkpoint.EVERY = 0.0
        images = pd.DataFrame({{"image_id": [f"i{{n}}" for n in range(10)], "height": 32, "width": 32}})
        for column, name in enumerate(small.STUDY_CLASSES):
            images[name] = [float(column == n % 4) for n in range(10)]
        boxes = pd.DataFrame(columns=["image_id", "x_min", "y_min", "x_max", "y_max"])
        data = images, boxes, np.random.default_rng(0).integers(0, 255, (10, 32, 32), dtype=np.uint8)
        filler = HERE / "filler"

        class Fills(small.Losses):
            def __call__(self, network, batch):
                if self.calls == 9:  # in the fourth epoch
                    with open(filler, "wb", buffering=0) as file:
                        while True:
                            try:
                                file.write(b"0" * 4096)
                            except OSError:
                                break
                return super().__call__(network, batch)

        whole, _ = small.train(data, HERE / "whole")
        (HERE / "whole" / "resume.ckpt").unlink()
        kept, small.Losses = small.Losses, Fills
        try:
            small.train(data, HERE / "run")
        except OSError as error:
            print("full", is_full(error))
        filler.unlink()
        small.Losses = kept
        again, record = small.train(data, HERE / "run")
        print("equal", small.equal(whole, again), record["resumed_after_epoch"])
        """,
    )
    assert "full True" in said and "equal True 3" in said


def test_a_command_on_a_full_disk_ends_with_one_line(tmp_path):
    said = on_a_small_disk(
        tmp_path,
        1,
        """
        import sys
        from cxr.__main__ import main
        sys.stderr = sys.stdout
        print("exit", main(["phantom", str(HERE / "phantom"), "--studies", "24", "--workers", "1"]))
        """,
    )
    lines = [line for line in said.splitlines() if line.startswith(("error:", "exit", "Traceback"))]
    assert len(lines) == 2 and lines[1] == "exit 1"
    assert lines[0].startswith(f"error: {tmp_path}") and "the disk is full (0 MB free there); make room" in lines[0]


def test_what_counts_as_a_full_disk():
    assert is_full(OSError(errno.ENOSPC, "x")) and is_full(OSError(errno.EDQUOT, "x"))
    assert is_full(OSError("With tag (7FE0,0010) got exception: [Errno 28] No space left on device")), "of pydicom"
    assert not is_full(OSError(errno.EACCES, "x")) and not is_full(ValueError("[Errno 28]"))
    assert says_full(str(OSError(errno.ENOSPC, "No space left on device", "a.csv")))
    assert not says_full("[Errno 2] No such file or directory")


def test_the_place_with_the_least_room_is_named(tmp_path, monkeypatch):
    room = {tmp_path: 3e6, tmp_path / "small": 2e6}
    monkeypatch.setattr("cxr.full_disk.free_bytes", lambda place: room[place])
    assert f"{tmp_path / 'small'}: the disk is full (2 MB free there)" in str(full_disk(room))


def test_other_faults_of_the_system_are_not_taken_for_it(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("cxr.submission_format.main", refuse)
    with pytest.raises(PermissionError):
        __main__.main(["validate", "a.csv", "b.csv"])
