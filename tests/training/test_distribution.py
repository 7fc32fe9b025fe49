"""Two logical devices, in a process of their own, against one."""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import one_update
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.training import distribution
from did_tf.training.distribution import best_precision, emulated, make_strategy, set_precision, share_cores

TESTS = Path(__file__).parents[1]
ONE, TWO = {"train__devices": "cpu"}, {"train__devices": "cpu*2"}
# Of the other papers' recipes, what an update has to do with.
RECIPE = {
    "model": {"name": "fcrn", "depth": 14, "width": 4, "kernel": 3},
    "data__crop": (64, 64),
    "loss__resolution": "features",
    "optimizer__name": "adam",
    "optimizer__multipliers": {"encoder": 0.2},
    "schedule__learning_rate": 0.01,
    "train__freeze_batch_norm": "all",
    "train__shifted_passes": True,
}
MUON = {"optimizer__name": "muon", "schedule__learning_rate": 0.01}
REGIONS = {"loss__terms": {"focal": 0.5, "tversky": 1.0, "lovasz": 1.0}, "loss__ohem_keep": 50}
# settings, and the part of the batch
CASES = {
    "one": (ONE,),
    "two": ({**TWO, "train__sync_batch_norm": True, "train__recompute": True},),
    "two, float16": ({**TWO, "train__sync_batch_norm": True, "train__precision": "float16"},),
    "two, averaged": (TWO,),
    "two, compiled": ({**TWO, "train__jit_compile": True},),
    "two, mining": ({**TWO, "loss__ohem_keep": 50},),
    "two, mining, compiled": ({**TWO, "loss__ohem_keep": 50, "train__jit_compile": True},),
    "regions, one": ({**ONE, **REGIONS},),
    "regions, two": ({**TWO, **REGIONS, "train__sync_batch_norm": True},),
    "muon, one": ({**ONE, **MUON},),
    "muon, two": ({**TWO, **MUON, "train__sync_batch_norm": True},),
    "first half": (ONE, "0", "2"),
    "second half": (ONE, "2", "4"),
    "recipe, one": ({**ONE, **RECIPE},),
    "recipe, two": ({**TWO, **RECIPE, "train__recompute": True},),
}


class Updates(dict):
    """{case: {name: array}} of one update, made when it is asked for."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, case):
        settings, *part = CASES[case]
        if settings["train__devices"] == "cpu":  # as this process has
            one_update.write(self.folder / f"{case}.npz", settings, part)
        else:
            self._write(case, settings, part)
        self[case] = dict(np.load(self.folder / f"{case}.npz"))
        return self[case]

    def _write(self, case, settings, part):
        environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
        command = [sys.executable, TESTS / "one_update.py", self.folder / f"{case}.npz", json.dumps(settings), *part]
        subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def updates(tmp_path_factory):
    return Updates(tmp_path_factory.mktemp("updates"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "regions, ", "recipe, "])
def test_devices_equal_one(updates, kind):
    """Though the two compute their features again."""
    one, two = updates[f"{kind}one"], updates[f"{kind}two"]
    assert one.keys() == two.keys()
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    for name in one:
        # The gradient of a bias before batch normalisation is zero but for rounding: hence an absolute part.
        tolerance = 1e-6 + 2e-4 * np.abs(one[name]).max()
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.slow
def test_kernels_of_two_devices_follow_one_momentum(updates):
    """Of gradients that differ by rounding."""
    one, two = (updates[f"muon, {kind}"] for kind in ("one", "two"))
    kernels = [name for name in one if name.endswith("kernel") and "head." not in name]
    assert kernels
    for name in kernels:
        assert np.linalg.norm(two[name] - one[name]) < 0.02 * np.linalg.norm(one[name]), name


@pytest.mark.slow
def test_scaled_losses_on_two_devices(updates):
    """float16 with its loss scaling takes nearly the step of float32."""
    one, scaled = (
        np.concatenate([change.ravel() for name, change in sorted(updates[case].items()) if name.endswith("kernel")])
        for case in ("one", "two, float16")
    )
    assert np.linalg.norm(scaled - one) < 0.1 * np.linalg.norm(one)


@pytest.mark.slow
def test_averaged_statistics_are_those_of_the_halves(updates):
    for name, averaged in updates["two, averaged"].items():
        if "moving" in name:
            halves = (updates["first half"][name] + updates["second half"][name]) / 2
            np.testing.assert_allclose(averaged, halves, rtol=1e-3, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("plain", ["two, averaged", "two, mining"])
def test_compiled_devices_equal_others(updates, plain):
    """With mining they look at the losses before they compile what follows."""
    compiled = "two, compiled" if plain == "two, averaged" else f"{plain}, compiled"
    for name, change in updates[plain].items():
        tolerance = 1e-6 + 2e-4 * np.abs(change).max()
        np.testing.assert_allclose(updates[compiled][name], change, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.slow
def test_unsynchronised_devices_differ_from_one(updates):
    """Otherwise the comparison above would compare nothing."""
    name = next(name for name in updates["one"] if name.endswith("moving_variance"))
    assert not np.allclose(updates["two, averaged"][name], updates["one"][name], rtol=1e-4, atol=0)


@pytest.mark.slow
def test_where_a_run_is_stopped_changes_nothing_that_is_trained_with_frozen_statistics():
    """Each device has statistics of its own before, which a stop averages."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    command = [sys.executable, str(TESTS / "frozen_replicas.py")]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    apart, apart_otherwise = json.loads(done.stdout.splitlines()[-1])
    assert apart < 1e-6 < 1e-4 < apart_otherwise


def test_each_of_several_workers_has_one_cpu(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}')
    with pytest.raises(ConfigError, match=r"train\.devices=cpu\*2 is for one process"):
        make_strategy("cpu*2")


def test_one_cpu_takes_batches_as_they_come():
    """Not through an iterator that TensorFlow tunes, whose end may wait for its next look, up to a minute."""
    whole = tf.data.Dataset.range(8).batch(4)
    assert distribution.distributed(make_strategy("cpu"), lambda share: whole, 4) is whole


@pytest.mark.parametrize("devices", ["tpu", "cpu*", "gpu:7", "2"])
def test_unknown_devices(devices):
    with pytest.raises(ConfigError, match=r"train\.devices"):
        make_strategy(devices)


FEWER = "; or fewer GPUs: --config.train.devices=gpu (one), CUDA_VISIBLE_DEVICES=0,1 (these)"


@pytest.mark.parametrize(("devices", "count", "told"), [("auto", 8, FEWER), ("cpu*8", 8, ""), ("auto", 1, "")])
def test_a_batch_that_so_many_devices_can_not_share_may_be_for_fewer(devices, count, told):
    train = {"batch_size": 22, "accumulate": 8 // count, "parts": 1, "devices": devices}
    with pytest.raises(ConfigError, match=f"shared by {count} devices .*: use a multiple of 8{re.escape(told)}$"):
        distribution.check_shares(train, count)
    distribution.check_shares({**train, "batch_size": 24}, count)


def test_unknown_precision():
    with pytest.raises(ConfigError, match="float32, float32_fast, bfloat16, float16"):
        set_precision("float64")


@pytest.fixture
def machine(monkeypatch):
    """Sets what TensorFlow and the system say of GPUs (their compute capabilities) and of the processor."""

    def set_to(gpus=(), layers=False, products=False):
        config = distribution.tf.config
        monkeypatch.setattr(config, "list_physical_devices", lambda kind: list(gpus) if kind == "GPU" else ["cpu"])
        monkeypatch.setattr(config.experimental, "get_device_details", dict)
        monkeypatch.setattr(processor, "has_bfloat16", lambda: layers)
        monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: layers or products)

    return set_to


def gpu(*capability):
    """What TensorFlow tells of a GPU; nothing of those that are not NVIDIA's."""
    return [("compute_capability", capability)] if capability else []


# (the machine, train.devices, the best precision)
BEST = [
    ({}, "auto", "float32"),
    ({"layers": True}, "auto", "bfloat16"),
    ({"layers": True}, "cpu*2", "bfloat16"),
    ({"products": True}, "cpu", "float32_fast"),
    ({"gpus": [gpu(8, 0)]}, "auto", "bfloat16"),
    ({"gpus": [gpu(7, 5)], "layers": True}, "auto", "float16"),
    ({"gpus": [gpu(9, 0), gpu(7, 0)]}, "auto", "float16"),
    ({"gpus": [gpu(6, 1)]}, "gpu:0", "float32"),
    ({"gpus": [gpu()]}, "gpu", "float32"),
    ({"gpus": [gpu(8, 0)]}, "cpu", "float32"),
]


@pytest.mark.parametrize("has, devices, precision", BEST)
def test_the_best_precision_is_one_that_the_machine_has(machine, has, devices, precision):
    machine(**has)
    assert best_precision(devices)[0] == precision


@pytest.mark.parametrize("has, devices, precision", BEST)
def test_the_best_precision_is_never_emulated(machine, has, devices, precision):
    machine(**has)
    assert emulated(precision, devices) == ""


@pytest.mark.parametrize(
    "has, devices, precision, told",
    [
        ({}, "auto", "bfloat16", "minutes a step"),
        ({"products": True}, "cpu*2", "bfloat16", "minutes a step"),
        ({"gpus": [gpu(8, 0)]}, "cpu", "bfloat16", "minutes a step"),
        ({}, "cpu", "float32_fast", "as float32"),
    ],
)
def test_what_is_emulated_is_told(machine, has, devices, precision, told):
    machine(**has)
    assert told in emulated(precision, devices)


@pytest.mark.parametrize(
    "parts, cores, given", [(1, 1, {}), (2, 4, {}), (2, 2, {"intra": 1, "inter": 2}), (4, 2, {"intra": 1, "inter": 2})]
)
def test_parts_have_a_core_each_where_there_are_as_many(monkeypatch, parts, cores, given):
    threading, found = distribution.tf.config.threading, {}
    monkeypatch.setattr(distribution.memory, "cores", lambda: cores)
    for kind in ("intra", "inter"):
        keep = functools.partial(found.__setitem__, kind)
        monkeypatch.setattr(threading, f"set_{kind}_op_parallelism_threads", keep)
    share_cores(parts)
    assert found == given


def test_cores_stay_as_they_are_once_tensorflow_computes():
    tf.zeros(()).numpy()
    share_cores(1024)


def test_fast_float32_is_asked_of_onednn(monkeypatch):
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "")  # set, so that monkeypatch puts back what was there
    monkeypatch.delenv("ONEDNN_DEFAULT_FPMATH_MODE")
    set_precision("float32")
    assert "ONEDNN_DEFAULT_FPMATH_MODE" not in os.environ
    set_precision("float32_fast")
    assert os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] == "BF16"
    assert keras.mixed_precision.global_policy().name == "float32"


def test_tensor_float_32_is_for_fast_float32_alone(monkeypatch):
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "")
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    try:
        for precision, wanted in (("float32_fast", True), ("float32", False), ("bfloat16", False)):
            set_precision(precision)
            assert enabled() is wanted, precision
    finally:
        set_precision("float32")
        tf.config.experimental.enable_tensor_float_32_execution(before)
