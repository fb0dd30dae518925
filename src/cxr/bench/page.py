"""The web page's server with the models of a finished run: how long a visitor waits for files of real size."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cxr.bench.radiographs import draw, write_radiograph

SIZE, SYNTAXES = (2544, 3056), ("Explicit VR Little Endian", "JPEG Lossless SV1")
CLIENTS, REQUESTS = 8, 40


def main(repeats: int, run: Path) -> None:
    """Print seconds of the first and of later requests, and requests a second of eight clients."""
    if not (run / "blend.json").is_file():
        print(f"\npage: left out, {run} holds no finished run; run `make all` or name one with --run")
        return
    print(
        f"\nweb page with the models of {run}, files of {SIZE[0]}x{SIZE[1]}: seconds from sending a file to its answer"
    )
    with tempfile.TemporaryDirectory() as folder:
        files, picture = [Path(folder) / f"{number}.dcm" for number in range(len(SYNTAXES))], draw(*SIZE)
        for file, syntax in zip(files, SYNTAXES, strict=True):
            write_radiograph(file, picture, syntax, "none")
        for words, value in measure(run, [file.read_bytes() for file in files], repeats).items():
            print(f"{words:54}{value:10.2f}", flush=True)


def measure(run: Path, contents: list[bytes], repeats: int) -> dict[str, float]:
    """Figures in words; the server is a process of its own, started for this."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "cxr", "serve", "--run", str(run), "--port", "0"]
    server = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        line = next((line for line in server.stdout if "open http" in line), "")
        if not line:
            raise SystemExit(f"the server did not start: {' '.join(command)}")
        address = line.split("open ")[1].split()[0]
        found = {"until the server is ready": time.perf_counter() - started}
        found["first file"] = ask(address, contents[0])
        for content, syntax in zip(contents, SYNTAXES, strict=True):
            found[f"{syntax}, median of {repeats}"] = statistics.median(ask(address, content) for _ in range(repeats))
        begun = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda number: ask(address, contents[number % 2]), range(REQUESTS)))
        found[f"files a second, {CLIENTS} clients at a time"] = REQUESTS / (time.perf_counter() - begun)
        return found
    finally:
        server.terminate()
        server.wait(30)


def ask(address: str, content: bytes) -> float:
    """Seconds that one file takes."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{address}/predict", head + content + b"\r\n--x--\r\n", kind)  # noqa: S310
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310  our own server's address
        assert json.load(answer)["files"][0]["boxes"] is not None
    return time.perf_counter() - begun
