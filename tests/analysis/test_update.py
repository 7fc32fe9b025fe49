"""What an update holds, against sums by hand and brute force."""

import random

import numpy as np
import pytest
from analysis.test_cost import small
from models.test_contract import TINY
from tensorflow import keras

from did_tf import models
from did_tf.analysis import update
from did_tf.analysis.update import Step
from did_tf.models.layers import Convolution, Dropout

layers = keras.layers
PLACE = 4 * 8 * 8


def test_a_small_network_by_hand():
    """The most: image, b, d, main's gradient and d's, with the gradients of main's filters and offsets."""
    found = update.held(small(), 8, 8, recompute=False)
    assert found.most(1) == PLACE * (3 + 4 + 9 + 2 + 9) + 4 * (9 * 2 + 2)
    assert found.most(3) == 3 * PLACE * 27 + 4 * (9 * 2 + 2)
    assert found.by_layer(1) == {"image": 3 * PLACE, "b": 4 * PLACE, "d": 9 * PLACE, "main": 11 * PLACE}
    assert found.weights[-1] == 4 * sum(np.prod(v.shape) for v in small().trainable_variables)


def test_what_a_loss_takes_is_there_with_all_features():
    """Two arrays like the logits of main, of two classes, in the step of its loss alone."""
    plain, more = (update.held(small(), 8, 8, recompute=False, of_loss=kept) for kept in (0, 2))
    number = next(i for i, step in enumerate(more.steps) if "main/loss" in step.makes)
    assert [*np.nonzero(more.crop - plain.crop)[0]] == [number] and (more.crop - plain.crop)[number] == 2 * 2 * PLACE


def test_features_computed_again_by_hand():
    """image and c are kept; b and d are there again, c then not, with the gradients of main and d."""
    found = update.held(small(), 8, 8, recompute=True)
    assert found.most(1) == PLACE * (3 + 4 + 9 + 2 + 9) + 4 * (9 * 2 + 2)
    assert [step.layer for step in found.steps].count("main") == 4  # forward, loss, and back to d and to the weights


def alone(layer, channels=4):
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(channels, 1, name="a")(image)
    return keras.Model(image, {"main": layers.Conv2D(2, 1, name="main")(layer(x))})


def rooms(network, name):
    found = update.held(network, 8, 8, recompute=False)
    return [(step.room, step.weights_room) for step in found.steps if step.layer == name]


def test_products_work_on_padded_features_and_on_every_tap(monkeypatch):
    monkeypatch.setattr(Convolution, "by_products", lambda self, like: like.shape == (None, 8, 8, 4))
    network = alone(Convolution(5, 3, padding="same", name="x"))
    assert rooms(network, "x") == [(0, 0), (0, 0), (4 * 10 * 10 * (4 + 5), 4 * (9 * 4 * 5 + 5))]


def test_dilated_convolutions_work_on_copies():
    """Padded by 6 on each axis, in parts of 3: 8 places become 15."""
    network = alone(layers.Conv2D(5, 3, padding="same", dilation_rate=3, name="x"))
    made = [step.makes for step in update.held(network, 8, 8, recompute=False).steps if step.layer == "x"]
    assert made[:2] == [{"x/spread": 4 * 15 * 15 * 4}, {"x": 5 * PLACE}]


def test_dropout_and_pooling_keep_masks():
    for layer, size in ((Dropout(0.5, name="x"), 4 * PLACE), (layers.MaxPooling2D(2, name="x"), PLACE // 4)):
        made = [step.makes for step in update.held(alone(layer), 8, 8, recompute=False).steps if step.layer == "x"]
        assert {"x/mask": size}.items() <= {**made[0], **made[1]}.items()


def simulated(steps):
    """Step by step, each time asking of every tensor whether somebody needs it yet."""
    there, found = {}, []
    for number, step in enumerate(steps):
        needed = {name for later in steps[number + 1 :] for name in later.takes}
        for name, size in step.makes.items():
            free = [x for x in sorted(step.takes) if step.in_place and x in there and x not in needed]
            same = [x for x in free if there[x] == size]
            if same:
                there.pop(same[0])
            there[name] = size
        found.append(sum(there.values()))
        there = {name: size for name, size in there.items() if name in needed}
    return found


@pytest.mark.parametrize("seed", range(10))
def test_tensors_are_there_until_the_last_that_takes_them(seed):
    draw = random.Random(seed)
    steps = []
    for i in range(20):
        takes = draw.sample([f"t{j}" for j in range(i)], min(i, draw.randint(1, 3)))
        steps.append(Step("", tuple(takes), {f"t{i}": draw.choice((1, 2, 3, 10))}, in_place=draw.random() < 0.5))
    assert [sum(there.values()) for there in update._run(steps)] == simulated(steps)


@pytest.mark.parametrize("name", TINY)
def test_every_network_is_counted_and_nothing_is_left(name):
    """Computed again, fewer features are held, and the gradients of all weights are made either way."""
    model = models.build(name, 5, **TINY[name][0])
    plain, again = (update.held(model, 65, 97, recompute) for recompute in (False, True))
    size = 4 * sum(np.prod(v.shape) for v in model.trainable_variables)
    for found in (plain, again):
        taken = {name for step in found.steps for name in step.takes}
        assert taken <= {name for step in found.steps for name in step.makes}
        assert found.weights[-1] - found.steps[-1].weights_room == size
    assert again.crop.max() < plain.crop.max()
