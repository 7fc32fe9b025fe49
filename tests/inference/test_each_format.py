"""What every format must pass, one after the other; what is of one alone is in a file of its name.

A format is skipped where its extra is missing, which the tests' environment need not have.
"""

import dataclasses
import math
import re

import each_format
import exported
import numpy as np
import pytest
import small
import tensorflow as tf
import tiny
from served_here import ServedHere
from small import PLACED

from did_tf import wiring
from did_tf.inference import alone, export, formats
from did_tf.inference.export import ExportFailed
from did_tf.inference.gate import POINTS

OTHERS = ("onnx", "openvino", "litert")
"""Than a SavedModel, which is TensorFlow's own: tests/inference/test_export.py."""
DILATED = ({"multigrid": False}, {"output_stride": 32}, {"degridding": True})

every_format = pytest.mark.parametrize("name", OTHERS)


def check_agrees(name, architecture, placement, path):
    """A small network passes the gate at odd and even sizes, batches of one to three, and leaves a whole folder."""
    result = each_format.written(name, exported.network(architecture, placement), path)
    assert result.difference < 1e-4 and result.labels < 1e-3
    assert (path / "dataset.json").is_file() and result.bytes > 10_000


@pytest.mark.slow
@every_format
@pytest.mark.parametrize(("architecture", "placement"), PLACED)
def test_every_architecture_agrees_at_odd_and_even_sizes(name, architecture, placement, tmp_path):
    check_agrees(name, architecture, placement, tmp_path / name)


@every_format
def test_one_agrees(name, tmp_path):
    check_agrees(name, "fcrn", "exact", tmp_path / name)


@pytest.mark.slow
@every_format
@pytest.mark.parametrize("options", DILATED)
def test_sunet_with_strides_and_dilation(name, options, tmp_path, monkeypatch):
    monkeypatch.setitem(small.SMALL, "sunet", {**small.SMALL["sunet"], **options})
    check_agrees(name, "sunet", "areas", tmp_path / name)


@every_format
def test_other_weights_are_refused(name, tmp_path, monkeypatch):
    """With the figure, and nothing is left."""
    right, wrong, chosen = exported.network("fcrn"), exported.shaken(exported.network("fcrn")), each_format.form(name)
    monkeypatch.setattr(export, "Served", ServedHere)
    monkeypatch.setattr(export, "_convert", lambda form, network, folder: chosen.write(wrong, folder, form.precision))
    with pytest.raises(ExportFailed, match=rf"the {chosen.title} differs from the model on image0_whole, .* by 0\.\d"):
        export.write(chosen, exported.gate(right), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@every_format
@pytest.mark.parametrize(("nodata", "rule"), [(np.nan, "all"), (np.nan, "any"), (-1.0, "all"), (0.5, "any")])
def test_what_has_no_data_is_void_as_in_tensorflow(name, nodata, rule, tmp_path):
    network = exported.network("fcrn", dtype="float32", nodata=nodata, nodata_rule=rule)
    image = np.random.default_rng(0).uniform(1, 255, (1, 40, 33, 3)).astype(np.float32)
    image[0, 5:20, 7:30, 1] = image[0, 25:30, 7:30] = nodata
    each_format.written(name, network, tmp_path / name)
    found, expected = alone.KINDS[name](str(tmp_path / name))["plain"](image), network.serve()(image)
    np.testing.assert_array_equal(np.asarray(found["classes"]) == 255, expected["classes"].numpy() == 255)
    assert (expected["classes"].numpy() == 255).sum() == 23 * (5 if rule == "all" else 20)
    np.testing.assert_allclose(np.asarray(found["probabilities"]), expected["probabilities"], rtol=0, atol=1e-4)


@pytest.mark.slow
@every_format
def test_regions_are_painted_as_in_tensorflow(name, tmp_path):
    """Five logits of regions in each other, of which the last that is likelier than not is the class."""
    network = exported.network("fcrn", regions=tuple((f"from {n}", tuple(range(n, 5))) for n in range(5)))
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 33, 3), np.uint8)
    last = next(layer for layer in reversed(network.model.layers) if layer.get_weights())
    middle = np.median(network.model(image.astype(np.float32), training=False)["main"], axis=(0, 1, 2))
    last.set_weights([*last.get_weights()[:-1], last.get_weights()[-1] - middle])  # each is there in half of the places
    result = each_format.written(name, network, tmp_path / name)
    assert result.difference < 1e-4 and result.labels < 1e-3
    found = alone.KINDS[name](str(tmp_path / name))["plain"](image)
    probabilities = np.asarray(found["probabilities"])
    innermost = 4 - np.argmax(probabilities[..., ::-1] > 0.5, axis=-1)
    expected = np.where((probabilities > 0.5).any(-1), innermost, 0)
    told = (np.abs(probabilities - 0.5) > 1e-4).all(-1)  # and not by how a converter rounds a sigmoid
    assert told.mean() > 0.98 and len(np.unique(expected)) == 5
    np.testing.assert_array_equal(np.asarray(found["classes"])[told], expected[told])


@pytest.mark.slow
@every_format
def test_of_several_labels_the_likeliest_class_is_told_as_in_tensorflow(name, tmp_path):
    """Five labels, of which two pairs have a class together, and a class for none."""
    parts = [(0, 5), (1, 5), (2, 6), (3, 6), (4,)]
    regions = tuple((f"label {number}", part) for number, part in enumerate(parts))
    network = exported.network("fcrn")
    facts = {"classes": tuple("abcdefgh"), "palette": ((0, 0, 0),) * 8, "label_ids": (), "regions": regions}
    network = dataclasses.replace(network, spec=dataclasses.replace(network.spec, **facts))
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 33, 3), np.uint8)
    last = next(layer for layer in reversed(network.model.layers) if layer.get_weights())
    middle = np.median(network.model(image.astype(np.float32), training=False)["main"], axis=(0, 1, 2))
    last.set_weights([*last.get_weights()[:-1], last.get_weights()[-1] - middle])
    result = each_format.written(name, network, tmp_path / name)
    assert result.difference < 1e-4 and result.labels < 1e-3
    found = alone.KINDS[name](str(tmp_path / name))["plain"](image)
    p = np.asarray(found["probabilities"], float)
    of_each = [math.prod(p[..., r] if n in part else 1 - p[..., r] for r, part in enumerate(parts)) for n in range(8)]
    expected, (second, most) = np.argmax(of_each, axis=0), np.sort(of_each, axis=0)[-2:]
    told = most - second > 1e-4  # and not by how a converter rounds
    assert told.mean() > 0.95 and {0, 1, 2, 3, 4, 5, 6} <= {*np.unique(expected)}
    np.testing.assert_array_equal(np.asarray(found["classes"])[told], expected[told])


@pytest.mark.slow
@every_format
def test_it_runs_alone(name, tmp_path):
    network = exported.network("fcrn")
    result = export.write(each_format.form(name), exported.gate(network), tmp_path / name, calls=2)
    assert result.difference < 1e-4 and result.milliseconds > 0


@pytest.mark.parametrize("name", ["openvino", pytest.param("litert", marks=pytest.mark.slow)])
def test_float16_is_half_as_large(name, tmp_path):
    network = exported.network("fcrn")
    for folder in (name, f"{name}_float16"):
        each_format.written(folder, network, tmp_path / folder, lambda probabilities: 0.5)
    whole, half = (largest_file(tmp_path / folder) for folder in (name, f"{name}_float16"))
    assert half < 0.7 * whole


SEGMENTING = [name for name in small.SMALL if name != "classifier"]
OF_FEWER_BITS = [form.folder for form in formats.FORMATS if not form.exact]
STEPS = 60


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SEGMENTING)
def test_every_precision_passes_or_is_refused_with_its_figure(architecture, tmp_path, monkeypatch):
    """Of networks that have learnt something: weights of 16 bits alone never cost half a point."""
    gate = gate_of_trained(architecture)
    assert gate.score > 0.05  # a single class everywhere scores 0.03
    monkeypatch.setattr(export, "Served", ServedHere)
    for folder in OF_FEWER_BITS:
        try:
            result = export.write(each_format.form(folder), gate, tmp_path / folder)
            assert abs(result.score - gate.score) <= POINTS
        except ExportFailed as error:
            assert not folder.endswith("float16"), error
            assert re.search(r"differs from the model: mIoU \d+\.\d in place of \d+\.\d %$", str(error)), error


def gate_of_trained(architecture):
    """`Gate` of a small network, on drawn scenes, after `STEPS` updates of batches of four of these."""
    config = tiny.config()
    config["model"] = {"name": architecture, "bn_momentum": 0.9, **small.SMALL[architecture]}
    dataset = wiring.make_dataset(config)
    model = wiring.make_model(config, dataset.spec)
    samples = [dataset.read(sample) for sample in dataset.samples("train")]
    images, labels = (np.stack(part) for part in zip(*samples))
    optimizer = tf.keras.optimizers.Adam(5e-3)

    @tf.function
    def update(pixels, classes):
        with tf.GradientTape() as tape:
            logits = model(tf.cast(pixels, tf.float32), training=True)["main"]
            known = classes != 255
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(known, classes, 0), logits)
            loss = tf.reduce_mean(tf.boolean_mask(losses, known))
        found = zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        optimizer.apply_gradients([(gradient, variable) for gradient, variable in found if gradient is not None])

    for step in range(STEPS):
        chosen = np.arange(4 * step, 4 * step + 4) % len(images)
        update(images[chosen], labels[chosen].astype(np.int32))
    network = wiring.make_network(config, model, dataset.spec, {}, calibrate=True)
    return wiring.make_gate(config, network, wiring.make_score(config, model, None))


def largest_file(folder):
    return max(path.stat().st_size for path in folder.iterdir())
