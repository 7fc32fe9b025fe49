"""Small networks for exports: their probabilities are neither 0 nor 1, so that a difference shows."""

import numpy as np
from small import images, small

from data_pipelines import DatasetSpec
from did_tf.inference.contract import Network
from did_tf.inference.gate import Gate
from did_tf.models import task

PALETTE = tuple((40 * i, 0, 255 - 40 * i) for i in range(5))


def spec(**changes):
    """Five classes in images of three bands and 8 bits."""
    usual = {"splits": {}, "mean": (127.5,) * 3, "std": (127.5,) * 3, "label_ids": (3, 7, 8, 9, 20)}
    return DatasetSpec("drawn", tuple("abcde"), PALETTE, **{**usual, **changes})


def network(name="did", placement=None, **changes):
    """`Network` of a small one whose logits have a deviation of 1."""
    model = small(name, placement)
    spread = np.std(model(images((65, 97)), training=False)["main"])
    for layer in model.layers:
        if layer.name.startswith("head.main") and layer.weights and "bn" not in layer.name:
            layer.set_weights([weight / spread for weight in layer.get_weights()])
    pictures = tuple(image.astype(np.uint8) for image in images((40, 56), 4))
    return Network(model, spec(task=task(model), **changes), {"weights": {"digest": "d"}}, pictures)


def gate(network, score=None, size=(72, 101)):
    """`Gate` of a network, on two images of noise."""
    dtype = network.spec.dtype
    return Gate(network, [image.astype(dtype) for image in images(size)], score)


def shaken(network):
    """The same with other weights."""
    rng, weights = np.random.default_rng(1), network.model.get_weights()
    other = small(network.model.name)
    other.set_weights([weight * rng.normal(1, 0.05, weight.shape) for weight in weights])
    return network.of(other)
