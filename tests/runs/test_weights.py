"""Weights files: what they depend on goes with them, and averages are what is used."""

import json
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints, weights
from did_tf.runs.run_folder import RunFolder

ABOUT = {"network": {"name": "own"}, "data": {"classes": ["a", "b"]}, "step": 3}


@pytest.fixture(scope="module")
def model():
    """Two layers with batch norm between them."""
    image = keras.Input((None, None, 1))
    x = keras.layers.BatchNormalization(name="bn")(keras.layers.Conv2D(2, 1, name="first")(image))
    return keras.Model(image, keras.layers.Conv2D(3, 1, name="second")(x))


def state(model, value=0.0):
    """{name: array} of the model's weights, all of one value."""
    return {name: np.full(v.shape, value, np.float32) for name, v in checkpoints.model_state(model).items()}


def averages(model, names, value=1.0):
    return {f"average/{name}": np.full(v.shape, value, np.float32) for name, v in zip(names, model.trainable_variables)}


def loaded(model, file):
    weights.load(model, file)
    return {name: np.unique(v.numpy()).tolist() for name, v in checkpoints.model_state(model).items()}


def trainable(model):
    moving = ("moving_mean", "moving_variance")
    return [name[len("model/") :] for name in checkpoints.model_state(model) if not name.endswith(moving)]


@pytest.mark.parametrize("numbered", [False, True])
def test_averages_are_used_in_place_of_the_weights(model, tmp_path, numbered):
    """Also those of older checkpoints, which are numbered in the order of the trainable weights."""
    names = trainable(model)
    own = averages(model, range(len(names)) if numbered else names)
    checkpoints.write(tmp_path / "step_00000001.npz", {**state(model), **own, "optimizer/0": np.zeros(3)})
    expected = {name: [1.0 if name[len("model/") :] in names else 0.0] for name in state(model)}
    assert loaded(model, tmp_path / "step_00000001.npz") == expected


def test_numbered_averages_of_a_network_with_frozen_batch_norm(model, tmp_path):
    own = {"average/0": np.ones((1, 1, 1, 2)), "average/1": np.ones(2)}
    own |= {"average/2": np.ones((1, 1, 2, 3)), "average/3": np.ones(3)}
    checkpoints.write(tmp_path / "step_00000001.npz", {**state(model), **own})
    found = loaded(model, tmp_path / "step_00000001.npz")
    assert {name for name, value in found.items() if value == [1.0]} == {
        f"model/{layer}/{weight}" for layer in ("first", "second") for weight in ("kernel", "bias")
    }


def test_numbered_averages_of_an_unknown_order_are_refused(model, tmp_path):
    checkpoints.write(tmp_path / "w.npz", {**state(model), "average/0": np.ones((1, 1, 1, 2))})
    with pytest.raises(ConfigError, match="w.npz numbers the averages of its weights in an order that is not known"):
        weights.load(model, tmp_path / "w.npz")


def test_training_goes_on_with_its_averages(tmp_path):
    own = {f"average/{name}": tf.Variable(0.0) for name in ("b", "a")}
    checkpoints.write(tmp_path / "step_00000001.npz", dict(zip(own, (np.float32(1), np.float32(2)))))
    checkpoints.restore(tmp_path / "step_00000001.npz", own)
    assert [float(v) for v in own.values()] == [1, 2]


def test_what_weights_depend_on_is_in_their_file(model, tmp_path):
    checkpoints.write(tmp_path / "w.npz", state(model), ABOUT)
    assert weights.identity_of(tmp_path / "w.npz") == ABOUT
    with np.load(tmp_path / "w.npz") as file:
        assert json.loads(str(file["identity"])) == ABOUT


@pytest.mark.parametrize("place", ["best/weights.npz", "checkpoints/step_00000007.npz", "weights.npz"])
def test_the_run_stands_in_for_a_file_that_says_nothing(model, tmp_path, place):
    run = RunFolder(tmp_path / "run")
    checkpoints.write(run.folder / place, state(model))
    assert weights.identity_of(run.folder / place) is None
    run.config.write_text(json.dumps({"model": {"name": "did"}}))
    run.manifest.write_text(json.dumps({"data": {"classes": ["a"]}}))
    found = weights.identity_of(run.folder / place)
    assert found == (None if place == "weights.npz" else {"network": {"name": "did"}, "data": {"classes": ["a"]}})


def test_weights_that_are_written_while_they_are_loaded_have_their_own_identity(model, tmp_path, monkeypatch):
    """As those of a training beside an evaluation."""
    file, load, steps = tmp_path / "w.npz", weights.load, [5, 4]
    checkpoints.write(file, state(model, 3.0), ABOUT)

    def loading(model, file):
        if steps:
            step = steps.pop()
            checkpoints.write(file, state(model, step), {**ABOUT, "step": step})
        return load(model, file)

    monkeypatch.setattr(weights, "load", loading)
    found = weights.Weights(file, ABOUT).loaded_into(model)
    assert (found.identity["step"], found.digest) == (5, weights.digest(file)) and not steps
    monkeypatch.undo()
    assert weights.Weights(file, found.identity).loaded_into(model) == found


def test_a_digest_is_of_the_weights_alone(model, tmp_path):
    variants = {
        "a": (state(model), None),
        "same": ({**state(model), "optimizer/0": np.ones(3)}, ABOUT),
        "value": (state(model, 1.0), None),
        "averages": ({**state(model), **averages(model, trainable(model))}, None),
    }
    for name, (arrays, about) in variants.items():
        checkpoints.write(tmp_path / f"{name}.npz", arrays, about)
    digests = {name: weights.digest(tmp_path / f"{name}.npz") for name in variants}
    assert digests["a"] == digests["same"] == weights.load(model, tmp_path / "a.npz")
    assert len({*digests.values()}) == 3


def test_a_digest_of_twelve_million_values_is_cheap(tmp_path):
    """In time of this process, as the machine may be busy. 0.1 s on a core of 2026; hashed as text it would be 5 s."""
    checkpoints.write(tmp_path / "w.npz", {"model/kernel": np.random.default_rng(0).random(12_000_000, np.float32)})
    began = time.process_time()
    weights.digest(tmp_path / "w.npz")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_that_is_no_archive_is_told(tmp_path, content):
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(ConfigError, match="cannot read checkpoint .*w.npz"):
        weights.identity_of(tmp_path / "w.npz")
