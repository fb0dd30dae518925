"""The command line: `python -m cxr COMMAND`. Each command lives in the module that does the work."""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from cxr.faults import DataFault
from cxr.full_disk import full_disk, is_full

COMMANDS = {
    "phantom": ("cxr.phantom.datasets", "make a synthetic data set in Kaggle's layout"),
    "convert": ("cxr.images.convert", "turn a folder of DICOM files into PNGs, tables and a training cache"),
    "collect": ("cxr.data.collections.command", "assemble a data set from public collections, by the papers' rules"),
    "coco": ("cxr.data.coco", "write COCO annotations"),
    "folds": ("cxr.data.folds", "split patients into folds"),
    "baseline": ("cxr.baseline", "write the trivial submission that every model must beat"),
    "train": ("cxr.train", "train one model of a run, in several processes or some folds alone"),
    "submit": ("cxr.submit", "predict a test set and write the submission"),
    "predict": ("cxr.app.predict", "ask a run's models about DICOM, PNG or JPEG files"),
    "serve": ("cxr.app.serve", "serve a page and a JSON interface of a run's models"),
    "score": ("cxr.evaluation.score", "score a submission against a solution"),
    "compare": ("cxr.report.compare", "show what differs between two runs, and what that did to the scores"),
    "validate": ("cxr.submission_format", "list every fault of a submission"),
    "footprint": ("cxr.footprint.command", "show what a run will take of disk, memory and a GPU"),
    "kaggle": ("cxr.kaggle.bundle", "build what Kaggle needs: code, wheels, weights, notebooks"),
    "rehearse": ("cxr.kaggle.rehearsal.run", "run the built Kaggle kernel here as Kaggle would"),
    "bench": ("cxr.bench.run", "time what is claimed to be fast beside the usual way"),
    "ablations": ("cxr.ablations.command", "train with other choices and show what each is worth"),
    "grid": ("cxr.ablations.grid", "train every combination of a small grid and compare them out of fold"),
    "tensorboard": ("cxr.report.tensorboard", "show the curves of every training while they grow"),
    "lungs": ("cxr.ablations.lungs", "compare lung segmenters on folders of masks"),
    "run": ("cxr.run_notebook", "run one numbered notebook as a stage"),
    "stamp": ("cxr.stamps", "find out which stages are out of date"),
    "summary": ("cxr.summary", "show where the last run's submission and scores lie"),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 the answer is no or the data is at fault, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m cxr", description="Chest X-ray competition pipeline.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if arguments and arguments[0] == name:  # import only what runs: `make` starts this program often
            importlib.import_module(module).add_arguments(command)
    args = parser.parse_args(arguments)
    try:
        return importlib.import_module(COMMANDS[args.command][0]).main(args)
    except DataFault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    except OSError as error:
        if not is_full(error):
            raise
        named = [Path(value) for value in (*vars(args).values(), error.filename) if isinstance(value, (str, Path))]
        print(f"error: {full_disk([Path.cwd(), Path(tempfile.gettempdir()), *named])}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what is done stays done", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
