"""What computes a trained network: TensorFlow or OpenVINO, in which precision, and how many images or tiles at once."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import tensorflow as tf
from tensorflow import keras

from data_pipelines.memory import cores, free_memory
from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.inference import open_vino
from did_tf.inference.frozen import Forward, freeze
from did_tf.inference.memory import ROUGH
from did_tf.inference.open_vino import OpenVino
from did_tf.inference.predictor import Predictor
from did_tf.inference.together import Together
from did_tf.training.distribution import best_precision, emulated

ENGINES = ("tensorflow", "openvino")
PRECISIONS = ("float32", "float32_fast", "bfloat16", "auto")
"""Of a network's features; "auto" is the fastest that the device has."""
USUAL = {"engine": "tensorflow", "precision": "float32"}
"""What figures are made with where nothing is said."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """What computes networks.

    Attributes:
      name: one of `ENGINES`.
      precision: one of `PRECISIONS`, but for "auto".
      streams: how many images or tiles go through a network side by side, each on its share of the cores.
      copies: whether weights are those of the moment, whatever comes after, as in a training.
      together: images of several threads that go through a network as one batch, see `Together`.
    """

    name: str = USUAL["engine"]
    precision: str = USUAL["precision"]
    streams: int = 1
    copies: bool = False
    together: int = 1

    @property
    def precision_of_model(self) -> str:
        """The precision in which the Keras model is to be made: OpenVINO chooses by itself, of a network in float32."""
        return "float32" if self.name == "openvino" else self.precision

    def forward(self, model: keras.Model, outputs: Sequence[str], probabilities: bool = True) -> Forward:
        """The network with the weights that it has at this moment. Without `copies` they must not change later.

        Args:
          model: in `precision_of_model`.
          outputs: that are wanted.
          probabilities: whether values are these, or else logits.

        Raises:
          ConfigError: OpenVINO can't compute it so.
        """
        forward = self._alone(model, outputs, probabilities)
        return Together(forward, self.together) if self.together > 1 else forward

    def _alone(self, model, outputs, probabilities):
        if self.name == "openvino":
            return OpenVino(model, outputs, self.precision, self.streams, probabilities)
        finish = tf.nn.softmax if probabilities else tf.identity
        # Constants are for oneDNN, which TensorFlow leaves off on such processors unless it is asked.
        constant = self.copies or not processor.is_avx2_alone() or processor.onednn_is_asked_for()
        frozen = freeze(model, outputs, finish, constant)
        return lambda images: dict(zip(outputs, frozen(tf.constant(images))))

    def images_at_once(self, predictor: Predictor) -> int:
        """How many images are to be under way: one for each stream, but where these are of the tiles of one."""
        return 1 if predictor.tile else self.streams

    def told(self) -> dict[str, str]:
        """What figures are made with, for a report."""
        version = {"openvino": open_vino.version()} if self.name == "openvino" else {}
        return {"engine": self.name, "precision": self.precision, **version}

    def unusual(self) -> dict[str, str]:
        """Of `told` what is not as usual, for what results depend on: nothing where nothing was chosen."""
        told = self.told()
        return {key: told[key] for key, usual in USUAL.items() if told[key] != usual}


def choose(name: str, precision: str, streams: int = 1) -> Engine:
    """The `Engine` of a name and a precision, "auto" resolved. Before TensorFlow has started.

    A line says what auto came to, and one on stderr that a precision is but emulated here.

    Args:
      name: one of `ENGINES`.
      precision: one of `PRECISIONS`.
      streams: as of `Engine`; cores are shared between them.

    Raises:
      ConfigError: an unknown name or precision, or one that OpenVINO has not; the package is missing.
    """
    for what, value, known in (("engine", name, ENGINES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ConfigError(f"--{what} must be one of {', '.join(known)}, got {value!r}")
    if name == "openvino":
        open_vino.check_package()
        if precision not in (*OpenVino.PRECISIONS, "auto"):
            raise ConfigError(f"--engine=openvino has the precisions {', '.join(OpenVino.PRECISIONS)}, not {precision}")
    if precision == "auto":
        best, why = best_precision("cpu" if name == "openvino" else "auto")
        offered = PRECISIONS[:-1] if name == "tensorflow" else OpenVino.PRECISIONS
        precision = best if best in offered else "float32"
        print(f"--precision=auto: {precision}, for {why}")
    elif warning := emulated(precision, "auto") if name == "tensorflow" else "":
        print(f"note: --precision={precision}: {warning}", file=sys.stderr)
    _share_cores(streams)
    return Engine(name, precision, streams)


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
