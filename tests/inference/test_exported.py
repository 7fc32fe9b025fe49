"""A SavedModel on its way to the user: from Python and by the server."""

import json
import shutil

import numpy as np
import pytest
import tiny
from photos import picture
from served import png, serving
from served_here import ServedHere

import did_tf
from did_tf import wiring
from did_tf.inference import export, exported
from did_tf.inference.contract import Network
from did_tf.inference.formats import FORMATS
from did_tf.inference.gate import Gate
from did_tf.inference.predictor import Predictor


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(network, folder of its SavedModel)."""
    config, folder = tiny.config(), tmp_path_factory.mktemp("exported") / "saved_model"
    spec = wiring.make_spec(config)
    network = tiny.network(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "Served", ServedHere)
        export.export(network, spec, folder, [picture(20, 30, 0)])
    return network, folder


@pytest.fixture(scope="module")
def loaded(made):
    return did_tf.load(made[1])


def test_the_server_answers_as_the_network(made, loaded):
    with serving(loaded) as server:
        for size in ((33, 47), (40, 64)):
            image = picture(*size, 4)
            answer = server.predict(png(image))
            assert answer.status == 200
            expected = Predictor(made[0])(image)["main"].argmax(-1)
            assert len(np.unique(expected)) > 1
            assert (answer.pixels == expected).mean() > 0.999, "the same but for ties that rounding decides"


def test_an_image_for_which_memory_does_not_reach_is_refused(loaded, monkeypatch):
    image = picture(300, 300, 4)
    told = r"the image \(300x300\) would take 0\.\d GB of memory, and 0\.3 GB are free; .* pass the run folder"
    monkeypatch.setattr(exported, "free_memory", lambda: 310_000_000)
    loaded.predict(image[:30, :30])
    with pytest.raises(did_tf.DataError, match=told):
        loaded.predict(image)
    with serving(loaded) as server:
        answer = server.predict(png(image))
        assert answer.status == 413 and "pass the run folder" in answer.json["error"]


def test_it_says_what_a_pixel_takes(made):
    told = json.loads((made[1] / "assets" / "dataset.json").read_text())
    assert 100 < told["bytes_per_pixel"] < 3000


def test_one_that_does_not_say_it_is_not_asked(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made[1], tmp_path / "older")
    about = folder / "assets" / "dataset.json"
    told = json.loads(about.read_text())
    del told["bytes_per_pixel"]
    about.write_text(json.dumps(told))
    monkeypatch.setattr(exported, "free_memory", lambda: 0)
    assert did_tf.load(folder).predict(picture(30, 30, 4)).shape == (30, 30)


def test_one_in_less_precision_is_another_network(made, loaded, tmp_path, monkeypatch):
    bfloat16 = next(form for form in FORMATS if form.folder == "saved_model_bfloat16")
    gate = Gate(Network(made[0], wiring.make_spec(tiny.config())), [picture(20, 30, 0)], lambda probabilities: 0.5)
    monkeypatch.setattr(export, "Served", ServedHere)
    other = did_tf.load(export.write(bfloat16, gate, tmp_path / "bfloat16").path)
    assert other.identity != loaded.identity
    (tmp_path / "a.png").write_bytes(png(picture(20, 30, 4)))
    for model, precision in ((loaded, "float32"), (other, "bfloat16")):
        model.predict_file(tmp_path / "a.png", tmp_path / precision, ["label"])
        record = json.loads((tmp_path / precision / "predictions.json").read_text())
        assert record["images"]["a"]["precision"] == precision
    with pytest.raises(did_tf.ConfigError, match="other weights or settings"):
        other.predict_file(tmp_path / "a.png", tmp_path / "float32", ["label"])
