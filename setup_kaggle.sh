#!/bin/sh
# Make the environment that stands for Kaggle's in `make rehearse`: Python 3.12 with the versions of Kaggle's image, and
# without what that image lacks. VENV_KAGGLE is its folder, PYTHON312 an interpreter to try first. Where no Python 3.12 or
# no package index is there this says so and ends with 0: the rehearsal then runs with the project's own environment.
set -eu
venv=${VENV_KAGGLE:-.venv-kaggle}
requirements="-r requirements-kaggle.txt -c requirements.lock"
headless=$(grep '^opencv-python-headless==' requirements.lock)
made_from=$(cat requirements-kaggle.txt requirements.lock setup_kaggle.sh | cksum)

if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/made-from" 2>/dev/null)" = "$made_from" ]; then
    exit 0
fi

# a name on PATH may be a shim without an interpreter behind it: only one that runs and is 3.12 counts
python=
for candidate in ${PYTHON312:-} python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python3.12 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done

rm -rf "$venv"
if command -v uv >/dev/null 2>&1 && uv venv --quiet --python "${python:-3.12}" "$venv" 2>/dev/null; then
    install() { uv pip install --quiet --python "$venv/bin/python" "$@"; }
    again=--reinstall
elif [ -n "$python" ] && "$python" -m venv "$venv" 2>/dev/null; then
    install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
    again=--force-reinstall
else
    rm -rf "$venv"
    echo "note: no Python 3.12 here (looked for uv, PYTHON312, python3.12, pyenv), so no environment with Kaggle's versions"
    exit 0
fi
echo "installing Kaggle's versions into $venv (8 GB with torch's CUDA libraries, one to five minutes) ..."
# pip: the kernel may install its wheels with it, as on Kaggle
# shellcheck disable=SC2086
if ! install pip $requirements; then
    rm -rf "$venv"
    echo "note: these versions could not be installed (the lines above say why), so no environment with Kaggle's versions"
    exit 0
fi
# both OpenCV wheels own cv2/, and the one without libGL must be written last (see setup.sh)
install $again --no-deps "$headless"
"$venv/bin/python" -c 'import cv2, sys, torch; print(f"installed: Python {sys.version.split()[0]}, torch {torch.__version__}, opencv {cv2.__version__}")'
echo "$made_from" > "$venv/made-from"
