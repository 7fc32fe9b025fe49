"""The command line: `did_tf COMMAND ARGUMENTS`, or `python -m did_tf COMMAND ARGUMENTS`."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import ModuleType
from typing import NoReturn

from did_tf import __version__
from did_tf.common import processor
from did_tf.common.errors import nearest
from did_tf.common.terminal import tame_output

COMMANDS = {
    "demo": ("did_tf.programs.demo", "the whole story in minutes on drawn scenes: train, evaluate, predict, export"),
    "doctor": ("did_tf.programs.doctor", "is all there that did_tf needs? Software, devices, memory, disk, data"),
    "plan": ("did_tf.programs.plan", "for your data, this machine and your time: an experiment, with its reasons"),
    "train": ("did_tf.programs.train", "train an experiment; run again, it goes on where it stopped"),
    "cross-validate": (
        "did_tf.programs.cross_validate",
        "train and score the folds of little data, then one network of all",
    ),
    "evaluate": ("did_tf.programs.evaluate", "score a run on a split: report and pictures"),
    "predict": ("did_tf.programs.predict", "segment an image or a folder of images"),
    "video": ("did_tf.programs.video", "segment a video or a folder of frames into a video"),
    "export": ("did_tf.programs.export_model", "write a run as a SavedModel, checked before it is called written"),
    "serve": ("did_tf.programs.serve", "label images that come by HTTP, with a page to try it on"),
    "submit": ("did_tf.programs.submit", "label a split as its benchmark's server takes it, checked and packed"),
    "compare": ("did_tf.programs.compare", "compare runs: gains per class, and pictures of where they differ"),
    "search": ("did_tf.programs.search", "find the best of chosen settings within a time"),
    "search-crf": ("did_tf.programs.search_crf", "find the parameters of the CRF on a validation split"),
    "data": ("data_pipelines.programs.fetch", "fetch a data set, or say where to get it"),
    "describe-data": ("data_pipelines.programs.describe", "draft the dataset.yaml of your own images and labels"),
    "check-data": ("data_pipelines.programs.audit", "audit a data set: damage, unknown ids, duplicates, class shares"),
    "show-data": ("did_tf.programs.show_data", "pictures of what training sees: crops, labels, augmentation"),
    "prepare": ("did_tf.programs.prepare", "write the data of an experiment (or --dataset=NAME) as TFRecords"),
    "table": (
        "did_tf.programs.networks.table",
        "every row of the papers' tables: cost, field, best run beside the paper's",
    ),
    "cost": ("did_tf.programs.networks.cost", "what a network costs: counted, and measured on the device at hand"),
    "draw": (
        "did_tf.programs.networks.draw",
        "pictures of a network: its blocks, what each layer sees, activation maps",
    ),
    "receptive-field": (
        "did_tf.programs.networks.receptive_field",
        "what an output sees: theory, gradient, gridding, picture",
    ),
}
"""{command: (module that is run, what it does)}."""

_OF_A_DATASET = {"prepare": "data_pipelines.programs.prepare"}
"""What runs in its place where --dataset is given and no experiment."""
_MENDS = {
    "libGL.so": "apt-get install libgl1 (dnf: mesa-libGL), or opencv-python-headless in place of opencv-python",
    "libgthread-2.0.so": "apt-get install libglib2.0-0 (dnf: glib2), or opencv-python-headless instead",
    "libexpat.so": "apt-get install libexpat1 (dnf: expat)",
    "cannot open shared object file": "install the system's package that has this library",
    "DLL load failed": "most often the Microsoft Visual C++ Redistributable is missing",
}
"""{what OpenCV, rasterio or others don't find on a slim system: what mends it}; the first that fits."""
_HELP = ("--help", "-h", "help")


def main() -> None:
    """Runs the command that `sys.argv` names; without one, or for --help, tells which there are.

    Exit status: 2 for a command that there is not, or a library that the system lacks; 1 where the
    command's modules can't be imported for another reason; else the command's own.
    """
    tame_output()
    name, *arguments = sys.argv[1:] or ["--help"]
    if name == "help" and arguments:
        name, arguments = arguments[0], ["--help"]
    if name == "table" or {name, *arguments} & {*_HELP, "--version"}:
        _stop_with_reader()
    if name in _HELP:
        print(_help())
    elif name == "--version":
        print(f"did_tf {__version__}")
    else:
        _check(name)
        _run(name, arguments)


def _stop_with_reader() -> None:
    """Where text is all that is wanted, `did_tf --help | head -1` ends without a word, as other programs do."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _check(name: str) -> None:
    if name.startswith("-"):
        _fail(f"{name!r} comes before the command: did_tf COMMAND {name}; did_tf --help lists the commands", 2)
    if name not in COMMANDS:
        _fail(f"unknown command {name!r}{nearest(name, COMMANDS)}; did_tf --help lists them", 2)


def _run(name: str, arguments: list[str]) -> None:
    """Runs a command, which finds its name and `arguments` in `sys.argv`. Others' modules are not imported."""
    given = {argument.split("=")[0] for argument in arguments}
    sys.argv = [f"did_tf {name}", *map(_from_home, arguments)]
    if name in ("train", "cross-validate"):
        processor.ask_for_onednn()
    try:
        _imported(_module(name, given), debug="--debug" in given).launch()
    except KeyboardInterrupt:  # programs catch their own: this one came while TensorFlow was imported
        raise SystemExit(128 + signal.SIGINT) from None


def _from_home(argument: str) -> str:
    """--flag=~/DIR with the user's folder in place of ~, which shells put in only where a word begins with it."""
    flag, _, text = argument.partition("=")
    is_path = flag.startswith("--") and (text == "~" or text.startswith("~/"))
    return f"{flag}={os.path.expanduser(text)}" if is_path else argument


def _module(name: str, given: set[str]) -> str:
    """Name of the module that a command with the flags `given` runs."""
    if name not in _OF_A_DATASET or "--dataset" not in given:
        return COMMANDS[name][0]
    if "--experiment" in given:
        _fail(f"did_tf {name} takes --experiment or --dataset, not both", 2)
    _imported("did_tf.programs.quiet", debug="--debug" in given)
    return _OF_A_DATASET[name]


def _imported(module: str, debug: bool) -> ModuleType:
    """A program's module. What the system lacks, such as OpenCV's libGL, is told in one line."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if debug:
            raise
        mend = next((f"; {mend}" for library, mend in _MENDS.items() if library in str(error)), "")
        _fail(f"cannot import {module}: {' '.join(str(error).split())}{mend} (--debug shows where)", 2 if mend else 1)


def _fail(message: str, status: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(status)


def _help() -> str:
    lines = [f"  {name:16} {what}" for name, (_, what) in COMMANDS.items()]
    title = "Training semantic segmentation from scratch: did_tf COMMAND [ARGUMENTS]"
    return "\n".join([title, "", *lines, "", "did_tf COMMAND --help lists a command's arguments and settings."])


if __name__ == "__main__":
    main()
