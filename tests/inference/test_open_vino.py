"""With the package, which the tests' environment need not have, OpenVINO's own numbers are tried too."""

import numpy as np
import pytest
from small import PLACED, SIZES, images, small

from did_tf.common.errors import ConfigError
from did_tf.common.readout import Readout
from did_tf.inference import open_vino
from did_tf.inference.engines import Engine
from did_tf.inference.open_vino import OpenVino, differences


def test_differences_of_labels_but_for_ties_and_of_logits():
    right = np.array([[0.7, 0.3], [0.50002, 0.49998], [0.2, 0.8], [0.9, 0.1]])
    found = np.array([[0.7, 0.3], [0.49998, 0.50002], [0.6, 0.4], [0.9, 0.1]])
    labels, logits = differences([right], [found], True)
    assert labels == 1 / 4 and logits == pytest.approx(np.log(3))
    assert differences([right, right], [right, found], False)[1] == pytest.approx(0.4)
    assert differences([right, found], [found, found], True)[0] == 1 / 4


def test_what_is_next_to_impossible_does_not_count():
    assert differences([np.array([[1.0, 1e-9]])], [np.array([[1.0, 1e-30]])], True) == (0, 0)


@pytest.mark.parametrize("probabilities", [True, False])
def test_of_regions_labels_differ_by_what_is_painted(probabilities):
    readout, half = Readout(((1, 2), (2,)), (1, 2)), 0.5 if probabilities else 0.0
    right = half + np.array([[0.3, -0.2], [0.3, 1e-5], [-0.3, -0.2], [0.3, 0.2]])
    found = half + np.array([[0.3, 0.2], [0.3, -1e-5], [-0.4, -0.4], [-0.3, 0.2]])  # wrong, a tie, right, right
    assert differences([right], [found], probabilities, readout)[0] == 1 / 4


def test_nan_is_a_difference():
    assert np.isnan(differences([np.array([[0.5, 0.5]])], [np.array([[np.nan, 0.5]])], False)[1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "placement"), PLACED)
def test_openvino_computes_what_tensorflow_does_at_odd_and_even_sizes(name, placement, monkeypatch):
    pytest.importorskip("openvino")
    model = small(name, placement)
    compiled = OpenVino(model, list(model.output), "float32", 1, probabilities=False)
    for size in SIZES:
        batch = images(size)
        for output, values in compiled(batch).items():
            expected = model(batch, training=False)[output].numpy()
            np.testing.assert_allclose(values, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_other_numbers_on_the_first_image_are_refused_with_the_figure(monkeypatch):
    pytest.importorskip("openvino")
    compiled = OpenVino(small("did"), ["main"], "float32", 2)
    run = compiled._run
    monkeypatch.setattr(compiled, "_run", lambda image: [values[:, ::-1] for values in run(image)])
    with pytest.raises(
        ConfigError, match=r"--engine=openvino computes something else .* labels differ in \d.* logits by"
    ):
        compiled(images((40, 33)))
    with pytest.raises(ConfigError):  # for the next that asks too
        compiled(images((40, 33)))


@pytest.mark.slow
def test_a_precision_that_the_processor_has_not_is_refused(monkeypatch):
    openvino = pytest.importorskip("openvino")
    if open_vino._CAPABILITY in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has bfloat16")
    with pytest.raises(ConfigError, match="no bfloat16 on this processor"):
        open_vino.check("bfloat16")


@pytest.mark.slow
def test_auto_gives_tensorflows_figures_and_never_computes_in_less_than_float32():
    openvino = pytest.importorskip("openvino")
    model, engine = small("did"), Engine("openvino", auto=True)
    forward, batch = engine.forward(model, ["main"]), images((40, 33))
    expected = Engine().forward(model, ["main"])(batch)["main"]
    np.testing.assert_allclose(forward(batch)["main"], expected, rtol=0, atol=1e-4)
    assert engine.told() == {"engine": "openvino", "precision": "float32", "openvino": open_vino.version()}
    compiled = OpenVino(model, ["main"], "float32", 1)._compiled
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
