"""A LiteRT file (TensorFlow Lite), an extra: `pip install 'did_tf[litert]'`. At any size of the image.

TensorFlow's converter writes it; the package of the extra runs it, and has no converter for TensorFlow's graphs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from did_tf.common import compat
from did_tf.common.errors import Failure
from did_tf.inference.contract import SIGNATURE, Network

IN_FLOAT = ["DIV"]
"""Operations that int8 leaves as they are: they make the weights that a resize interpolates by."""
STEM = "stem."
"""What names of layers begin with that int8 leaves as they are: they are few, and cost the most when quantised."""


def write(network: Network, folder: Path, precision: str) -> None:
    """Writes network.tflite to `folder`.

    Args:
      network: to write.
      folder: to write to.
      precision: "float32"; "float16" of the weights; "int8" of weights and features, whose ranges are those that they
        have on the network's `calibration`.

    Raises:
      Failure: there are no images for int8.
    """
    # 16 bits without a sign are a type that few of its operations take.
    dtype = "float32" if network.spec.dtype == "uint16" else network.spec.dtype
    with tempfile.TemporaryDirectory() as scratch:
        module = tf.Module()
        module.weights = [compat.tf_variable(variable) for variable in network.model.weights]
        module.serve = network.portable(dtype)
        tf.saved_model.save(module, scratch, signatures={SIGNATURE: module.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch, signature_keys=[SIGNATURE])
        images = [image.astype(dtype) for image in network.calibration]
        (folder / "network.tflite").write_bytes(_converted(converter, precision, images))


def _converted(converter, precision, calibration):
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return _quantised(converter, calibration) if precision == "int8" else converter.convert()


def _quantised(converter, calibration):
    from ai_edge_litert.interpreter import Interpreter

    if not calibration:
        raise Failure("there are no images of the training split to choose the ranges of int8 by")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in _of_one_size(calibration))
    # The converter itself takes no operations or layers that are to be left out.
    lite, images = tf.lite.experimental, converter.representative_dataset
    options = lite.QuantizationDebugOptions(denylisted_ops=IN_FLOAT)
    debugger = lite.QuantizationDebugger(converter=converter, debug_dataset=images, debug_options=options)
    tensors = Interpreter(model_content=debugger.calibrated_model).get_tensor_details()
    stem = [tensor["name"] for tensor in tensors if tensor["name"].startswith(STEM)]
    debugger.options = lite.QuantizationDebugOptions(denylisted_ops=IN_FLOAT, denylisted_nodes=stem)
    return debugger.get_nondebug_quantized_model()


def _of_one_size(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """[1, H, W, bands] of each image: the part that all have, for the converter takes the first one's size for all."""
    height, width = (min(image.shape[axis] for image in images) for axis in (0, 1))
    for image in images:
        yield image[None, :height, :width]
