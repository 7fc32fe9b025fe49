"""What features take of memory, against closed forms, brute force, and the operations that TensorFlow runs."""

import random

import numpy as np
import pytest
import tensorflow as tf
from models.test_contract import TINY
from tensorflow import keras

from did_tf import models
from did_tf.analysis import cost, measures
from did_tf.common.errors import ConfigError
from did_tf.inference.memory import most_in_graph
from did_tf.inference.predictor import Predictor
from did_tf.recompute import needs

layers = keras.layers
SIZE = (65, 97)


def small():
    """Image 3; a: conv 4; b: its activation; c: conv 5 of b; d: b and c, 9; main: conv 2 of d. Float32, stride 1."""
    image = keras.Input((None, None, 3), name="image")
    b = layers.ReLU(name="b")(layers.Conv2D(4, 3, padding="same", name="a")(image))
    c = layers.Conv2D(5, 3, padding="same", name="c")(b)
    d = layers.Concatenate(name="d")([b, c])
    return keras.Model(image, {"main": layers.Conv2D(2, 1, name="main")(d)})


def test_a_small_network_by_hand():
    """At once: b, c and d. For the gradient: image, b (which is its own output as well), d, and 2 for the loss."""
    found, place = cost.activations(small(), 10, 20), 4 * 10 * 20
    assert found.outputs == place * (3 + 4 + 4 + 5 + 9 + 2)
    assert found.inference == place * (4 + 5 + 9)
    assert found.training == place * (3 + 4 + 9 + 2)


def test_what_is_kept_where_features_are_computed_again():
    """The image and c; then d, for main; and 2 for the loss. b, of more channels than the image, costs little."""
    place = 4 * 10 * 20
    assert cost.activations(small(), 10, 20).recomputing == place * (3 + 4 + 5 + 9 + 2)


def test_what_dropout_and_pooling_keep():
    """The image, dropout's mask, what goes into pooling and what comes out, and the logits for the loss."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.MaxPooling2D(2, name="pool")(layers.Dropout(0.5, name="drop")(layers.Conv2D(4, 1, name="a")(image)))
    model = keras.Model(image, {"main": layers.AveragePooling2D(2, name="main")(x)})
    assert cost.activations(model, 8, 8).training == 4 * (64 * 3 + 64 * 4 + 64 * 4 + 16 * 4 + 4 * 4)


def test_a_convolution_with_an_activation_keeps_its_output():
    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, {"main": layers.Conv2D(4, 1, activation="relu", name="main")(image)})
    assert cost.activations(model, 8, 8).training == 4 * 64 * (3 + 4 + 4)


def test_vgg_that_is_dilated_alone_takes_33_gb():
    """Section 2 of ladder_densenet.md: all convolutional feature maps of VGG-D at the resolution of Cityscapes."""
    image = x = keras.Input((None, None, 3), name="image")
    for number, (count, channels) in enumerate(((2, 64), (2, 128), (3, 256), (6, 512))):
        for unit in range(count):
            x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{number}.{unit}")(x)
    found = cost.activations(keras.Model(image, {"main": x}), 1024, 2048)
    assert round((found.outputs - 1024 * 2048 * 3 * 4) / 2**30) == 33


def test_of_another_output_that_is_not_wanted_nothing_is_held_in_inference():
    model = small()
    wide = layers.Conv2D(100, 1, name="wide")(model.get_layer("b").output)
    both = keras.Model(model.input, {"main": model.output["main"], "aux": wide})
    alone, beside = cost.activations(model, 8, 8), cost.activations(both, 8, 8)
    assert beside.inference == alone.inference
    assert beside.outputs == alone.outputs + 4 * 64 * 100
    assert beside.training == alone.training + 4 * 64 * 100


def test_half_as_many_bytes_where_layers_compute_in_16_bits():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = models.build("fc_densenet", 5, **TINY["fc_densenet"][0])
    half = cost.activations(model, 32, 32)
    keras.mixed_precision.set_global_policy("float32")
    full = cost.activations(models.build("fc_densenet", 5, **TINY["fc_densenet"][0]), 32, 32)
    assert 0.5 < half.training / full.training < 0.6


def simulated(order, takes, sizes, in_place):
    """Step by step, each time asking of every output whether somebody needs it yet."""
    most, there = 0, set()
    for number, name in enumerate(order):
        needed = {taken for later in order[number + 1 :] for taken in takes[later]}
        same = [x for x in takes[name] if x not in needed and sizes[x] == sizes[name]] if name in in_place else []
        there |= {name}
        most = max(most, sum(sizes[x] for x in there) - (sizes[name] if same else 0))
        there = {x for x in there if x in needed}
    return most


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_at_once_is_what_a_simulation_holds(seed):
    draw = random.Random(seed)
    order = [f"layer{i}" for i in range(12)]
    takes = {name: draw.sample(order[:i], min(i, draw.randint(1, 3))) for i, name in enumerate(order)}
    sizes = {name: draw.choice((1, 2, 3, 10)) for name in order}
    in_place = set(draw.sample(order, 6))
    assert cost.most_of_layers(order, takes, sizes, in_place) == simulated(order, takes, sizes, in_place)


@pytest.mark.parametrize("name", TINY)
def test_all_outputs_are_those_of_keras(name):
    model = models.build(name, 5, **TINY[name][0])
    every = keras.Model(model.input, [layer.output for layer in model.layers])
    made = tf.nest.flatten(every(np.zeros((1, *SIZE, model.input.shape[-1]), np.float32)))
    assert cost.activations(model, *SIZE).outputs == sum(np.asarray(x).nbytes for x in made)


@pytest.mark.parametrize("name", ["did", *(pytest.param(x, marks=pytest.mark.slow) for x in ("fc_densenet", "sunet"))])
def test_inference_holds_what_its_operations_hold(name):
    """Of the networks that have no operation of several steps, where that is the most."""
    model = models.build(name, 5, **TINY[name][0])
    assert cost.activations(model, *SIZE).inference == most_in_graph(*Predictor(model, outputs=["main"]).graph(SIZE))


def passed_back(model):
    """Bytes of all that operations of the gradient take from those of the forward pass."""
    border = []

    @tf.function
    def gradient(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True).values()
            losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x) for x in logits]
            total = tf.add_n([tf.reduce_mean(x) for x in losses])
        border.append(len(tf.compat.v1.get_default_graph().get_operations()))
        return tape.gradient(total, model.trainable_variables)

    shapes = tf.TensorSpec((1, *SIZE, model.input.shape[-1])), tf.TensorSpec((1, *SIZE), tf.int32)
    traced = gradient.get_concrete_function(*shapes)
    number = {operation.name: i for i, operation in enumerate(traced.graph.get_operations())}
    open_, seen, taken = [x.op for x in traced.outputs], set(), {}
    while open_:
        operation = open_.pop()
        if operation.name in seen:
            continue
        seen.add(operation.name)
        for x in operation.inputs:
            open_.append(x.op)
            made_of = {x.op.type, *(y.op.type for y in x.op.inputs)} if x.op.type == "Mul" else {x.op.type}
            # Filters, as they are or times a gain, are no features.
            features = x.shape.rank == 4 and not made_of & {"ReadVariableOp", "Const", "SpaceToBatchND"}
            if features and number[operation.name] >= border[-1] > number[x.op.name] or "SoftmaxCross" in x.op.type:
                taken[x.name] = int(np.prod(x.shape)) * x.dtype.size
    return sum(taken.values())


ALSO_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("duc", "fc_densenet", "fcrn", "sunet")]


@pytest.mark.parametrize("name", ["did", "ladder", *ALSO_SLOW])
def test_training_keeps_what_the_gradient_takes(name):
    """But for copies that TensorFlow makes for dilated convolutions. What is padded alone is counted unpadded here."""
    model = models.build(name, 5, **TINY[name][0])
    assert cost.activations(model, *SIZE).training == pytest.approx(passed_back(model), rel=0.015)


def test_what_nobody_knows_of_a_layer_is_told(monkeypatch):
    monkeypatch.setattr(needs, "_NEEDS", {keras.layers.InputLayer: ()})
    with pytest.raises(ValueError, match="layer 'a' of type Conv2D: say in did_tf.recompute.needs what it needs"):
        cost.activations(small(), 8, 8)


def test_columns_are_of_one_crop_in_megabytes():
    assert cost.columns(small(), (1000, 500)) == {"inference, MB": "36", "training, MB": "36"}


def test_images_that_the_network_does_not_take_are_told():
    model = models.build("did", 2, **TINY["did"][0])
    with pytest.raises(ConfigError, match="image width 16 is too small for the network: it takes 17 or more"):
        cost.activations(model, 17, 16)


def test_output_strides_of_sunet():
    """Section 7.2: 16 in place of 8 takes less memory, and much less work."""
    shape = {"filters": 16, "depth": 2, "widths": (64, 128, 512, 1024)}  # most of the work in blocks 3 and 4
    fine, coarse = (models.build("sunet", 21, output_stride=stride, **shape) for stride in (8, 16))
    assert cost.activations(fine, 512, 512).training > 1.1 * cost.activations(coarse, 512, 512).training
    assert measures.multiply_adds(fine, 512, 512) > 1.3 * measures.multiply_adds(coarse, 512, 512)
