"""High-resolution simulation (fcrn_online_bootstrapping.md section 3.2, Fig. 1): a fine network out of a coarse one.

A halving of the resolution keeps one feature of every two by two. Passing all four choices ("phases") through the
network that follows, and putting the four results back in their places, gives what a network without that halving
gives, its later convolutions dilated twice as much. Training takes the four passes one after the other, in `shifted`
contexts; testing takes them at once, with `simulation=True`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.ambient import Ambient
from did_tf.common.errors import ConfigError
from did_tf.models.layers import Shape
from did_tf.models.placement import Step

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""(dy, dx), in the order in which they stand on the batch axis."""

_phase = Ambient()


def shifted(dy: int, dx: int) -> AbstractContextManager[None]:
    """Within it, a model that is called or traced in this thread passes on the phase (dy, dx) alone.

    Raises ConfigError where dy or dx is not 0 or 1.
    """
    if (dy, dx) not in PHASES:
        raise ConfigError(f"a phase is one of {PHASES}, got {(dy, dx)}")
    return _phase.holding((dy, dx))


@keras.utils.register_keras_serializable("did_tf")
class Phases(keras.layers.Layer):
    """Halves the resolution: features [N, h, w, C] -> every second one, [N, ceil(h / 2), ceil(w / 2), C].

    With `simulation` all four phases, stacked on the batch axis: [4N, ceil(h / 2), ceil(w / 2), C]. Where h or w is
    odd, its last row or column is repeated to make the four alike: what follows then sees one row or column more than
    the network being simulated, which shows near that border. For even sizes the simulation is exact.

    In a `shifted` context the phase (dy, dx) alone, whatever `simulation` is: [N, ceil((h - dy) / 2),
    ceil((w - dx) / 2), C]. Nothing is repeated, and the result is exact for odd sizes too.

    Args:
      simulation: whether all four phases are passed on.
    """

    stands = (0, Step(1, 2))

    def __init__(self, simulation: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.simulation = simulation

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The phase that the context says; outside of one all four with `simulation`, (0, 0) without."""
        phase = _phase.value
        if self.simulation and phase is None:
            shape = tf.shape(inputs)
            even = tf.pad(inputs, [[0, 0], [0, shape[1] % 2], [0, shape[2] % 2], [0, 0]], "SYMMETRIC")
            outputs = tf.concat([even[:, dy::2, dx::2] for dy, dx in PHASES], 0)
            return tf.ensure_shape(outputs, self.compute_output_shape(inputs.shape))
        dy, dx = phase or (0, 0)
        return inputs[:, dy::2, dx::2]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Outside of a `shifted` context."""
        batch, height, width, channels = input_shape
        stacked = 4 * batch if self.simulation and batch is not None else batch
        return (stacked, *(None if side is None else (side + 1) // 2 for side in (height, width)), channels)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        return {**super().get_config(), "simulation": self.simulation}


@keras.utils.register_keras_serializable("did_tf")
class Interleave(keras.layers.Layer):
    """The way back from `Phases`: `[x, like]`, x [4N, ceil(h / 2), ceil(w / 2), K], like [N, h, w, C] -> [N, h, w, K].

    `like` is what went into `Phases`. Without simulation and in a `shifted` context, x as it is.
    """

    def __init__(self, simulation: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.simulation = simulation

    @property
    def stands(self) -> tuple[int, Step | None]:
        """Where like does, whose places are filled; without simulation where x does."""
        return int(self.simulation), None

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """x put together, cut to the size of like."""
        x, like = inputs
        if not self.simulation or _phase.value is not None:
            return x
        half, full = tf.shape(x), tf.shape(like)
        apart = tf.reshape(x, [2, 2, full[0], half[1], half[2], x.shape[-1]])
        whole = tf.reshape(tf.transpose(apart, [2, 3, 0, 4, 1, 5]), [full[0], 2 * half[1], 2 * half[2], x.shape[-1]])
        return tf.ensure_shape(whole[:, : full[1], : full[2]], (*like.shape[:3], x.shape[-1]))

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Of the shapes of x and like, outside of a `shifted` context."""
        x, like = input_shape
        return (*like[:3], x[3]) if self.simulation else tuple(x)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        return {**super().get_config(), "simulation": self.simulation}
