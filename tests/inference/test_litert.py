"""What is of LiteRT alone. Skipped without the extra `litert`, which the tests' environment need not have."""

import dataclasses

import each_format
import exported
import numpy as np
import pytest
import tensorflow as tf

from did_tf.inference.export import ExportFailed
from did_tf.inference.formats import litert
from did_tf.models.layers import ResizeBilinear
from did_tf.models.placement import PLACEMENTS, Step

pytest.importorskip("ai_edge_litert")


@pytest.mark.slow
def test_16_bits_go_in_as_float32(tmp_path):
    each_format.written("litert", exported.network("fcrn", dtype="uint16"), tmp_path / "litert")


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
