"""What computes a trained network: TensorFlow or OpenVINO, in which precision, and how many images or tiles at once."""

from __future__ import annotations

import dataclasses
import functools
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines import extras
from data_pipelines.memory import cores, free_memory
from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.common.readout import CLASSES, Readout
from did_tf.inference import open_vino
from did_tf.inference.frozen import Forward, freeze
from did_tf.inference.memory import ROUGH
from did_tf.inference.open_vino import OpenVino
from did_tf.inference.predictor import Predictor
from did_tf.inference.together import Together
from did_tf.training.distribution import best_precision, emulated

ENGINES = ("auto", "tensorflow", "openvino")
"""What computes; "auto" is OpenVINO in float32 where that is installed and worth its start, else TensorFlow."""
PRECISIONS = ("float32", "float32_fast", "bfloat16", "auto")
"""Of a network's features; "auto" is the fastest that the device has."""
USUAL = {"engine": "tensorflow", "precision": "float32"}
"""What results are made with that say nothing of it."""
START, ANEW = 10e6, 0.5e6
"""Pixels of images whose gain pays for OpenVINO's start (3.4 s longer than TensorFlow's), and for each of their sizes,
for which it makes its kernels anew (0.1 to 0.2 s): of DID, which gains 0.3 to 0.5 s with a million pixels on two cores
with AVX2 or AMX. With AVX-512 alone it is 0.1 (docs/how-to/fast-inference.md), and up to 3 s are lost.
A few small images are sooner done by TensorFlow, and so are many small ones of which each has another size."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """What computes networks.

    Attributes:
      name: one of `ENGINES`, but for "auto".
      precision: one of `PRECISIONS`, likewise.
      streams: how many images or tiles go through a network side by side, each on its share of the cores.
      copies: whether weights are those of the moment, whatever comes after, as in a training.
      together: images of several threads that go through a network as one batch, see `Together`.
      auto: whether nobody asked for it by its name: TensorFlow takes over where OpenVINO fails.
    """

    name: str = USUAL["engine"]
    precision: str = USUAL["precision"]
    streams: int = 1
    copies: bool = False
    together: int = 1
    auto: bool = False
    _used: set[str] = dataclasses.field(default_factory=set, init=False, repr=False, compare=False)

    @property
    def precision_of_model(self) -> str:
        """The precision in which the Keras model is to be made: OpenVINO chooses by itself, of a network in float32."""
        return "float32" if self.name == "openvino" else self.precision

    def forward(
        self, model: keras.Model, outputs: Sequence[str], probabilities: bool = True, readout: Readout = CLASSES
    ) -> Forward:
        """The network with the weights that it has at this moment. Without `copies` they must not change later.

        Args:
          model: in `precision_of_model`.
          outputs: that are wanted.
          probabilities: whether values are these, or else logits.
          readout: how logits become probabilities.

        Raises:
          ConfigError: OpenVINO can't compute it so, and was asked for.
        """
        forward = self._alone(model, outputs, probabilities, readout)
        return Together(forward, self.together) if self.together > 1 else forward

    def _alone(self, model, outputs, probabilities, readout):
        of_tensorflow = functools.partial(self._tensorflow, model, outputs, probabilities, readout)
        if self.name != "openvino":
            return of_tensorflow()
        of_openvino = functools.partial(OpenVino, model, outputs, self.precision, self.streams, probabilities, readout)
        return Either(of_openvino, of_tensorflow, self._used) if self.auto else of_openvino()

    def _tensorflow(self, model, outputs, probabilities, readout):
        finish = readout.probabilities if probabilities else tf.identity
        # oneDNN gains by constants; TensorFlow leaves it off on such processors unless it is asked.
        may_have_onednn = not processor.is_avx2_alone() or processor.onednn_is_asked_for()
        frozen = freeze(model, outputs, finish, constant=self.copies or may_have_onednn)
        return lambda images: dict(zip(outputs, frozen(tf.constant(images))))

    def images_at_once(self, predictor: Predictor) -> int:
        """How many images are to be under way: one for each stream, but where these are of the tiles of one."""
        return 1 if predictor.tile else self.streams

    def told(self) -> dict[str, str]:
        """What figures are made with, for a report; of auto what has computed up to now."""
        names = sorted(self._used) or [self.name]
        version = {"openvino": open_vino.version()} if "openvino" in names else {}
        return {"engine": " and ".join(names), "precision": self.precision, **version}

    def unusual(self) -> dict[str, str]:
        """What results depend on: what was chosen, and is not as usual."""
        chosen = {"engine": USUAL["engine"] if self.auto else self.name, "precision": self.precision}
        return {key: value for key, value in chosen.items() if value != USUAL[key]}


class Either:
    """OpenVINO's `Forward`, and TensorFlow's from the moment on that OpenVINO fails, which a line on stderr says.

    Args:
      of_openvino, of_tensorflow: make them.
      used: is given the names of those that have computed something.
    """

    def __init__(
        self, of_openvino: Callable[[], Forward], of_tensorflow: Callable[[], Forward], used: set[str]
    ) -> None:
        self._of_tensorflow, self._used, self._lock = of_tensorflow, used, threading.Lock()
        self._forward: dict[str, Forward] = {}
        try:
            self._forward["openvino"] = of_openvino()
        except Exception as error:
            self._fall_back(error)

    def __call__(self, images: np.ndarray) -> Mapping[str, Any]:
        """As of `Forward`."""
        if openvino := self._forward.get("openvino"):
            try:
                return self._by("openvino", openvino, images)
            except Exception as error:
                self._fall_back(error)
        return self._by("tensorflow", self._forward["tensorflow"], images)

    def _by(self, name, forward, images):
        found = forward(images)
        self._used.add(name)
        return found

    def _fall_back(self, error):
        with self._lock:
            if "tensorflow" not in self._forward:
                why = " ".join(str(error).split())[:200]
                print(f"note: --engine=auto: tensorflow from here on, for openvino failed: {why}", file=sys.stderr)
                self._forward = {"tensorflow": self._of_tensorflow()}


def choose(name: str, precision: str, streams: int = 1, pixels: float | None = None, sizes: int = 1) -> Engine:
    """The `Engine` of a name and a precision, "auto" resolved. Before TensorFlow has started.

    A line says what auto came to, and one on stderr that a precision is but emulated here.

    Args:
      name: one of `ENGINES`.
      precision: one of `PRECISIONS`.
      streams: as of `Engine`; cores are shared between them.
      pixels: of all images that are to be computed; None: nobody knows, but they are many.
      sizes: how many these have.

    Raises:
      ConfigError: an unknown name or precision, or one that OpenVINO has not; the package is missing.
    """
    for what, value, known in (("engine", name, ENGINES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ConfigError(f"--{what} must be one of {', '.join(known)}, got {value!r}")
    if name == "openvino":
        open_vino.check(precision)
    if precision == "auto":
        best, why = best_precision("cpu" if name == "openvino" else "auto")
        offered = OpenVino.PRECISIONS if name == "openvino" else PRECISIONS[:-1]
        precision = best if best in offered else "float32"
        print(f"--precision=auto: {precision}, for {why}")
    elif warning := emulated(precision, "auto") if name != "openvino" else "":
        print(f"note: --precision={precision}: {warning}", file=sys.stderr)
    _share_cores(streams)
    if name != "auto":
        return Engine(name, precision, streams)
    fastest, why = _fastest(precision, pixels, sizes)
    print(f"--engine=auto: {fastest}, {why}")
    return Engine(fastest, precision, streams, auto=True)


def _fastest(precision, pixels, sizes):
    """(name of the engine, why)."""
    if tf.config.list_physical_devices("GPU"):
        return "tensorflow", "for there is a GPU"
    same = precision == "float32"  # in which alone the figures of both are the same
    gains = pixels is None or pixels >= START + sizes * ANEW
    if not open_vino.is_installed():
        faster = f"; openvino would be faster: {extras.install('openvino')}" if same and gains else ""
        return "tensorflow", f"for no other is installed{faster}"
    if not same:
        return "tensorflow", f"for openvino rounds otherwise in {precision}; --engine=openvino takes it"
    if not gains:
        return "tensorflow", "for openvino takes longer to start than it would gain; --engine=openvino takes it"
    try:
        return "openvino", f"version {open_vino.version()} is installed; --engine=tensorflow takes TensorFlow itself"
    except Exception as error:  # of any kind: nobody asked for it
        return "tensorflow", f"for {error}"


def streams_for(count: int, pixels: int) -> int:
    """How many of `count` images or tiles of so many pixels go side by side: one on each core, where there is room.

    On GPUs it is one at a time.
    """
    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(cores(), count, int(free_memory() / (ROUGH * pixels))))


def _share_cores(streams):
    """Each operation takes its stream's share of the cores, unless TensorFlow has started and can't be told."""
    if streams > 1:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(max(1, cores() // streams))
        except RuntimeError:  # then all share all
            return
