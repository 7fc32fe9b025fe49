import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.inference import engines
from did_tf.inference.engines import Engine, choose, streams_for
from did_tf.inference.predictor import Predictor


def network():
    image = keras.Input((None, None, 3))
    outputs = {name: keras.layers.Conv2D(4, 3, padding="same", name=name)(image) for name in ("main", "side")}
    return keras.Model(image, outputs)


def test_tensorflow_computes_what_the_model_does():
    model, image = network(), np.random.default_rng(0).integers(0, 9, (12, 15, 3)).astype(np.uint8)
    forward = Engine().forward(model, ["side"])
    found, expected = Predictor(model, outputs=["side"], forward=forward)(image), Predictor(model)(image)
    assert {*found} == {"side"}
    np.testing.assert_allclose(found["side"], expected["side"], rtol=0, atol=1e-6)
    logits = Engine().forward(model, ["main"], probabilities=False)(image[None].astype(np.float32))["main"]
    np.testing.assert_allclose(logits, model(image[None])["main"], rtol=0, atol=1e-5)


def test_images_of_several_threads_may_go_together():
    model, images = network(), np.random.default_rng(0).uniform(0, 9, (4, 12, 15, 3)).astype(np.float32)
    forward = Engine(together=4).forward(model, ["main"])
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda n: forward(images[n : n + 1])["main"], range(4))]
    assert forward.images == 4
    np.testing.assert_allclose(np.concatenate(found), Engine().forward(model, ["main"])(images)["main"], atol=1e-6)


def test_unknown_names_are_refused_and_the_known_told():
    with pytest.raises(ConfigError, match="--engine must be one of auto, tensorflow, openvino, got 'onnx'"):
        choose("onnx", "float32")
    with pytest.raises(ConfigError, match="--precision must be one of .*bfloat16, auto, got 'int8'"):
        choose("tensorflow", "int8")


def test_a_missing_package_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"--engine=openvino needs the package openvino.*pip install .*\[openvino\]'"):
        choose("openvino", "float32")


@pytest.mark.parametrize(("best", "taken"), [("bfloat16", "bfloat16"), ("float32", "float32"), ("float16", "float32")])
def test_auto_takes_the_best_that_inference_has_and_says_so(monkeypatch, capsys, best, taken):
    monkeypatch.setattr(engines, "best_precision", lambda devices: (best, "the processor is drawn"))
    assert choose("tensorflow", "auto") == Engine(precision=taken)
    assert capsys.readouterr().out == f"--precision=auto: {taken}, for the processor is drawn\n"


def test_openvino_takes_no_precision_that_it_has_not(monkeypatch):
    monkeypatch.setattr(engines.open_vino, "check_package", lambda: None)
    monkeypatch.setattr(engines, "best_precision", lambda devices: ("float32_fast", "it is ARM's"))
    assert choose("openvino", "auto").precision == "float32"
    with pytest.raises(ConfigError, match="--engine=openvino has the precisions float32, bfloat16, not float32_fast"):
        choose("openvino", "float32_fast")


@pytest.mark.parametrize("warning", ["", "an abacus computes in it"])
def test_what_is_emulated_is_noted_once(monkeypatch, capsys, warning):
    monkeypatch.setattr(engines, "emulated", lambda precision, devices: warning)
    choose("tensorflow", "bfloat16")
    assert capsys.readouterr().err == (f"note: --precision=bfloat16: {warning}\n" if warning else "")


def test_results_depend_on_what_is_unusual_alone():
    assert Engine().unusual() == {} and Engine().told() == {"engine": "tensorflow", "precision": "float32"}
    assert Engine(precision="bfloat16").unusual() == {"precision": "bfloat16"}
    assert Engine(precision="bfloat16").precision_of_model == "bfloat16"
    assert Engine("openvino", "bfloat16").precision_of_model == "float32"


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({}, "openvino, version 9.9 is installed; --engine=tensorflow takes TensorFlow itself"),
        ({"pixels": 1e9, "sizes": 1000}, "openvino, version 9.9"),
        ({"pixels": 1e6}, "tensorflow, for openvino takes longer to start than it would gain"),
        ({"pixels": 2e8, "sizes": 1000}, "tensorflow, for openvino takes longer to start than it would gain"),
        ({"precision": "bfloat16"}, "tensorflow, for openvino rounds otherwise in bfloat16"),
        ({"gpus": ["a GPU"]}, "tensorflow, for there is a GPU"),
        ({"version": lambda: 1 / 0}, "tensorflow, for division by zero"),
        ({"installed": False}, "tensorflow, for no other is installed; openvino would be faster: pip install "),
        ({"installed": False, "pixels": 1e6}, "tensorflow, for no other is installed\n"),
        ({"installed": False, "precision": "bfloat16"}, "tensorflow, for no other is installed\n"),
    ],
)
def test_auto_takes_the_engine_that_is_faster_here_and_says_why(monkeypatch, capsys, how, told):
    how = {"precision": "float32", "gpus": [], "version": lambda: "9.9", "installed": True, **how}
    monkeypatch.setattr(engines.open_vino, "version", how.pop("version"))
    gpus, installed = how.pop("gpus"), how.pop("installed")
    monkeypatch.setattr(engines.open_vino, "is_installed", lambda: installed)
    monkeypatch.setattr(engines.tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(engines, "emulated", lambda precision, devices: "")
    engine = choose("auto", **how)
    assert capsys.readouterr().out.startswith(f"--engine=auto: {told}")
    assert (engine.name, engine.auto, engine.unusual().get("engine")) == (told.split(",")[0], True, None)


class Fake:
    """Stands for OpenVINO, which fails from a call on, of which the first is its making."""

    def __init__(self, fails_at):
        self.fails_at, self.calls = fails_at, 0
        self({})

    def __call__(self, images):
        self.calls += 1
        if self.calls > self.fails_at:
            raise RuntimeError("no such\noperation")
        return {"main": 1}


@pytest.mark.parametrize(
    ("fails_at", "by_openvino", "used"),
    [(9, 4, "openvino"), (2, 1, "openvino and tensorflow"), (1, 0, "tensorflow"), (0, 0, "tensorflow")],
)
def test_what_openvino_can_not_do_tensorflow_does_and_it_is_told(monkeypatch, capsys, fails_at, by_openvino, used):
    monkeypatch.setattr(engines, "OpenVino", lambda *_: Fake(fails_at))
    monkeypatch.setattr(engines.open_vino, "version", lambda: "9.9")
    monkeypatch.setattr(Engine, "_tensorflow", lambda *_: lambda images: {"main": 0})
    engine = Engine("openvino", auto=True)
    forward = engine.forward(None, ["main"])
    assert [forward({})["main"] for _ in range(4)] == [1] * by_openvino + [0] * (4 - by_openvino)
    assert engine.told()["engine"] == used and ("openvino" in engine.told()) == ("openvino" in used)
    error = "note: --engine=auto: tensorflow from here on, for openvino failed: no such operation\n"
    assert capsys.readouterr().err == ("" if used == "openvino" else error)
    assert dataclasses.replace(engine).told()["engine"] == "openvino", "nothing has been computed by it"


def test_what_was_asked_for_by_its_name_fails(monkeypatch):
    monkeypatch.setattr(engines, "OpenVino", lambda *_: Fake(0))
    with pytest.raises(RuntimeError, match="no such"):
        Engine("openvino").forward(None, ["main"])


def test_streams_are_as_many_as_cores_images_and_room(monkeypatch):
    monkeypatch.setattr(engines, "cores", lambda: 8)
    monkeypatch.setattr(engines, "free_memory", lambda: 5.5 * engines.ROUGH * 1000)
    assert [streams_for(count, 100) for count in (1, 3, 8, 100)] == [1, 3, 8, 8]
    assert [streams_for(100, pixels) for pixels in (1000, 2000, 10_000)] == [5, 2, 1]
    monkeypatch.setattr(engines.tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert streams_for(100, 100) == 1
