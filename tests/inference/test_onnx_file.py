"""Skipped without the extra `onnx`, which the tests' environment need not have."""

import json

import each_format
import exported
import numpy as np
import pytest
import small
from small import PLACED

from did_tf.inference import export

pytest.importorskip("onnxruntime")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "placement"), PLACED)
def test_every_architecture_agrees_at_odd_and_even_sizes(name, placement, tmp_path):
    each_format.check_agrees("onnx", name, placement, tmp_path / "onnx")


def test_one_agrees(tmp_path):
    each_format.check_agrees("onnx", "fcrn", "exact", tmp_path / "onnx")


def test_other_weights_are_refused(tmp_path, monkeypatch):
    each_format.check_refuses_other_weights("onnx", tmp_path / "onnx", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("nodata", "rule"), [(np.nan, "all"), (np.nan, "any"), (-1.0, "all"), (0.5, "any")])
def test_what_has_no_data(nodata, rule, tmp_path):
    each_format.check_no_data("onnx", nodata, rule, tmp_path / "onnx")


def test_it_says_what_its_classes_are(tmp_path):
    import onnxruntime

    each_format.written("onnx", exported.network("fcrn"), tmp_path / "onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "network.onnx"))
    told = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert told == json.loads((tmp_path / "onnx" / "dataset.json").read_text())
    assert (told["classes"], told["ids"]) == (list("abcde"), [3, 7, 8, 9, 20])
    assert [tuple(colour) for colour in told["palette"]] == list(exported.PALETTE)
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape[3]) == ("image", "tensor(uint8)", 3)
    assert not any(isinstance(side, int) for side in image.shape[:3])
    assert [output.name for output in session.get_outputs()] == ["classes", "probabilities"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"multigrid": False}, {"output_stride": 32}, {"degridding": True}])
def test_sunet_with_strides_and_dilation(options, tmp_path, monkeypatch):
    monkeypatch.setitem(small.SMALL, "sunet", {**small.SMALL["sunet"], **options})
    each_format.check_agrees("onnx", "sunet", "areas", tmp_path / "onnx")


@pytest.mark.slow
def test_it_runs_alone(tmp_path):
    result = export.write(each_format.form("onnx"), exported.gate(exported.network("fcrn")), tmp_path / "x", calls=2)
    assert result.difference < 1e-4 and result.milliseconds > 0
