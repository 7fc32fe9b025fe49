"""Speed and memory of did_tf on this machine: `make bench`, or `make bench ARGS="peers input"` for other parts.

What is compared is measured in turns within one run, each in a process of its own: seconds are of a machine, its ratios
are what counts. Times are medians; the spread is half the distance between the quartiles; peaks are of the process. All
of it is written as JSON into runs/bench, for `make bench-compare`.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import importlib.metadata
import itertools
import sys

import numpy as np
import tensorflow as tf

from benchmarks import predicting, report
from benchmarks.arguments import parser_of, without_gpus
from benchmarks.health import health
from benchmarks.input import input_speed
from benchmarks.peers import table as peers
from benchmarks.scaling import scaling
from benchmarks.serving import serving
from benchmarks.step import every_precision, filters, step
from benchmarks.systems import memory, systems
from did_tf.runs.manifest import git_commit

PARTS = {
    "systems": systems,
    "memory": memory,
    "scaling": scaling,
    "step": step,
    "precisions": every_precision,
    "filters": filters,
    "peers-training": peers.training,
    "peers-others": peers.others,
    "peers-inference": peers.inference,
    "input": lambda precisions, seconds: input_speed(),
    "health": lambda precisions, seconds: health(),
    "predict": lambda precisions, seconds: predicting.predict(),
    "serve": lambda precisions, seconds: _serve(seconds),
}
"""{name: function of the precisions and the seconds for each comparison, which gives entries or prints by itself}."""
SEVERAL = {"peers": ("peers-training", "peers-others", "peers-inference")}


def main():
    given = _arguments()
    parts = [name for chosen in given.parts or ["systems"] for name in SEVERAL.get(chosen, (chosen,))]
    machine = report.machine(git_commit(), versions())
    print(report.header(machine))
    if not machine["bfloat16"]:
        print("bfloat16 is not measured: this processor would emulate it")
    precisions = ("float32", "bfloat16") if machine["bfloat16"] else ("float32",)
    entries = []
    try:
        for part in parts:
            entries += _shown(PARTS[part](precisions, given.seconds) or [])
    finally:  # what was measured before a part failed or was stopped
        if entries:
            print(f"\nwritten: {report.write('runs/bench', parts, machine, entries)}")
    raise SystemExit(any("error" in entry for entry in entries))


def _shown(entries):
    """The entries, which are printed."""
    for group, of_group in itertools.groupby(entries, lambda entry: entry["group"]):
        print(f"\n{group}")
        print("\n".join(report.rows([*of_group])), flush=True)
    return entries


def _arguments():
    parser = parser_of(__name__)
    known = [*PARTS, *SEVERAL]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}; default: systems")
    parser.add_argument("--seconds", type=float, help="to measure each comparison for, beside what it takes to begin")
    given = parser.parse_args()
    if unknown := [name for name in given.parts if name not in known]:
        print(f"error: unknown part {unknown[0]!r}; known: {', '.join(known)}", file=sys.stderr)
        raise SystemExit(2)
    return given


def _serve(seconds):
    if serving(*[seconds] if seconds else []):
        raise SystemExit(1)


def versions():
    return {"TensorFlow": tf.__version__, "Keras": importlib.metadata.version("keras"), "NumPy": np.__version__}


if __name__ == "__main__":
    without_gpus()
    main()
