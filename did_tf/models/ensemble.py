"""Several trained networks as one, whose probabilities are the mean of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.readout import CLASSES, Readout
from did_tf.models.layers import Normalize

MAIN = "main"


class MeanOfNetworks(keras.layers.Layer):
    """[N, H, W, C] images -> float32 logits [N, H, W, L], whose probabilities are the mean of theirs.

    Args:
      networks: that are averaged; their output "main" is.
      readout: how their logits are read.
    """

    def __init__(self, networks: Sequence[keras.Model], readout: Readout = CLASSES, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.networks, self.readout = list(networks), readout

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """See `Readout.mean`."""
        return self.readout.mean(
            [tf.cast(network(inputs, training=False)[MAIN], tf.float32) for network in self.networks]
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """That of the images, with a channel for each logit."""
        return (*input_shape[:-1], self.networks[0].output[MAIN].shape[-1])


def ensemble(
    networks: Sequence[keras.Model], mean: Sequence[float], std: Sequence[float], readout: Readout = CLASSES
) -> keras.Model:
    """The mean of trained networks as one for inference, a model as any other: raw pixel values -> {"main": logits}.

    Args:
      networks: of equal bands and classes, which take images that `mean` and `std` have normalised, see
        `after`.
      mean, std: per band, in pixel values.
      readout: how their logits are read.
    """
    minimum = max(layer.minimum for network in networks for layer in network.layers if isinstance(layer, Normalize))
    image = keras.Input(networks[0].input_shape[1:], name="image")
    normal = Normalize(mean, std, minimum, name="normalize")(image)
    logits = MeanOfNetworks(networks, readout, name="head.main.mean")(normal)
    return keras.Model(image, {MAIN: logits}, name=f"{len(networks)}_{networks[0].name}")


def after(
    mean: Sequence[float], std: Sequence[float], own_mean: Sequence[float], own_std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) by which images that `mean` and `std` have normalised are as if by `own_mean` and `own_std` alone."""
    shifted = tuple((own - middle) / scale for own, middle, scale in zip(own_mean, mean, std))
    return shifted, tuple(own / scale for own, scale in zip(own_std, std))
