"""Runs of older versions are used as they were trained."""

import json

import numpy as np
import pytest
import tiny

from did_tf import models, wiring
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs import checkpoints, manifest, older
from did_tf.runs.run_folder import RunFolder

KINDS = pytest.mark.parametrize("aligned, placement", [(True, "corners"), (False, "areas")])


def as_it_was(settings, aligned):
    """Settings from before `placement`, as from JSON."""
    old = json.loads(json.dumps(settings))
    del old["model"]["placement"]
    old["model"]["align_corners"] = aligned
    return old


@KINDS
def test_aligned_corners_are_a_placement(aligned, placement):
    assert older.network({"name": "did", "align_corners": aligned}) == {"name": "did", "placement": placement}
    config = {"model": {"name": "did"}, "evaluate": {"options": {"align_corners": aligned}}, "seed": 0}
    assert older.settings(config) == {**config, "evaluate": {"options": {"placement": placement}}}


def test_frozen_batch_norm_was_all_of_it():
    for was, now in ((True, "all"), (False, "")):
        found = older.settings({"model": {"name": "did"}, "train": {"freeze_batch_norm": was, "steps": 3}})
        assert found["train"] == {"freeze_batch_norm": now, "steps": 3}


def test_settings_of_today_stay_as_they_are():
    for name in models.names():
        settings = cli.defaults(name)
        assert older.settings(settings) == settings


def test_duc_had_areas_alone():
    assert older.network({"name": "duc", "cell": 2})["placement"] == "areas"


@KINDS
def test_an_older_run_is_evaluated_with_its_own_placement_and_goes_on(aligned, placement, tmp_path):
    settings = tiny.config(model__placement=placement)
    old = as_it_was(settings, aligned)
    spec = wiring.make_spec(settings)
    made = manifest.make(0, [], manifest.facts(spec), None, None, old["model"], "float32")
    model = wiring.make_model(settings, spec)
    run = RunFolder(tmp_path)
    checkpoints.write(run.best / "weights.npz", checkpoints.model_state(model), manifest.of_weights(made, 3))
    run.config.write_text(json.dumps(old))
    found = cli.resolve("did_synthetic", run, [], training=False)
    assert found["model"]["placement"] == placement and "align_corners" not in found["model"]
    loaded, _, _ = wiring.load_network(found, tmp_path)
    x = np.random.default_rng(0).uniform(0, 255, (1, 40, 40, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x)["main"], model(x)["main"])
    run.check(settings, {})
    with pytest.raises(ConfigError, match=rf"model.placement \({placement}, now exact\)"):
        run.check(tiny.config(model__placement="exact"), {})
