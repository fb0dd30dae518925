"""`python -m cxr serve` (`make app`): the web page and the JSON interface of a run's models, on this machine alone."""

import argparse
import io
import logging
import socket
import time
from pathlib import Path

from cxr.app.limits import Limits
from cxr.faults import DataFault
from cxr.workspace import open_run_folder

HERE = "127.0.0.1"
OPEN = (
    "warning: --host {host} lets every machine that reaches this one send files here; there is no password and no "
    "encryption. Put a proxy with both before it, or leave --host out"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and where to listen."""
    parser.add_argument(
        "--run", type=Path, default=Path("working/demo"), help="folder of a finished run (default %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default %(default)s)")
    parser.add_argument("--host", default=HERE, help="address to listen at (default %(default)s: this machine alone)")


def main(args: argparse.Namespace) -> int:
    """Load the models, ask them once, and serve until interrupted."""
    try:
        import uvicorn  # noqa: F401  asked for here, so that its absence is a line and no traceback

        from cxr.app.server import create_app
    except ImportError as error:
        raise DataFault(
            f"the page needs {error.name}, of the extra `app`: make setup installs it, elsewhere pip install 'cxr[app]'"
        ) from None
    from cxr.app.models import Models

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("cxr.app").setLevel(logging.INFO)
    start, listening = time.perf_counter(), listen(args.host, args.port)
    models = Models(open_run_folder(args.run))
    warm_up(models)
    is_local = args.host in (HERE, "localhost", "::1")
    if not is_local:
        print(OPEN.format(host=args.host), flush=True)
    app = create_app(models, Limits(), **({} if is_local else {"hosts": None}))
    port = listening.getsockname()[1]
    ready = f"{len(models.names)} models of {args.run} in {time.perf_counter() - start:.1f} s"
    print(f"{ready}; open http://{'localhost' if is_local else args.host}:{port} (interrupt to end)", flush=True)
    server_of(app).run(sockets=[listening])
    return 0


def server_of(app):
    """The server of an application. It logs neither who looked at what nor tracebacks, whose words may quote a header;
    what is worth a line the application logs itself."""
    import uvicorn

    quiet = {"access_log": False, "log_level": "critical", "server_header": False}
    return uvicorn.Server(uvicorn.Config(app, **quiet))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, taken before anything is loaded. Raises DataFault."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise DataFault(f"cannot listen at {host} port {port} ({error}); take another one: --port 8001") from None
    return listening


def warm_up(models) -> None:
    """One file through everything, so that the first visitor does not pay for compilers and caches."""
    from cxr.app.answers import ask
    from cxr.app.examples import example
    from cxr.app.uploads import Decoder, Refusal

    with Decoder(models.size, Limits()) as decoder:
        upload = decoder.decode("phantom.dcm", io.BytesIO(example("typical")))
        if isinstance(upload, Refusal):
            raise DataFault(f"a picture of our own cannot be decoded here: {upload.reason}")
        ask(models, [upload], [])
