# The web page of a run's models (python -m cxr serve), on the CPU, as a user without rights.
#
#   docker build -t cxr .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/working/demo:/working/demo:ro" cxr
#
# PyTorch's own index has CPU builds, without which the image is 6 GB larger:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=<that index> -t cxr .
FROM python:3.11-slim-bookworm

ARG PIP_EXTRA_INDEX_URL=""
RUN useradd --create-home --uid 10001 cxr
WORKDIR /app
COPY setup.sh requirements-app.txt requirements.lock ./
RUN mkdir src && PIP_NO_CACHE_DIR=1 PYTHON=python3 VENV=/opt/cxr REQUIREMENTS=requirements-app.txt sh setup.sh
# all of the source: the page offers it, as its licence asks
COPY . .

USER cxr
ENV OMP_NUM_THREADS=2
# a finished run, its folder named as its profile; it is only read
VOLUME /working/demo
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["/opt/cxr/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["/opt/cxr/bin/python", "-m", "cxr", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--run", "/working/demo"]
