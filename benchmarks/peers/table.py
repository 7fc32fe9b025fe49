"""The paper's DID (11.65M), done by did_tf and by others: `make bench ARGS=peers`.

Training on 4 crops of 321x321, inference of one; all of a precision in turns, the ratio to PyTorch without compiling.
That it is the same network is checked first: parameters, logits, loss and gradient with the weights carried over.
"""

import functools
import json
import subprocess
import sys

from benchmarks import turns
from benchmarks.peers.environments import FOLDER, python_of
from benchmarks.turns import Case
from data_pipelines.memory import cores

SIDE, CROPS = 321, 4
REFERENCE = FOLDER / "did"
LIMITS = {
    "float64": {"logits": 1e-10, "loss": 1e-10, "gradient": 1e-10, "parameters": 0},
    "float32": {"logits": 1e-4, "loss": 1e-5, "gradient": 3e-2, "parameters": 0},
}
"""The largest differences that count as rounding. In float32 it turns single features at the ReLUs' corner from on to
off, and each changes the gradient by a thousandth: it is in float64 that the gradients show to be the same.
"""
CORES = cores()
OPTIONS = {
    **({f"did_tf, train.parts={CORES}": {"train.parts": CORES}} if CORES > 1 and CROPS % CORES == 0 else {}),
    "did_tf, train.accumulate=2": {"train.accumulate": 2},
    "did_tf, train.recompute": {"train.recompute": True},
    "did_tf, train.recompute, accumulate=2": {"train.recompute": True, "train.accumulate": 2},
}
"""Rows of did_tf's training with settings that differ: {name: settings}."""
ENGINES = {"did_tf, the model itself": {}, "did_tf, frozen": {"engine": "tensorflow"}}
"""Rows of did_tf's inference: {name: what differs in what `ours.prepare` is told}."""


@functools.cache
def check():
    """Makes what is missing, and prints once how far PyTorch's network is from did_tf's. Raises where it is another."""
    subprocess.run([sys.executable, "-m", "benchmarks.peers.reference", str(REFERENCE)], check=True)
    command = [python_of("torch"), "-m", "benchmarks.peers.same", str(REFERENCE), str(SIDE)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.strip().splitlines()[0])
    print(f"the same network: {', '.join(f'{what} {value:.2g} apart' for what, value in found.items())}", flush=True)
    if others := [name for name, value in found.items() if not value <= _limit(name)]:
        raise RuntimeError(f"PyTorch's network is not did_tf's: {', '.join(others)} differ")


def _limit(name):
    """Of a difference, by its name in what `same.py` prints."""
    precision, what = name.split(": ")
    return LIMITS[precision][what.split()[0]]


def training(precisions, seconds):
    """Entries of the report: PyTorch without compiling, and did_tf with several settings."""
    return _measured("DID, training", _training, precisions, seconds or 120)


def others(precisions, seconds):
    """Likewise PyTorch without and with compiling, and Keras' own layers."""
    return _measured("DID, training by others", _others, precisions, seconds or 90)


def inference(precisions, seconds):
    """Likewise all, labelling."""
    return _measured("DID, inference", _inference, precisions, seconds or 60)


def _measured(group, cases, precisions, seconds):
    check()
    return [
        entry
        for precision in precisions
        for entry in turns.measure(f"{group}, {precision}", [*cases(precision)], seconds, least=3)
    ]


def _training(precision):
    yield next(_pytorch(_step(precision), CROPS))
    for name, settings in {"did_tf": {}, **OPTIONS}.items():
        yield Case(name, _update(precision, settings), images=CROPS)


def _others(precision):
    yield from _pytorch(_step(precision), CROPS)
    yield Case("Keras' own layers", {**_update(precision, {}), "layers": "keras"}, images=CROPS)


def _step(precision):
    return {"kind": "training", "batch": CROPS, "side": SIDE, "precision": precision}


def _update(precision, settings):
    own = {"data.crop": (SIDE, SIDE), "train.batch_size": CROPS, "train.precision": precision, **settings}
    return {"kind": "training", "experiment": "did_camvid", "settings": own}


def _inference(precision):
    told = {"kind": "inference", "side": SIDE, "precision": precision}
    yield from _pytorch(told)
    others = {"python": python_of("runtimes"), "module": "benchmarks.peers.runtimes"}
    yield Case("OpenVINO", {**told, "runtime": "openvino", "folder": str(REFERENCE)}, **others)
    if precision == "float32":  # on CPUs it has no other
        yield Case("ONNX Runtime", {**told, "runtime": "onnxruntime", "folder": str(REFERENCE)}, **others)
    told["experiment"] = "did_camvid"
    yield Case("Keras' own layers", {**told, "layers": "keras"})
    for name, options in ENGINES.items():
        yield Case(name, {**told, **options})


def _pytorch(told, images=1):
    for name, compiled in (("PyTorch, eager", False), ("PyTorch, compiled", True)):
        told = {**told, "compiled": compiled, "reference": str(REFERENCE / "network.npz")}
        yield Case(name, told, "benchmarks.peers.pytorch", python_of("torch"), images=images)
