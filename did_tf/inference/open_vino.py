"""A trained network in OpenVINO, an extra: `pip install 'did_tf[openvino]'`. On the CPU.

OpenVINO reads the frozen graph as TensorFlow writes it, at any size of the image. It is told the precision: left alone
it takes bfloat16 by itself where the processor has it.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines import extras
from data_pipelines.memory import cores
from did_tf.common.errors import ConfigError
from did_tf.common.readout import CLASSES, HALF, ZERO, Readout
from did_tf.inference.frozen import freeze

TOLERANCES = {"float32": (1e-3, 1e-2), "bfloat16": (0.05, None)}
"""By precision, how much of the labels and how far logits may differ from TensorFlow's in float32 on the first image.
A label differs where TensorFlow finds another more probable by more than `TIE`. Rounding to bfloat16 moves logits as
far as it likes."""
TIE = 1e-4
_LEAST = 1e-6  # probability whose logarithm is still compared
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_CAPABILITY = "BF16"


class OpenVino:
    """A network with the weights that it has at this moment, called with images [N, H, W, C] float32 from any thread.

    The first image that comes is compared with TensorFlow's float32.

    Args:
      model: keras.Model in float32.
      outputs: names of those that are wanted.
      precision: one of `PRECISIONS`.
      streams: how many calls are to go side by side.
      probabilities: whether values are these, or else logits.
      readout: how logits are read.

    Raises:
      ConfigError: the package is missing; a call: the first image differs by more than `TOLERANCES`.
    """

    PRECISIONS = tuple(_HINTS)

    def __init__(
        self,
        model: keras.Model,
        outputs: Sequence[str],
        precision: str,
        streams: int,
        probabilities: bool = True,
        readout: Readout = CLASSES,
    ) -> None:
        self.outputs, self.precision, self.probabilities = tuple(outputs), precision, probabilities
        self._readout = readout
        frozen = freeze(model, outputs, readout.probabilities if probabilities else tf.identity)
        self._compiled = _compiled(frozen.graph.as_graph_def(), precision, streams)
        self._ports = [self._compiled.output(tensor.name) for tensor in frozen.outputs]
        self._idle: deque[Any] = deque()
        self._lock = threading.Lock()
        self._reference: Any = frozen

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """{output: values [N, H, W, classes]}."""
        with self._lock:
            if self._reference is not None:
                self._compare(images[:1])
        return dict(zip(self.outputs, self._run(images)))

    def _run(self, images):
        """Values of the outputs, which are the caller's."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        results = request.infer([images])  # copies: the next call will write over what is the request's
        self._idle.append(request)
        return [results[port] for port in self._ports]

    def _compare(self, image):
        with tf.device("CPU:0"):  # GPUs round what they multiply to 10 bits
            expected = [np.asarray(values) for values in self._reference(tf.constant(image))]
        if not all(np.isfinite(values).all() for values in expected):
            return  # which whoever asked is told
        labels, logits = differences(expected, self._run(image), self.probabilities, self._readout)
        most_labels, most_logits = TOLERANCES[self.precision]
        told = f"labels differ in {100 * labels:.2g} % of the pixels, logits by {logits:.2g} at most"
        if not (labels <= most_labels and (most_logits is None or logits <= most_logits)):
            raise ConfigError(
                f"--engine=openvino computes something else than TensorFlow: on the first image {told}; use "
                "--engine=tensorflow"
            )
        self._reference = None
        print(f"OpenVINO {version()}, {self.precision}: on the first image {told} from TensorFlow's float32")


def differences(
    expected: Sequence[np.ndarray], found: Sequence[np.ndarray], probabilities: bool, readout: Readout = CLASSES
) -> tuple[float, float]:
    """(part of the labels that differ, the largest difference of logits) of pairs of values [..., classes].

    Logits of probabilities are their logarithms. NaN where `found` has it.
    """
    labels, logits, half = 0.0, 0.0, HALF if probabilities else ZERO
    for right, other in zip(expected, found):
        labels = max(labels, float(np.mean(readout.lead(right, readout.classes(other, half), half) > TIE)))
        if probabilities:
            right, other = (np.log(np.maximum(values, _LEAST)) for values in (right, other))
        logits = float(np.maximum(logits, np.abs(right - other).max()))  # np.maximum keeps NaN
    return labels, logits


def check(precision: str) -> None:
    """Raises `ConfigError` where the package is missing, or has no such precision, or has it not on this processor."""
    openvino = check_package()
    if precision not in (*OpenVino.PRECISIONS, "auto"):
        raise ConfigError(f"--engine=openvino has the precisions {', '.join(OpenVino.PRECISIONS)}, not {precision}")
    if precision == "bfloat16" and _CAPABILITY not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ConfigError("--engine=openvino has no bfloat16 on this processor: use --precision=float32")


def check_package() -> Any:
    """The package's module. Raises `ConfigError` where it is missing."""
    try:
        import openvino
    except ImportError as error:
        install = extras.install("openvino")
        raise ConfigError(f"--engine=openvino needs the package openvino ({error}): {install}") from None
    return openvino


def is_installed() -> bool:
    """Whether the package is there, which takes its time to be imported."""
    return importlib.util.find_spec("openvino") is not None


def version() -> str:
    """Of the package."""
    return check_package().__version__.split("-")[0]


def _compiled(graph, precision, streams):
    core = check_package().Core()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.pb")
        file.write_bytes(graph.SerializeToString())
        model = core.read_model(file)
    options = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": cores(),
        "NUM_STREAMS": streams,
    }
    return core.compile_model(model, "CPU", options)
