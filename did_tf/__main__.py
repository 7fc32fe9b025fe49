"""The command line: `did_tf COMMAND ARGUMENTS`, or `python -m did_tf COMMAND ARGUMENTS`."""

from __future__ import annotations

import importlib
import sys

from did_tf import __version__
from did_tf.common.errors import nearest

COMMANDS = {
    "demo": ("did_tf.programs.demo", "the whole story in minutes on drawn scenes: train, evaluate, predict, export"),
    "train": ("did_tf.programs.train", "train an experiment; run again, it goes on where it stopped"),
    "evaluate": ("did_tf.programs.evaluate", "score a run on a split: report and pictures"),
    "predict": ("did_tf.programs.predict", "segment an image or a folder of images"),
    "export": ("did_tf.programs.export_model", "write a run as a SavedModel, checked before it is called written"),
    "submit": ("did_tf.programs.submit", "label a split as its benchmark's server takes it, checked and packed"),
    "data": ("data_pipelines.programs.fetch", "fetch a data set, or say where to get it"),
    "describe-data": ("data_pipelines.programs.describe", "draft the dataset.yaml of your own images and labels"),
    "check-data": ("data_pipelines.programs.audit", "audit a data set: damage, unknown ids, duplicates, class shares"),
    "show-data": ("did_tf.programs.show_data", "pictures of what training sees: crops, labels, augmentation"),
    "prepare": ("did_tf.programs.prepare", "write the data of an experiment (or --dataset=NAME) as TFRecords"),
    "table": ("did_tf.programs.table", "every row of the papers' tables: cost, field, best run beside the paper's"),
    "receptive-field": (
        "did_tf.programs.receptive_field",
        "what an output sees: theory, gradient, gridding, picture",
    ),
}
"""{command: (module that is run, what it does)}."""

_OF_A_DATASET = {"prepare": "data_pipelines.programs.prepare"}
"""What runs in its place where --dataset is given and no experiment."""


def main() -> None:
    """Runs the command that `sys.argv` names; without one, or for --help, tells which there are."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        print(_help())
    elif name == "--version":
        print(f"did_tf {__version__}")
    elif name in COMMANDS:
        _run(name, arguments)
    else:
        print(f"error: unknown command {name!r}{nearest(name, COMMANDS)}; did_tf --help lists them", file=sys.stderr)
        raise SystemExit(2)


def _run(name: str, arguments: list[str]) -> None:
    """Runs a command, which finds its name and `arguments` in `sys.argv`. Others' modules are not imported."""
    module, _ = COMMANDS[name]
    if name in _OF_A_DATASET and any(argument.split("=")[0] == "--dataset" for argument in arguments):
        module = _OF_A_DATASET[name]
        importlib.import_module("did_tf.programs.quiet")
    sys.argv = [f"did_tf {name}", *arguments]
    importlib.import_module(module).launch()


def _help() -> str:
    lines = [f"  {name:16} {what}" for name, (_, what) in COMMANDS.items()]
    title = "Training semantic segmentation from scratch: did_tf COMMAND [ARGUMENTS]"
    return "\n".join([title, "", *lines, "", "did_tf COMMAND --help lists a command's arguments and settings."])


if __name__ == "__main__":
    main()
