"""The request that docs/tutorials/serving.md shows for TensorFlow Serving fits a SavedModel's signature.

TensorFlow Serving itself is not here. Its REST interface (https://www.tensorflow.org/tfx/serving/api_rest) takes JSON
with "inputs", {name: nested lists}, makes a tensor of the signature's type of each, and gives {"outputs": {name:
lists}}; a row of "instances" has the inputs of one image without the axis of the batch.
"""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
import tiny
from photos import picture
from program import PROJECT

from did_tf import wiring
from did_tf.inference.export import SIGNATURE, export

pytestmark = pytest.mark.slow  # an export takes seconds
PAGE = (PROJECT / "docs" / "tutorials" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(function of a request's JSON that gives the answer's, signature) of a SavedModel."""
    config = tiny.config()
    spec = wiring.make_spec(config)
    folder = tmp_path_factory.mktemp("served") / "1"
    export(wiring.make_model(config, spec), spec, folder, [picture(20, 30, 0)])
    module = tf.saved_model.load(str(folder))
    signature = module.signatures[SIGNATURE]
    wanted = signature.structured_input_signature[1]

    def answer(body):
        request = json.loads(body)
        columns = request.get("inputs") or {"image": [row["image"] for row in request["instances"]]}
        tensors = {name: tf.constant(values, wanted[name].dtype) for name, values in columns.items()}
        found = {name: values.numpy().tolist() for name, values in signature(**tensors).items()}
        return json.loads(json.dumps({"outputs": found}))

    return answer, module


def printed(pattern):
    return re.search(pattern, PAGE)[1]


def test_the_printed_request_is_of_the_signatures_name_and_rank(served):
    pixel = printed(r'`(\{"inputs": .*?\})`').replace("[r, g, b], ...", "[1, 2, 3], [4, 5, 6]")
    outputs = served[0](pixel)["outputs"]
    assert np.shape(outputs["classes"]) == (1, 1, 2)
    assert np.shape(outputs["probabilities"])[:3] == (1, 1, 2)


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_an_image_as_json_is_labelled_as_itself(served, form):
    answer, module = served
    image = picture(21, 35, 1)
    body = (
        {"inputs": {"image": image[None].tolist()}} if form == "inputs" else {"instances": [{"image": image.tolist()}]}
    )
    expected = module.signatures[SIGNATURE](image=tf.constant(image[None]))["classes"].numpy()
    np.testing.assert_array_equal(answer(json.dumps(body))["outputs"]["classes"], expected)


def test_the_signature_is_what_the_grpc_lines_name(served):
    names = set(served[1].signatures[SIGNATURE].structured_input_signature[1])
    assert {*re.findall(r'request\.inputs\["(\w+)"\]', PAGE)} == names == {"image"}
    assert printed(r'request\.model_spec\.signature_name = "(\w+)"') == SIGNATURE
    outputs = set(served[1].signatures[SIGNATURE].structured_outputs)
    assert {*re.findall(r'\.outputs\["(\w+)"\]', PAGE)} <= outputs
