"""What is of ONNX alone. Skipped without the extra `onnx`, which the tests' environment need not have."""

import json

import each_format
import exported
import pytest

onnxruntime = pytest.importorskip("onnxruntime")


def test_it_says_what_its_classes_are(tmp_path):
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
