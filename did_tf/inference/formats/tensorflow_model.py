"""A SavedModel, which TensorFlow alone can load: any sizes; of 8-bit images also from encoded files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from did_tf.common import compat
from did_tf.inference.contract import SIGNATURE, Network
from did_tf.inference.memory import FIXED, Need
from did_tf.inference.predictor import Predictor
from did_tf.scoring.evaluation import MAIN

ENCODED = "encoded"
"""Name of the second signature, which takes `image_bytes`: PNG or JPEG files."""


def write(network: Network, folder: Path, precision: str) -> None:
    """Writes it to `folder`, with dataset.json in its assets; features in the `precision`."""
    model = network.model if precision == "float32" or network.rebuilt is None else network.rebuilt(precision)
    with tempfile.TemporaryDirectory() as scratch:
        asset, network = Path(scratch) / "dataset.json", network.of(model)
        about = {**network.about(), "bytes_per_pixel": _bytes_per_pixel(network)}
        asset.write_text(json.dumps(about, indent=2))
        module = tf.Module()
        # The variables and not the model: that would take Keras to load.
        module.weights = [compat.tf_variable(variable) for variable in model.weights]
        module.dataset = tf.saved_model.Asset(str(asset))
        module.serve = network.serve()
        signatures = {SIGNATURE: module.serve}
        if takes_files(network):
            module.encoded = signatures[ENCODED] = _from_files(module.serve, network.spec.bands)
        tf.saved_model.save(module, str(folder), signatures=signatures)


def takes_files(network: Network) -> bool:
    """Whether images can be PNG or JPEG files: of 8 bits, and of one band or three."""
    return network.spec.dtype == "uint8" and network.spec.bands in (1, 3)


def _bytes_per_pixel(network):
    """What an image takes in memory, whole, beside `memory.FIXED`; 0 of a network that classifies images."""
    if not network.segments:
        return 0
    need = Need(Predictor(network.model, outputs=[MAIN]), keep_all=True)
    return round((need((1000, 1000), np.dtype(network.spec.dtype).itemsize) - FIXED) / 1e6)


def _from_files(serve, bands):
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def encoded(image_bytes):
        def decode(file):
            # A run reads JPEG by the exact transform, and decode_image by a faster one, of other pixels.
            return tf.cond(
                tf.io.is_jpeg(file),
                lambda: tf.io.decode_jpeg(file, channels=bands, dct_method="INTEGER_ACCURATE"),
                lambda: tf.io.decode_image(file, channels=bands, expand_animations=False),
            )

        taken = tf.TensorSpec((None, None, bands), tf.uint8)
        return serve(tf.map_fn(decode, image_bytes, fn_output_signature=taken))

    return encoded
