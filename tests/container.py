"""The steps of the Dockerfile without a container engine: in a Debian of its own, below a folder, by chroot.

    python tests/container.py ROOT --run working/demo      (make container; as root, with debootstrap)

Debian bookworm's minimal system stands in for the base image `python:3.11-slim-bookworm`: the same release, Debian's
own Python 3.11. Everything below FROM is done as it stands: COPY by .dockerignore, RUN by sh, ENTRYPOINT as USER, and
HEALTHCHECK against it; then a phantom is sent to /predict. What no chroot can show is named at the end.
"""

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = "python3,python3-venv,ca-certificates"
PASSED = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "http_proxy",
    "https_proxy",
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as engines set it
NOT_TRIED = (
    "the base image itself and its Python, a container engine's network, volumes and health states, the image's size, "
    "CPU builds of torch from PyTorch's index"
)
# an upload by the standard library alone, from outside
ASK = """
import json, sys, urllib.request
base = "http://127.0.0.1:8000"
picture = urllib.request.urlopen(base + "/examples/typical").read()
head = b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="a.dcm"\\r\\n\\r\\n'
request = urllib.request.Request(base + "/predict", head + picture + b"\\r\\n--x--\\r\\n",
                                 {"Content-Type": "multipart/form-data; boundary=x"})
answer = json.load(urllib.request.urlopen(request))
one = answer["files"][0]
print("predicted:", len(one["boxes"]), "boxes,", one["study"], answer["seconds"], "s")
"""


def instructions(text: str) -> list[tuple[str, str]]:
    """(INSTRUCTION, rest) of each line; lines are joined at a backslash, comments left out."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.M))
    return [tuple(line.strip().split(None, 1)) for line in joined.splitlines() if line.strip()]


def context_files() -> list[Path]:
    """What `COPY .` takes, by the patterns of .dockerignore; the last that fits decides."""
    rules = [line for line in (REPOSITORY / ".dockerignore").read_text().split() if not line.startswith("#")]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True
    )
    return [Path(name) for name in listed.stdout.splitlines() if name and not _is_ignored(name, rules)]


def _is_ignored(name: str, rules: list[str]) -> bool:
    ignored = False
    parents = ["/".join(name.split("/")[:depth]) for depth in range(1, name.count("/") + 2)]
    for rule in rules:
        pattern = rule.lstrip("!")
        alone = pattern.removeprefix("**/")
        hit = any(fnmatch.fnmatchcase(part, pattern) and part.count("/") == pattern.count("/") for part in parents)
        if hit or (alone != pattern and any(fnmatch.fnmatchcase(part, alone) for part in name.split("/"))):
            ignored = not rule.startswith("!")
    return ignored


class Box:
    """A root folder and what the instructions have said so far."""

    def __init__(self, root: Path):
        self.root, self.folder, self.user, self.environment = (
            root,
            "/",
            "root",
            {"PATH": PATH},
        )

    def command(self, words: list[str]) -> list[str]:
        """The command that runs these words inside, as the user of the last USER."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        inside = f"cd {shlex.quote(self.folder)} && exec env -i {shlex.join([*settings, *words])}"
        return ["chroot", f"--userspec={self.user}", str(self.root), "sh", "-c", inside]

    def do(self, kind: str, rest: str) -> None:
        """One instruction."""
        if kind == "RUN":
            passed = {name: os.environ[name] for name in PASSED if name in os.environ}
            before, self.environment = self.environment, {**passed, **self.environment}
            subprocess.run(self.command(["sh", "-c", rest]), check=True)
            self.environment = before
        elif kind == "COPY":
            *sources, target = rest.split()
            self._copy(sources, target)
        elif kind == "WORKDIR":
            self.folder = rest
            (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif kind == "USER":
            self.user, self.environment["HOME"] = rest, f"/home/{rest}"
        elif kind == "ENV":
            self.environment |= dict(part.split("=", 1) for part in shlex.split(rest))

    def _copy(self, sources: list[str], target: str) -> None:
        place = self.root / self.folder.lstrip("/") / target
        for path in context_files():
            if sources == ["."] or str(path) in sources:
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REPOSITORY / path, place / path)


def make_root(root: Path) -> None:
    """A minimal Debian, unless one is there."""
    if not (root / "usr").is_dir():
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)], check=True)
    for name in ("/etc/resolv.conf", "/etc/hosts", os.environ.get("PIP_CERT")):
        if name and Path(name).is_file():
            shutil.copyfile(name, root / name.lstrip("/"))
    for name in ("proc", "dev"):
        subprocess.run(["mount", "--rbind", f"/{name}", str(root / name)], check=True)


def leave_root(root: Path) -> None:
    """Let go of what is mounted below it."""
    for name in ("proc", "dev", "working/demo"):
        subprocess.run(["umount", "-R", "-l", str(root / name)], stderr=subprocess.DEVNULL)


def serve(box: Box, steps: dict[str, str], run: Path) -> int:
    """ENTRYPOINT with the run mounted read-only; HEALTHCHECK; a prediction. Returns an exit code."""
    volume = box.root / "working/demo"
    volume.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(run), str(volume)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(volume)], check=True)
    start, words = time.monotonic(), json.loads(steps["ENTRYPOINT"]) + json.loads(steps["CMD"])
    check = json.loads(steps["HEALTHCHECK"].split("CMD", 1)[1])
    server = subprocess.Popen(box.command(words))
    try:
        while subprocess.run(box.command(check), stderr=subprocess.DEVNULL).returncode:
            if server.poll() is not None or time.monotonic() - start > 180:
                print(f"error: not healthy after {time.monotonic() - start:.0f} s", file=sys.stderr)
                return 1
            time.sleep(1)
        print(f"healthy after {time.monotonic() - start:.0f} s, as user {box.user}", flush=True)
        return subprocess.run([sys.executable, "-c", ASK]).returncode
    finally:
        server.terminate()
        server.wait(30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, help="folder of the system to make (default: a temporary one)")
    parser.add_argument("--run", type=Path, default=REPOSITORY / "working" / "demo")
    args = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        print("error: chroot needs root, and debootstrap (apt-get install debootstrap)", file=sys.stderr)
        return 1
    root = (args.root or Path(tempfile.mkdtemp(prefix="cxr-container-"))).resolve()
    steps = instructions((REPOSITORY / "Dockerfile").read_text())
    box = Box(root)
    try:
        make_root(root)
        for kind, rest in steps:
            print(f"{kind} {rest}", flush=True)
            box.do(kind, rest)
        code = serve(box, dict(steps), args.run.resolve())
    finally:
        leave_root(root)
        if args.root is None:
            shutil.rmtree(root, ignore_errors=True)
    print(f"not tried: {NOT_TRIED}")
    return code


if __name__ == "__main__":
    sys.exit(main())
