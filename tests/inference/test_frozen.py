import numpy as np
import pytest
import tensorflow as tf
from small import PLACED, SIZES, images, small, with_random_weights
from tensorflow import keras

from did_tf.inference.frozen import folded, freeze, norms_after_convolutions
from did_tf.models.layers import Dropout, FusedBatchNormalization, Normalize

layers = keras.layers


def same(model, size, tolerance=2e-5):
    """Logits of the frozen graph, of constants and of the model's weights, against a call of the model.

    Relative to the largest.
    """
    outputs, batch = list(model.output), images(size)
    expected = {name: value.numpy().astype(np.float32) for name, value in model(batch, training=False).items()}
    for constant in (True, False):
        for name, frozen in zip(outputs, freeze(model, outputs, constant=constant)(tf.constant(batch))):
            assert frozen.shape == expected[name].shape and np.ptp(expected[name]) > 0.01
            np.testing.assert_allclose(frozen, expected[name], rtol=0, atol=tolerance * np.abs(expected[name]).max())


def network(make, bands=3):
    """A model of the layers that `make` puts behind the normalised image, with a 1x1 convolution as its output."""
    image = keras.Input((None, None, bands))
    x = make(Normalize((120.0,) * bands, (60.0,) * bands)(image))
    return with_random_weights(keras.Model(image, {"main": layers.Conv2D(2, 1, name="logits")(x)}))


def norm(x, name="norm"):
    return FusedBatchNormalization(epsilon=1e-3, name=name)(x)


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2}])
def test_a_batch_norm_goes_into_the_convolution_before_it(options):
    model = network(lambda x: layers.ReLU()(norm(layers.Conv2D(5, 3, name="conv", **options)(x))))
    assert norms_after_convolutions(model) == {"conv": "norm"}
    same(model, (19, 24))
    kinds = [op.type for op in freeze(model, ["main"]).graph.get_operations()]
    assert "FusedBatchNormV3" not in kinds and "ReadVariableOp" not in kinds


def test_dropout_between_them_does_not_matter():
    model = network(lambda x: norm(Dropout(0.5)(layers.Conv2D(5, 3, name="conv")(x))))
    assert norms_after_convolutions(model) == {"conv": "norm"}
    same(model, (9, 12))


def test_a_batch_norm_stays_where_another_layer_takes_what_it_normalises():
    def make(x):
        x = layers.Conv2D(5, 3, name="conv")(x)
        return layers.Add()([x, norm(x)])

    model = network(make)
    assert not norms_after_convolutions(model)
    same(model, (9, 12))


@pytest.mark.parametrize(
    "before",
    [
        layers.Conv2D(5, 3, activation="relu"),
        layers.DepthwiseConv2D(3),
        layers.Conv2DTranspose(5, 3, strides=2),
        layers.AveragePooling2D(2),
        layers.ReLU(),
    ],
)
def test_a_batch_norm_behind_anything_else_stays(before):
    model = network(lambda x: norm(type(before).from_config(before.get_config())(x)))
    assert not norms_after_convolutions(model)
    same(model, (16, 12))


def test_a_convolution_that_is_an_output_keeps_its_own_values():
    image = keras.Input((None, None, 3))
    side = layers.Conv2D(4, 3, padding="same", name="side")(image)
    model = with_random_weights(keras.Model(image, {"main": norm(side), "side": side}))
    assert not norms_after_convolutions(model)
    same(model, (9, 12))


def test_a_batch_norm_is_folded_once_where_weights_are_no_constants():
    model = network(lambda x: norm(layers.Conv2D(5, 3, name="conv")(x)))
    made = freeze(model, ["main"], constant=False)
    assert made.captured_inputs and not any(
        op.type in ("Rsqrt", "FusedBatchNormV3") for op in made.graph.get_operations()
    )


def test_later_weights_do_not_reach_a_frozen_graph():
    model, batch = network(lambda x: norm(layers.Conv2D(5, 3)(x))), images((9, 12))
    frozen, before = freeze(model, ["main"]), model(batch, training=False)["main"].numpy()
    with_random_weights(model, seed=1)
    np.testing.assert_allclose(frozen(tf.constant(batch))[0], before, rtol=0, atol=1e-4)
    assert np.abs(model(batch, training=False)["main"].numpy() - before).max() > 0.1


def test_what_leads_to_other_outputs_alone_is_not_computed():
    image = keras.Input((None, None, 3))
    shared = layers.Conv2D(4, 3, name="shared")(image)
    side = layers.Conv2D(4, 3, name="side")(shared)
    model = with_random_weights(keras.Model(image, {"main": layers.Conv2D(4, 1)(shared), "side": side}))
    for outputs, count in ((["side"], 2), (["main"], 2), (["side", "main"], 3)):
        frozen = freeze(model, outputs)
        assert sum(op.type == "Conv2D" for op in frozen.graph.get_operations()) == count
        for name, values in zip(outputs, frozen(tf.constant(images((9, 12))))):
            np.testing.assert_allclose(values, model(images((9, 12)))[name], rtol=0, atol=1e-3)


def test_in_bfloat16_as_the_model_in_bfloat16():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = network(lambda x: layers.ReLU()(norm(layers.Conv2D(5, 3)(x))))
    same(model, (9, 12), tolerance=0.05)
    assert folded(model, ["main"], tf.constant(images((9, 12))))["main"].dtype == tf.bfloat16


def test_did_is_frozen_as_it_computes():
    model = small("did")
    same(model, (40, 31))
    # The stem's three, and that of the 3x3 convolution in each unit; the others follow concatenations or poolings.
    assert len(norms_after_convolutions(model)) == 3 + 5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "placement"), PLACED)
def test_every_architecture_is_frozen_as_it_computes(name, placement, size):
    same(small(name, placement), size, tolerance=1e-4)
