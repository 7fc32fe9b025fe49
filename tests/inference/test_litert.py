"""Skipped without the extra `litert`, which the tests' environment need not have."""

import dataclasses

import each_format
import exported
import numpy as np
import pytest
import small
import tensorflow as tf
from small import PLACED

from did_tf.inference.export import ExportFailed
from did_tf.inference.formats import litert
from did_tf.models.layers import ResizeBilinear
from did_tf.models.placement import PLACEMENTS, Step

pytest.importorskip("ai_edge_litert")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "placement"), PLACED)
def test_every_architecture_agrees_at_odd_and_even_sizes(name, placement, tmp_path):
    each_format.check_agrees("litert", name, placement, tmp_path / "litert")


def test_one_agrees(tmp_path):
    each_format.check_agrees("litert", "fcrn", "exact", tmp_path / "litert")


def test_other_weights_are_refused(tmp_path, monkeypatch):
    each_format.check_refuses_other_weights("litert", tmp_path / "litert", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("nodata", "rule"), [(np.nan, "all"), (np.nan, "any"), (-1.0, "all"), (0.5, "any")])
def test_what_has_no_data(nodata, rule, tmp_path):
    each_format.check_no_data("litert", nodata, rule, tmp_path / "litert")


@pytest.mark.slow
def test_sunet_with_strides_and_dilation(tmp_path, monkeypatch):
    monkeypatch.setitem(small.SMALL, "sunet", {**small.SMALL["sunet"], "multigrid": False})
    each_format.check_agrees("litert", "sunet", "areas", tmp_path / "litert")


@pytest.mark.slow
def test_16_bits_go_in_as_float32(tmp_path):
    each_format.written("litert", exported.network("fcrn", dtype="uint16"), tmp_path / "litert")


@pytest.mark.slow
def test_float16_is_half_as_large(tmp_path):
    network, sizes = exported.network("fcrn"), []
    for folder in ("litert", "litert_float16"):
        each_format.written(folder, network, tmp_path / folder, lambda probabilities: 0.5)
        sizes.append((tmp_path / folder / "network.tflite").stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_int8_has_features_of_8_bits_and_places_of_more(tmp_path):
    """At 8 bits, places along an axis would be off by pixels: then labels of a map with a slope are others."""
    from ai_edge_litert.interpreter import Interpreter

    network = exported.network("fcrn")
    result = each_format.written("litert_int8", network, tmp_path / "litert", lambda probabilities: 0.5)
    assert result.labels < 0.1
    details = Interpreter(str(tmp_path / "litert" / "network.tflite")).get_tensor_details()
    assert sum(tensor["dtype"] == np.int8 for tensor in details) > 40


def test_int8_needs_images_of_training(tmp_path):
    network = dataclasses.replace(exported.network("fcrn"), calibration=())
    with pytest.raises(ExportFailed, match="no images of the training split to choose the ranges of int8 by"):
        each_format.written("litert_int8", network, tmp_path / "litert")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_resize_of_8_bits_is_off_by_no_more_than_their_steps(placement, tmp_path):
    """Places along an axis that were features of 8 bits would be off by pixels, and values by a third of the range."""
    from ai_edge_litert.interpreter import Interpreter

    resize = ResizeBilinear(placement, steps=((Step(8, 8),), (Step(8, 8),)))
    ramp = np.add.outer(np.linspace(0, 100, 360), np.linspace(0, 155, 480)).astype(np.float32)[None, ..., None]

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.float32, name="image")])
    def down_and_up(image):
        return {"resized": resize([tf.nn.avg_pool2d(image, 8, 8, "SAME"), image])}

    module = tf.Module()
    module.serve = down_and_up
    tf.saved_model.save(module, str(tmp_path), signatures=down_and_up)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    run = Interpreter(model_content=litert._converted(converter, "int8", [ramp[0]])).get_signature_runner()
    expected = down_and_up(ramp)["resized"]
    np.testing.assert_allclose(run(image=ramp)["resized"], expected, rtol=0, atol=4)
