"""Program: did_tf on GPUs, all in one call: `python -m benchmarks.gpu [--seconds=30]`.

The paper's DID, 22 crops of 321x321 for each GPU: an update in every precision, without and with XLA; on one GPU and on
all, with statistics apart and shared; and the labelling of an image of 1025x1025. In turns, each in a process of its
own; peaks are of the first GPU's memory. Prints tables, and writes them as JSON into runs/bench.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import sys

import tensorflow as tf

from benchmarks import report, turns
from benchmarks.arguments import parser_of
from benchmarks.run import versions
from benchmarks.turns import Case
from did_tf.runs.manifest import git_commit
from did_tf.training.distribution import PRECISIONS

CROPS, SIDE = 22, 1025
ENVIRONMENT = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
"""Or the first process would take all of the GPU's memory."""


def main():
    parser = parser_of(__name__)
    parser.add_argument("--seconds", type=float, default=30.0, help="to measure each comparison for (default: 30)")
    seconds = parser.parse_args().seconds
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        print("error: TensorFlow sees no GPU; `make bench` measures CPUs", file=sys.stderr)
        raise SystemExit(2)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    machine = {**report.machine(git_commit(), versions()), "gpus": names}
    print(f"{report.header(machine)}; {', '.join(names)}")
    entries = []
    for group, cases in comparisons(len(gpus)).items():
        entries += turns.measure(group, cases, seconds)
        print("\n".join(["", group, *report.rows(entries[-len(cases) :])]), flush=True)
    print(f"\nwritten: {report.write('runs/bench', ['gpu'], machine, entries)}")
    raise SystemExit(any("error" in entry for entry in entries))


def comparisons(gpus):
    """{group: cases} for a machine of so many GPUs."""
    found = {f"DID, training, {precision}": [*_training(precision)] for precision in PRECISIONS}
    found["DID, inference"] = [
        Case(precision, {**_told("inference"), "side": SIDE, "precision": precision}, environment=ENVIRONMENT)
        for precision in PRECISIONS
    ]
    if gpus > 1:
        found["DID, training, several GPUs"] = [*_several(gpus)]
    return found


def _training(precision):
    for name, compiled in (("plain", False), ("train.jit_compile", True)):
        settings = {"train.precision": precision, "train.devices": "gpu", "train.jit_compile": compiled}
        yield Case(name, _told("training", settings), environment=ENVIRONMENT, images=CROPS)


def _several(gpus):
    for devices, count in (("gpu", 1), ("auto", gpus)):
        for shared in (False, True)[:count]:
            settings = {"train.devices": devices, "train.batch_size": CROPS * count, "train.sync_batch_norm": shared}
            name = f"{count} of them" + (", statistics shared" if shared else "")
            told = _told("training", {"train.precision": "auto", **settings})
            yield Case(name, told, environment=ENVIRONMENT, images=CROPS * count)


def _told(kind, settings=None):
    return {"kind": kind, "experiment": "did_camvid", "settings": settings or {}}


if __name__ == "__main__":
    main()
