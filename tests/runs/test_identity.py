"""What may differ between the start of a run and its continuation: every setting and every fact."""

import contextlib
import json
import os
import shutil

import pytest
from own_data import make_five_bands

import did_tf
from data_pipelines import load
from did_tf import models
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs import identity, manifest
from did_tf.runs.identity import MAY_DIFFER, flatten
from did_tf.runs.run_folder import RunFolder, read_json

OPEN = {"dataset.options.half": True, "optimizer.options.momentum": 0.5, "loss.output_weights.main": 2.0}
OPEN |= {"loss.terms.dice": 0.5}
OPEN |= {"optimizer.multipliers.encoder": 0.1, "evaluate.options.dropout": 0.0, "paper.miou": 60.0}
CPU, GPU = ("/job:localhost/replica:0/task:0/device:" + name for name in ("CPU:0", "GPU:0"))
CONTENT = {"split": "train", "samples": 3, "fingerprint": "abc", "meaning": "pixels"}
VALIDATED = {"split": "val", "protocol": "whole"}
FACTS = {
    "classes": ["road", "tree"],
    "dtype": "uint8",
    "bands": 3,
    "band_names": [],
    "mean": [1.0] * 3,
    "std": [2.0] * 3,
}
GROWTH = {"model": {"name": "did", "growth": 4}}


def made(devices=(CPU,), data=None, validation=None, seed=1, weights=None):
    """A manifest of a process, with changes of its data."""
    data, validation = {**CONTENT, **FACTS, **(data or {})}, {**CONTENT, **VALIDATED, **(validation or {})}
    return manifest.make(seed, devices, data, validation, weights or [1.0, 2.0], GROWTH["model"], "float32")


@pytest.fixture
def run(tmp_path):
    """A run that was started."""
    folder = RunFolder(tmp_path / "run", "mine")
    folder.start(GROWTH, made())
    return folder


def other(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return f"{value}x" if isinstance(value, str) else [1]


def all_settings():
    """Every setting of every model, flat, with keys of the groups that take any."""
    return {**OPEN, **{key: value for name in models.names() for key, value in flatten(cli.defaults(name)).items()}}


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    """A fold of several at once has a share of the machine's."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert manifest.here([])["machine"]["cores"] == 1


# One table


@pytest.mark.parametrize("model", models.names())
def test_every_setting_is_refused_or_in_the_table(model, tmp_path):
    """`evaluate.flip` too, which validation uses."""
    settings = {**flatten(json.loads(json.dumps(cli.defaults(model)))), **OPEN}
    run, refused = RunFolder(tmp_path), set()
    run.config.write_text(json.dumps(settings))
    for key, value in settings.items():
        try:
            run.check({**settings, key: other(value)}, {})
        except ConfigError as error:
            assert f"{key} ({value}, now {other(value)})" in str(error)
            refused.add(key)
    assert {key for key in settings if not identity.may_differ(key)} == refused
    assert "evaluate.flip" in refused and "train.init_options" in refused
    assert not any(
        key.startswith(("model.", "loss.", "optimizer.", "schedule.")) for key in settings if key not in refused
    )


@pytest.mark.parametrize("key", ["evaluate.scales", "evaluate.overlap"])
def test_what_validation_uses_may_not_differ(key):
    settings = {"evaluate.scales": [0.5], "evaluate.overlap": 0.5}
    uses = {"evaluate.scales": {"scales", "tiles"}, "evaluate.overlap": {"tiles", "tiles_once"}}
    for protocol in ("whole", "scales", "tiles", "tiles_once"):
        old = {**settings, "train.validation": protocol}
        new = {**old, key: other(settings[key])}
        assert identity.changed(old, new) == [key] * (protocol in uses[key])
        assert identity.changed(old, new, "tiles_once") == [key] * ("tiles_once" in uses[key])


@pytest.mark.parametrize(
    "key, val_split, refused", [("evaluate.flip", "", 0), ("evaluate.flip", "val", 1), ("seed", "", 1)]
)
def test_settings_of_testing_may_differ_where_nothing_is_validated(key, val_split, refused):
    """As in folds of a cross-validation."""
    old = {"dataset.val_split": val_split, "evaluate.flip": False, "seed": 1}
    with pytest.raises(ConfigError, match=key) if refused else contextlib.nullcontext():
        identity.check_settings("run", old, {**old, key: other(old[key])})


def test_the_table_has_nothing_but_settings_and_facts_each_with_its_reason():
    known = {*all_settings(), *made()}
    for name, reason in MAY_DIFFER.items():
        assert any(key == name or key.startswith(f"{name}.") for key in known), name
        assert len(reason) > 10


def test_every_fact_is_in_the_table_or_compared(run):
    """Those that the settings decide are compared with these."""
    told = {"network": "model.growth", "precision": "train.precision"}
    for key in set(made()) - set(MAY_DIFFER) - set(told):
        with pytest.raises(ConfigError):
            run.check(
                GROWTH, {**made(), key: {**CONTENT, **FACTS, "samples": 4} if key in ("data", "validation") else 7}
            )
    assert all(not identity.may_differ(setting) for setting in told.values())


# The data and other facts


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (
            {"data": {"fingerprint": "xyz"}},
            "the training data are not those that .*run was started with: samples of train",
        ),
        (
            {"data": {"samples": 4}},
            "samples 4, and it was 3; put them back, or go on .* in another run, --run=dir --config.train.init=.*run$",
        ),
        ({"data": {"classes": ["tree", "road"]}}, "class 0 is 'tree' and was 'road'"),
        ({"data": {"mean": [3.0] * 3}}, r"mean is \[3.0, 3.0, 3.0\] and was \[1.0, 1.0, 1.0\]"),
        (
            {"validation": {"fingerprint": "xyz"}},
            "the validation data are not those .* samples of val have other content",
        ),
        (
            {"validation": {"protocol": "tiles_once"}},
            "was validated by protocol 'whole', and memory suffices for 'tiles_once' alone",
        ),
        ({"weights": [1.0, 3.0]}, r"started with class weights \[1.0, 2.0\], and here is \[1.0, 3.0\]"),
        ({"seed": 2}, "started with seed 1, and here is 2"),
        ({"data": {"meaning": "shifted"}}, "samples of train are read in another way"),
        ({"devices": (CPU, CPU)}, "started on 1 devices, here are 2: .*set train.devices to as many"),
    ],
)
def test_other_facts_do_not_go_on(run, now, message):
    before = run.manifest.read_bytes()
    with pytest.raises(ConfigError, match=message) as error:
        run.check(GROWTH, made(**now))
    assert "\n" not in str(error.value)
    assert run.manifest.read_bytes() == before


def test_a_continuation_is_recorded_beside_the_start(run):
    """What the run was started with stays, word for word."""
    started = read_json(run.manifest)
    for step in (5, 9):
        assert run.check(GROWTH, made()) == []
        run.start(GROWTH, {**made(), "command": ["again"]}, step)
    now = read_json(run.manifest)
    continued = now.pop("continued")
    assert now == started
    assert [(entry["step"], entry["command"]) for entry in continued] == [(5, ["again"]), (9, ["again"])]
    assert continued[0]["data"] == CONTENT and continued[0]["validation"]["split"] == "val"
    assert continued[0].keys() == {"step", "data", "validation", *manifest.here([])}


def test_another_kind_of_device_and_other_versions_are_told(run):
    now = {**made(devices=(GPU,)), "git_commit": "0123", "packages": {**made()["packages"], "keras": "9.9"}}
    (line,) = run.check(GROWTH, now)
    assert "keras 9.9 (was " in line and "commit 0123 (was " in line and "devices GPU (was CPU)" in line
    run.start(GROWTH, now)
    assert run.check(GROWTH, now) == [], "it was told when it changed"


def test_the_version_is_that_of_the_code_and_not_of_what_was_installed(monkeypatch):
    """A checkout that was installed once says its version of then, whatever it is now."""
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0.0")
    packages = manifest.here([])["packages"]
    assert packages["did_tf"] == did_tf.__version__ and packages["numpy"] == "0.0"


def test_a_run_whose_samples_were_drawn_otherwise_does_not_go_on(run):
    """Versions before said nothing of it: their crops lay at the border half as often."""
    old = read_json(run.manifest)
    del old["draws"]
    run.manifest.write_text(json.dumps(old))
    with pytest.raises(ConfigError, match=f"drew crops and light otherwise: .* --config.train.init={run.folder}$"):
        run.check(GROWTH, made())


def test_images_that_were_added_to_a_users_own_data_are_noticed(tmp_path):
    """Shares put the new ones into train or val by their names; statistics of the bands are those of the start."""
    data = make_five_bands(tmp_path / "data", splits={"train": 0.7, "val": 0.3})
    facts, folder = manifest.facts(load("folders", data).spec), RunFolder(tmp_path / "run")

    def found():
        dataset = load("folders", data)
        parts = {split: manifest.content(dataset, dataset.samples(split), split) for split in ("train", "val")}
        return manifest.make(1, [CPU], {**parts["train"], **facts}, parts["val"], None, GROWTH["model"], "float32")

    folder.start(GROWTH, found())
    assert folder.check(GROWTH, found()) == []
    for kind, suffix in (("images", ".tif"), ("labels", ".png")):
        for number in range(6):
            shutil.copy(data / kind / f"scene00{suffix}", data / kind / f"new{number}{suffix}")
    with pytest.raises(
        ConfigError, match=rf"data are not those .*samples \d+, and it was \d.*train.init={folder.folder}"
    ):
        folder.check(GROWTH, found())
    for kind in ("images", "labels"):
        for path in (data / kind).glob("new*"):
            path.unlink()
    assert folder.check(GROWTH, found()) == []


# More steps


def extended(tmp_path, made, was=0, **now):
    """Checks settings, `now`, against a run of 6 steps, extended by `was`, that has made so many of them."""
    run = RunFolder(tmp_path)
    settings = {"steps": 6, "extend": was}
    run.config.write_text(json.dumps({"train": settings}))
    return run.check({"train": {**settings, **now}}, {}, made)


@pytest.mark.parametrize(("made", "was", "now"), [(6, 0, 4), (10, 4, 9), (10, 4, 4), (7, 4, 4)])
def test_a_run_that_has_its_steps_is_extended(tmp_path, made, was, now):
    extended(tmp_path, made, was=was, extend=now)


@pytest.mark.parametrize(
    ("made", "was", "now", "way"),
    [
        (5, 0, {"extend": 4}, "it has made 5 of its 6 steps, and is extended when it has made all"),
        (9, 4, {"extend": 5}, "it has made 9 of its 10 steps"),
        (10, 4, {"extend": 0}, "it was extended already: --config.train.extend=4, or more"),
        (
            6,
            0,
            {"steps": 9},
            "has all of its 6 steps it is extended by --config.train.steps=6 --config.train.extend=3; else",
        ),
        (6, 0, {"steps": 5}, "use another --run=dir"),
        (6, 0, {"steps": 9, "batch_size": 2}, "use another --run=dir"),
    ],
)
def test_other_steps_are_refused_with_a_way_on(tmp_path, made, was, now, way):
    with pytest.raises(ConfigError, match=f"was started with other settings: .*; .*{way}"):
        extended(tmp_path, made, was=was, **now)


# Settings that are younger than the run


def test_a_setting_that_is_younger_than_the_run_has_its_default(tmp_path):
    """A new line of experiments/base.py does not keep older runs from going on."""
    settings = cli.defaults("did")
    old = json.loads(json.dumps(settings))
    del old["train"]["ema"], old["model"]["dropout"]
    run = RunFolder(tmp_path, "mine", settings)
    run.config.write_text(json.dumps(old))
    run.check(settings, {})
    for group, key, value in (("train", "ema", 0.9), ("model", "dropout", 0.5)):
        with pytest.raises(ConfigError, match=rf"{group}.{key} \({settings[group][key]}, now {value}\)"):
            run.check({**settings, group: {**settings[group], key: value}}, {})


def test_defaults_of_another_model_are_none_of_the_runs(tmp_path):
    run = RunFolder(tmp_path, "mine", cli.defaults("duc"))
    run.config.write_text(json.dumps(cli.defaults("did")))
    with pytest.raises(ConfigError, match=r"model.aspp \(None, now 4\)"):
        run.check(cli.defaults("duc"), {})
