#!/bin/sh
# Make the environment: PYTHON makes VENV, then REQUIREMENTS (requirements.txt), each version held by requirements.lock.
# uv where it is installed (25-40 s), else pip (90 s and more).
set -eu
requirements="-r ${REQUIREMENTS:-requirements.txt} -c requirements.lock"
headless=$(grep '^opencv-python-headless==' requirements.lock)

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || {
    echo "error: '$PYTHON' is $("$PYTHON" --version 2>&1 || true); Python 3.11 or 3.12 is needed. Name one: make setup PYTHON=python3.11" >&2
    exit 1
}
if command -v uv >/dev/null 2>&1; then
    [ -x "$VENV/bin/python" ] || uv venv --quiet --python "$PYTHON" "$VENV"
    install() { uv pip install --quiet --python "$VENV/bin/python" "$@"; }
    again=--reinstall
elif [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV" 2>/dev/null; then
    install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
    again=--force-reinstall
else
    # Debian splits venv's pip into a package of its own; the pip of the system can fill the folder instead
    rm -rf "$VENV"
    "$PYTHON" -m venv --without-pip "$VENV"
    "$PYTHON" -m pip --version >/dev/null 2>&1 || {
        rm -rf "$VENV"
        echo "error: neither uv, venv nor pip is there. Install one: apt-get install python3-venv" >&2
        exit 1
    }
    install() { "$PYTHON" -m pip --python "$VENV/bin/python" install --quiet --disable-pip-version-check "$@"; }
    again=--force-reinstall
fi
echo "installing into $VENV (8 GB with torch's CUDA libraries, one to five minutes) ..."
# shellcheck disable=SC2086
install $requirements
# opencv-python (wanted by ultralytics) and -headless (by albumentations) own the same files, and the one written last
# stands: the headless one must, since the other needs libGL, which a bare machine lacks
install $again --no-deps "$headless"
# the package runs from the checkout, in notebooks too
"$VENV/bin/python" -c 'import pathlib, sys, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "cxr.pth").write_text(sys.argv[1] + "\n")' "$PWD/src"
"$VENV/bin/python" -c 'import cv2, torch, torchvision; print(f"installed: torch {torch.__version__}, opencv {cv2.__version__}")'
