"""Networks as one: probabilities are the mean of theirs."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from tensorflow import keras

from did_tf.common.readout import Readout
from did_tf.inference.frozen import freeze
from did_tf.inference.predictor import Predictor
from did_tf.models import ensemble
from did_tf.models.units import Units, image_input, resize_to_image

MEANS, STDS = [(90.0, 100.0, 110.0), (95.0, 120.0, 80.0)], [(40.0, 50.0, 60.0), (70.0, 30.0, 50.0)]


def build(mean, std, seed):
    """A network of two layers at half resolution."""
    keras.utils.set_random_seed(seed)
    make = Units(use_bias=False)
    image, x = image_input("two", (None, None, 3), mean, std, minimum=8)
    x = make.conv_bn_relu(x, 6, 3, "stem", strides=2)
    logits = make.conv(x, 3, 1, "head.main.conv", use_bias=True)
    return keras.Model(image, {"main": resize_to_image(logits, image, "main", "exact")}, name="two")


@pytest.fixture(scope="module")
def networks():
    """(members that take raw pixels, the same as one)."""
    alone = [build(mean, std, seed) for seed, (mean, std) in enumerate(zip(MEANS, STDS))]
    mean, std = (92.0, 108.0, 97.0), (50.0, 42.0, 55.0)
    members = [build(*ensemble.after(mean, std, *own), 9) for own in zip(MEANS, STDS)]
    for member, network in zip(members, alone):
        member.set_weights(network.get_weights())
    return alone, ensemble.ensemble(members, mean, std)


def test_probabilities_are_the_mean_of_the_members(networks):
    alone, together = networks
    image = np.random.default_rng(0).integers(0, 256, (1, 37, 50, 3)).astype(np.float32)
    each = [scipy.special.softmax(network(image, training=False)["main"], -1) for network in alone]
    expected = np.mean(each, axis=0)
    assert np.abs(each[0] - each[1]).max() > 0.01
    logits = together(image, training=False)["main"]
    assert logits.shape == (1, 37, 50, 3)
    np.testing.assert_allclose(scipy.special.softmax(logits, -1), expected, atol=1e-5)
    (frozen,) = freeze(together, ["main"])(tf.constant(image))
    np.testing.assert_allclose(scipy.special.softmax(frozen, -1), expected, atol=1e-5)


def test_of_regions_each_probability_is_the_mean(networks):
    alone, _ = networks
    image = np.random.default_rng(0).integers(0, 256, (1, 33, 20, 3)).astype(np.float32)
    together = ensemble.MeanOfNetworks(alone, Readout(((0, 1, 2), (1, 2), (2,)), (0, 1, 2)))(image)
    each = [scipy.special.expit(network(image, training=False)["main"]) for network in alone]
    np.testing.assert_allclose(scipy.special.expit(together), np.mean(each, axis=0), atol=1e-5)


def test_it_is_predicted_with_as_any_network(networks):
    _, together = networks
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)  # smaller than they take
    found = Predictor(together)(image)["main"]
    assert found.shape == (5, 7, 3)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    assert Predictor(together, tile=32)(np.tile(image, (8, 8, 1)))["main"].shape == (40, 56, 3)
