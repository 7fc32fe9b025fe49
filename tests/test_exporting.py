"""What an export is made of and judged by, from the settings of a run."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from did_tf import wiring
from did_tf.inference.predictor import Predictor
from did_tf.scoring import evaluation


@pytest.fixture(scope="module")
def made():
    """(config, model, spec)."""
    config = tiny.config()
    spec = wiring.make_dataset(config).spec
    return config, wiring.make_model(config, spec), spec


@pytest.mark.parametrize("limit", [None, 1])
def test_score_is_the_miou_of_whole_images_of_validation(limit, made):
    config, model, _ = made
    predictor, asked = Predictor(model), []

    def probabilities(images):
        asked.append(images.shape)
        return predictor(images[0])["main"][None]

    expected = evaluation.evaluate(predictor, wiring.make_dataset(config), "val", False, limit).matrices["main"]
    assert wiring.make_score(config, model, limit)(probabilities) == pytest.approx(expected.mean_iou())
    assert asked == [(1, 48, 64, 3)] * (limit or 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset__val_split": "", "dataset__train_split": "train+val"}, "nothing is scored: no split is held out"),
        ({"dataset__name": "camvid", "dataset__folder": "/nonexistent", "dataset__options": {}}, "no CamVid in"),
    ],
)
def test_without_validation_there_is_no_score(changes, told, made, capsys):
    assert wiring.make_score(tiny.config(**changes), made[1], None) is None
    assert told in capsys.readouterr().out


def test_without_validation_the_score_is_of_a_val_that_was_not_learnt(made):
    assert wiring.make_score(tiny.config(dataset__val_split=""), made[1], None) is not None


def test_calibration_is_of_centres_from_all_over_the_training_split(made):
    config, model, spec = made
    dataset = wiring.make_dataset(config)
    images = wiring.make_network(config, model, spec, {}, True).calibration
    assert [image.shape for image in images] == [(33, 33, 3)] * 12 and images[0].dtype == np.uint8
    last = dataset.read_image(dataset.samples("train")[-1])
    np.testing.assert_array_equal(images[-1], last[7:40, 15:48])
    assert wiring.make_network(config, model, spec, {}, False).calibration == ()


def test_a_network_is_rebuilt_in_bfloat16_with_its_weights(made):
    config, model, spec = made
    other = wiring.make_network(config, model, spec, {}, False).rebuilt("bfloat16")
    assert {layer.compute_dtype for layer in other.layers} >= {"bfloat16", "float32"}
    for mine, its in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(mine, its)
    assert tf.keras.mixed_precision.global_policy().name == "float32"


def test_the_gate_says_whether_its_images_are_noise(made):
    config, model, spec = made
    network = wiring.make_network(config, model, spec, {}, False)
    assert wiring.make_gate(config, network, None).source == "images of the data set"
    elsewhere = tiny.config(dataset__name="camvid", dataset__folder="/nonexistent", dataset__options={})
    assert wiring.make_gate(elsewhere, network, None).source.startswith("random images")
