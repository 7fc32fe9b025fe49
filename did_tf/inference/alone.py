"""Runs an exported network by its runtime alone: `python -I alone.py KIND FOLDER`, a script that needs NumPy beside it.

This project can't be imported there. Images come from standard input and what the network makes of them goes to
standard output, see `send`; what else is printed goes to standard error.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

Run = Callable[[np.ndarray], Mapping[str, Any]]
"""From images [N, H, W, bands] to a map with "classes" and "probabilities"."""
_LENGTH = struct.Struct("<Q")
_PROJECT = ("did_tf", "data_pipelines", "experiments", "keras", "tf_keras")
PLAIN, ENCODED = "plain", "encoded"
"""How images go in: as arrays, or as PNG files."""


def saved_model(folder: str) -> dict[str, Run]:
    """By TensorFlow."""
    import tensorflow as tf

    signatures = tf.saved_model.load(folder).signatures

    def encoded(images):
        files = tf.stack([tf.io.encode_png(image) for image in images])
        return signatures["encoded"](image_bytes=files)

    plain = {PLAIN: lambda images: signatures["serving_default"](image=tf.constant(images))}
    return {**plain, ENCODED: encoded} if "encoded" in signatures else plain


def onnx(folder: str) -> dict[str, Run]:
    """By ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(f"{folder}/network.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return {PLAIN: lambda images: dict(zip(names, session.run(names, {"image": images})))}


def openvino(folder: str) -> dict[str, Run]:
    """By OpenVINO on the CPU, in float32: left alone it takes bfloat16 where the processor has it."""
    import openvino

    compiled = openvino.Core().compile_model(f"{folder}/network.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def plain(images):
        results = compiled(images)
        return {name: results[name] for name in ("classes", "probabilities")}

    return {PLAIN: plain}


def litert(folder: str) -> dict[str, Run]:
    """By LiteRT on the CPU."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(f"{folder}/network.tflite", num_threads=_cores())
    run = interpreter.get_signature_runner("serving_default")
    dtype = run.get_input_details()["image"]["dtype"]
    return {PLAIN: lambda images: run(image=images.astype(dtype))}


def _cores():
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


KINDS = {"saved_model": saved_model, "onnx": onnx, "openvino": openvino, "litert": litert}


def send(stream: IO[bytes], **arrays: Any) -> None:
    """Writes named arrays to a stream: the length of their npz archive in 8 bytes, and that."""
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    stream.write(_LENGTH.pack(archive.tell()) + archive.getvalue())
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, np.ndarray]:
    """What `send` has written. Raises EOFError where there is no more."""
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    with np.load(io.BytesIO(_read(stream, length)), allow_pickle=False) as arrays:
        return dict(arrays)


def _read(stream, count):
    content = stream.read(count)
    if len(content) < count:
        raise EOFError
    return content


def peak_memory() -> float:
    """Bytes that this process has held at most; NaN where the system doesn't tell."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return float("nan")
    return 1024.0 * int(line.split()[1])


def main(kind: str, folder: str) -> None:
    """Answers until there is nothing more to answer: first which ways there are, then a batch at a time."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    hidden = _PROJECT if kind == "saved_model" else (*_PROJECT, "tensorflow")
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    ways = KINDS[kind](folder)
    send(answers, ways=np.array(list(ways)))
    while True:
        try:
            asked = receive(sys.stdin.buffer)
        except EOFError:
            return
        start = time.perf_counter()
        outputs = {name: np.asarray(values) for name, values in ways[str(asked["way"])](asked["images"]).items()}
        send(answers, seconds=time.perf_counter() - start, memory=peak_memory(), **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
