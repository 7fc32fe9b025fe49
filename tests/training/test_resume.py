"""A run that goes on: what may differ changes nothing, what may not is refused."""

import shutil

import numpy as np
import pytest
import tiny

from data_pipelines.programs.prepare import prepare
from did_tf import wiring
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.inference.memory import Fitting
from did_tf.programs import cli
from did_tf.runs import checkpoints, identity, manifest
from did_tf.runs.run_folder import RunFolder, flatten, read_json, read_metrics

SETTINGS = {
    "data__cutmix": 0.3,
    "data__mixup": 0.4,
    "data__elastic": 1.0,
    "model__dropout": 0.2,
    "train__ema": 0.9,
    "train__freeze_batch_norm": "all",
    "train__freeze_batch_norm_from": 4,
    "train__steps": 6,
    "train__log_every": 3,
    "train__checkpoint_every": 3,
    "train__validate_every": 6,
}
LAST = "step_00000006.npz"


def make(folder, **overrides):
    return wiring.make_trainer(tiny.config(**{**SETTINGS, **overrides}), RunFolder(folder))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder of an undisturbed run of six steps, with mixed crops, dropout, averaged weights and validation.

    Its batch norm is frozen after four: whoever goes on from the third step comes by that.
    """
    folder = tmp_path_factory.mktemp("whole")
    make(folder).fit()
    return folder


@pytest.fixture
def half(whole, tmp_path):
    """The same as it was after three steps."""
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / LAST).unlink()
    shutil.rmtree(tmp_path / "run" / "best")
    return tmp_path / "run"


def test_what_may_differ_changes_nothing(whole, half, tmp_path):
    """Every setting of the table changed half-way: all arrays are the same to the last bit."""
    config = tiny.config(**SETTINGS)
    for split in ("train", "val"):
        source = {key: config["dataset"][key] for key in ("name", "options")}
        prepare(wiring.make_dataset(config), split, tmp_path / "records", source)
    changes = {
        "dataset.folder": "elsewhere",
        "dataset.prepared": str(tmp_path / "records"),
        "data.cache": False,
        "train.devices": "cpu",
        "train.patience": 9,
        "train.progress": True,
        "train.panels": 1,
        "train.checkpoint_every": 1,
        "train.keep_checkpoints": 3,
        "evaluate.protocols": ("tiles",),
        "evaluate.scales": (0.5,),
        "evaluate.overlap": 0.5,
        "evaluate.blend": "gaussian",
        "evaluate.options": {"stem_pool": 2},
        "paper": {"miou": 1.0},
    }
    up_to_rounding = {
        "train.recompute",
        "train.jit_compile",
    }  # tests/recompute, tests/training/update/test_gradients.py
    assert {*changes} | up_to_rounding == {key for key in identity.MAY_DIFFER if "." in key or key == "paper"}
    assert all(flatten(config).get(key) != value for key, value in changes.items())
    make(half, **{key.replace(".", "__"): value for key, value in changes.items()}).fit()
    assert len(checkpoints.saved_steps(half / "checkpoints")) == 3
    for file in (f"checkpoints/{LAST}", "best/weights.npz"):
        with np.load(whole / file) as undisturbed, np.load(half / file) as disturbed:
            assert undisturbed.files == disturbed.files
            for name in {*undisturbed.files} - {"identity", "checksum"}:
                np.testing.assert_array_equal(undisturbed[name], disturbed[name], err_msg=name)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_run_does_not_go_on_on_other_data(half, monkeypatch, part):
    """The settings are the same, and so are names and numbers: labels were drawn anew."""
    before, content = (half / "manifest.json").read_bytes(), manifest.content

    def drawn_anew(dataset, samples, split, progress):
        return {**content(dataset, samples, split), **({"fingerprint": "other"} if split == part else {})}

    monkeypatch.setattr(manifest, "content", drawn_anew)
    with pytest.raises(ConfigError, match=f"samples of {part} have other content; put them back, or go on"):
        make(half)
    assert (half / "manifest.json").read_bytes() == before


def test_a_finished_run_is_extended_by_the_schedule_of_all_steps(whole, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / "run")
    make(tmp_path / "run", train__extend=3).fit()
    named = tiny.config(**SETTINGS)["schedule"]["name"]
    assert f"at step 6, extended by 3 to 9 steps; learning rate: {named} over all of them" in capsys.readouterr().out
    assert checkpoints.saved_steps(tmp_path / "run" / "checkpoints")[-1].name == "step_00000009.npz"
    rates = [float(row["learning_rate"]) for row in read_metrics(tmp_path / "run" / "metrics.csv")]
    schedule = wiring.make_schedule(tiny.config(**{**SETTINGS, "train__steps": 9}))
    assert rates[-1] == pytest.approx(np.mean([schedule(step) for step in (6, 7, 8)]), rel=1e-5)
    assert read_json(tmp_path / "run" / "config.json")["train"]["extend"] == 3
    assert read_json(tmp_path / "run" / "manifest.json")["continued"][-1]["step"] == 6


def test_validation_with_mirrored_images_is_another_run(half):
    with pytest.raises(ConfigError, match=r"evaluate.flip \(False, now True\)"):
        make(half, evaluate__flip=True)


def test_validation_goes_on_by_the_protocol_that_memory_left_it(half, tmp_path, monkeypatch):
    """Scores by which the best weights are chosen are all of one; and what that uses may not differ."""
    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "all", lambda fitting, sizes: "tiles_once")
        make(tmp_path / "run2")
        with pytest.raises(ConfigError, match="was validated by protocol 'whole', and memory suffices for"):
            make(half)
    assert read_json(tmp_path / "run2" / "manifest.json")["validation"]["protocol"] == "tiles_once"
    trainer = make(tmp_path / "run2", evaluate__scales=(0.5,))
    assert trainer.validation.protocol == "tiles_once" and trainer.validation.make_predictor().tile == (33, 33)
    with pytest.raises(ConfigError, match=r"evaluate.overlap \(0.3333333333333333, now 0.5\)"):
        make(tmp_path / "run2", evaluate__overlap=0.5)


def test_what_a_run_depends_on_is_recorded_and_carried_by_its_weights(whole):
    made = read_json(whole / "manifest.json")
    assert (made["replicas"], made["data"]["samples"], made["validation"]["samples"]) == (1, 12, 3)
    for file, step in ((LAST, 6), ("step_00000003.npz", 3)):
        found = checkpoints.read_identity(whole / "checkpoints" / file)
        assert {key: found[key] for key in ("network", "data", "seed", "precision", "step")} == {
            **{key: made[key] for key in ("network", "data", "seed")},
            "precision": "float32",
            "step": step,
        }
    assert checkpoints.read_identity(whole / "best" / "weights.npz") == {**found, "step": 6}


def test_best_weights_are_the_averages_of_their_checkpoint(whole):
    """And its moving statistics, which have no averages."""
    saved, best = (checkpoints.read(whole / file) for file in (f"checkpoints/{LAST}", "best/weights.npz"))
    assert {*best} == {name for name in saved if name.startswith("model/")}
    averages = {name: saved.get(name.replace("model/", "average/", 1)) for name in best}
    assert any(average is not None and np.any(average != saved[name]) for name, average in averages.items())
    for name, average in averages.items():
        np.testing.assert_array_equal(best[name], saved[name] if average is None else average, err_msg=name)


def test_without_a_best_the_averages_are_what_is_used(whole, half):
    """Those of the newest checkpoint, as best/ has them after validation: not its raw weights."""
    trainer = make(half)
    model, _, weights = wiring.load_network(tiny.config(**SETTINGS), half)
    assert weights.file.name == "step_00000003.npz"
    raw = {name: v.numpy() for name, v in checkpoints.model_state(trainer.model).items()}
    with trainer.train_step.averaged_weights():
        averaged = {name: v.numpy() for name, v in checkpoints.model_state(trainer.model).items()}
    assert any(np.any(raw[name] != averaged[name]) for name in raw)
    for name, v in checkpoints.model_state(model).items():
        np.testing.assert_array_equal(v.numpy(), averaged[name], err_msg=name)


def aged(run):
    """Makes the run what version 0.2.0 left: numbered averages, no identity, less in its manifest and settings."""
    file = checkpoints.saved_steps(run / "checkpoints")[-1]
    arrays = checkpoints.read(file)
    names = [name for name in arrays if name.startswith("average/")]
    numbers = {name: f"average/{number}" for number, name in enumerate(names)}
    checkpoints.write(file, {numbers.get(name, name): array for name, array in arrays.items()})
    config, made = read_json(run / "config.json"), read_json(run / "manifest.json")
    del config["train"]["init_options"], made["data"]["meaning"]
    for key in ("replicas", "validation", "network", "precision", "draws"):
        del made[key]
    write_json(run / "config.json", config)
    write_json(run / "manifest.json", {**made, "data": {**made["data"], "fingerprint": "of sizes"}})


@pytest.mark.slow
def test_a_run_of_version_0_2_is_gone_on_from_in_another(whole, half, tmp_path):
    """Its crops were drawn otherwise; its averages, which it numbers, are the weights that another starts from."""
    averages = checkpoints.read(half / "checkpoints" / "step_00000003.npz", ("average/",))
    aged(half)
    run = RunFolder(half, defaults=cli.defaults("did"))
    with pytest.raises(ConfigError, match=f"drew crops and light otherwise: .* --run=dir --config.train.init={half}$"):
        wiring.make_trainer(tiny.config(**SETTINGS), run)
    trainer = make(tmp_path / "next", train__init=str(half))
    started = {name: v.numpy() for name, v in checkpoints.model_state(trainer.model).items()}
    for name, average in averages.items():
        np.testing.assert_array_equal(started[name.replace("average/", "model/", 1)], average, err_msg=name)


# A start from other weights


def test_a_start_from_a_network_with_other_options_must_be_meant(whole, tmp_path, capsys):
    start = {"train__init": str(whole), "model__stem_pool": 2, "model__dropout": 0.5}
    with pytest.raises(ConfigError, match=r"train.init: .*network: stem_pool \(3, here 2\).*train.init_options"):
        make(tmp_path / "run", **start)
    assert not (tmp_path / "run").exists()
    make(tmp_path / "run", **start, train__init_options=("stem_pool",))
    assert "weights.npz, trained with other settings: stem_pool (3, here 2)\n" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="train.init_options: model 'did' has no option 'stempool'"):
        make(tmp_path / "other", **start, train__init_options=("stempool",))


@pytest.mark.parametrize("setting", ["init", "encoder"])
def test_a_start_from_a_run_at_a_remote_place(whole, tmp_path, monkeypatch, setting):
    """It is the start from the same run here, and the settings say the place."""
    monkeypatch.setenv("DID_TF_CACHE", str(tmp_path / "cache"))
    states = []
    for name, source in (("here", str(whole)), ("there", f"file://{whole}")):
        trainer = make(tmp_path / name, **{f"train__{setting}": source})
        states.append({name: v.numpy() for name, v in checkpoints.model_state(trainer.model).items()})
        assert read_json(trainer.run.config)["train"][setting] == source
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)


def test_a_remote_place_without_a_run_is_told_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("DID_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(wiring.training, "make_model", None)
    with pytest.raises(ConfigError, match=f"^train.init: there is no run at file://{tmp_path}/none: name the place"):
        make(tmp_path / "run", train__init=f"file://{tmp_path}/none/")


def test_an_encoder_of_other_options_is_told(whole, tmp_path, capsys):
    changes = {"model__dilations": (1, 1, 1, 1), "model__smoothing": 3, "model__dropout": 0.0}
    make(tmp_path / "run", train__encoder=str(whole), **changes)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("encoder weights from")]
    assert line.endswith("weights.npz, trained with other settings: dilations ([1, 1, 2, 4], here [1, 1, 1, 1])")
