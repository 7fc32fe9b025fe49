"""The trainer: what an update does, and what survives a stop.

What decay, clipping, averages, factors, mining and micro-batches do is tested fast with small networks
(test_train_step.py, test_same_update.py); of them the slow tests here are the same on a whole DID.
"""

import csv
import os
import signal

import numpy as np
import pytest
import tensorflow as tf
import tiny
from tqdm import tqdm

from data_pipelines.programs.prepare import prepare
from did_tf import models, wiring
from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder, read_json, read_metrics
from did_tf.training.health import VITALS, TrainingFailed
from did_tf.training.optimizers import LossScale

SGD = {
    "optimizer__name": "sgd",
    "schedule__name": "constant",
    "schedule__learning_rate": 1.0,
    "schedule__warmup": 0,
    "dataset__val_split": "",
}
WHOLE = {
    "model__dropout": 0.2,
    "train__ema": 0.9,
    "optimizer__name": "sgd",
    "optimizer__options": {"momentum": 0.9},
    "schedule__learning_rate": 0.03,
}
FROZEN = {"train__freeze_batch_norm": "all"}
FCRN = {"model": {"name": "fcrn", "depth": 14, "width": 4, "kernel": 3}, "loss__resolution": "features"}


def make(folder, **overrides):
    return wiring.make_trainer(tiny.config(**overrides), RunFolder(folder))


def weights(trainer):
    return {name: v.numpy() for name, v in checkpoints.model_state(trainer.model).items()}


def update(trainer, step=0, batch=None):
    """Metrics of one update as {name: value}; `batch` defaults to the first of the run."""
    batch = batch or next(iter(trainer._batches(0)))
    values = trainer.train_step(batch, tf.constant(step, tf.int32)).numpy()
    return dict(zip(trainer.train_step.metrics, values))


def ignored(trainer):
    """A batch without a labelled pixel: its loss and gradient are zero."""
    batch = next(iter(trainer._batches(0)))
    return {"image": batch["image"], "label": tf.fill(batch["label"].shape, tf.constant(255, tf.uint8))}


def rows(folder):
    """metrics.csv without what depends on the clock."""
    clocked = {"images_per_second", "input_wait"}
    return [{k: v for k, v in row.items() if k not in clocked} for row in read_metrics(folder / "metrics.csv")]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """An uninterrupted run with dropout, an average of the weights and validation."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = make(folder, **WHOLE)
    return folder, trainer, trainer.fit()


def test_run_learns_and_leaves_its_files(whole_run):
    folder, _, best = whole_run
    logged = rows(folder)
    assert [int(row["step"]) for row in logged] == [4, 8, 12, 16, 20]
    assert float(logged[-1]["loss"]) < 0.8 * float(logged[0]["loss"])
    assert [row["val_miou"] != "" for row in logged] == [False, False, True, False, True]
    assert best == pytest.approx(max(float(row["val_miou"] or 0) for row in logged), abs=1e-6)
    found = {path.name for path in folder.iterdir()}
    assert found == {"config.json", "manifest.json", "metrics.csv", "curves.png", "checkpoints", "best", "tensorboard"}
    assert len(checkpoints.saved_steps(folder / "checkpoints")) == 2


@pytest.mark.slow
def test_same_seed_same_run(whole_run, tmp_path):
    make(tmp_path, **WHOLE).fit()
    assert rows(tmp_path) == rows(whole_run[0])


@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signal_saves_and_the_next_process_goes_on(whole_run, tmp_path, stopped_by):
    trainer = make(tmp_path, **WHOLE)
    step = trainer.train_step

    def step_and_signal(batch, number):
        if int(number) == 9:
            os.kill(os.getpid(), stopped_by)
        return step(batch, number)

    step_and_signal.averaged_weights, step_and_signal.metrics = step.averaged_weights, step.metrics
    step_and_signal.state = step.state
    trainer.train_step = step_and_signal
    with pytest.raises(SystemExit) as exit_status:
        trainer.fit()
    assert exit_status.value.code == 128 + stopped_by
    assert checkpoints.saved_steps(tmp_path / "checkpoints")[-1].name == "step_00000010.npz"

    continued = make(tmp_path, **WHOLE)
    continued.fit()
    assert rows(tmp_path) == rows(whole_run[0])
    for name, value in weights(whole_run[1]).items():
        np.testing.assert_array_equal(weights(continued)[name], value, err_msg=name)


def test_time_waited_for_batches(tmp_path, monkeypatch):
    """By a clock on which every batch takes 3 seconds to come, and its step 1."""
    trainer = make(tmp_path, **SGD, train__steps=8)
    clock, step, batches = [0.0], trainer.train_step, trainer._batches

    def slow_step(batch, number):
        clock[0] += 1
        return tf.ones(len(step.metrics) + len(VITALS))

    def slow_batches(first):
        for batch in batches(first):
            clock[0] += 3
            yield batch

    slow_step.averaged_weights, slow_step.metrics, slow_step.state = step.averaged_weights, step.metrics, step.state
    trainer.train_step, trainer._batches = slow_step, slow_batches
    monkeypatch.setattr("did_tf.training.trainer.time.perf_counter", lambda: clock[0])
    trainer.fit()
    logged = read_metrics(tmp_path / "metrics.csv")
    assert [(row["input_wait"], row["images_per_second"]) for row in logged] == [("0.7500", "1")] * 2


@pytest.mark.slow
def test_a_run_from_before_a_column_goes_on(tmp_path):
    """Its rows stay, with nothing in the new column."""
    make(tmp_path, **SGD, train__steps=4).fit()
    metrics = tmp_path / "metrics.csv"
    with open(metrics, newline="") as file:
        header, row = csv.reader(file)
    at = header.index("input_wait")
    metrics.write_text("".join(",".join(line[:at] + line[at + 1 :]) + "\n" for line in (header, row)))
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"steps": 4', '"steps": 8'))
    make(tmp_path, **SGD, train__steps=8).fit()
    old, new = read_metrics(metrics)
    assert (old["step"], old["input_wait"], old["loss"]) == ("4", "", row[header.index("loss")])
    assert new["step"] == "8" and 0 <= float(new["input_wait"]) <= 1


@pytest.mark.slow
def test_records_in_place_of_files_are_the_same_run(whole_run, tmp_path, monkeypatch):
    """Also where a run that was started on the files goes on."""
    config = tiny.config(**WHOLE)
    source, records = wiring.make_dataset(config), tmp_path / "records"
    for split in ("train", "val"):
        prepare(source, split, records, {key: config["dataset"][key] for key in ("name", "options")})
    monkeypatch.setattr(type(source), "read", None)
    trainer = make(tmp_path / "run", **WHOLE, dataset__prepared=str(records))
    trainer.fit()
    assert rows(tmp_path / "run") == rows(whole_run[0])
    manifests = [read_json(folder / "manifest.json")["data"] for folder in (tmp_path / "run", whole_run[0])]
    assert manifests[0] == manifests[1]
    make(whole_run[0], **WHOLE, dataset__prepared=str(records))


def test_records_of_other_data_are_refused(tmp_path):
    config = tiny.config(dataset__options={"height": 48, "width": 64, "sizes": {"train": 2, "val": 1}, "bands": 2})
    source = {key: config["dataset"][key] for key in ("name", "options")}
    prepare(wiring.make_dataset(config), "train", tmp_path / "records", source)
    with pytest.raises(ValueError, match="are of other data than the experiment's: train was 2 and is 12"):
        make(tmp_path / "run", dataset__prepared=str(tmp_path / "records"))
    assert not (tmp_path / "run").exists()


def test_other_settings_do_not_resume(whole_run):
    with pytest.raises(ConfigError, match=r"model\.growth \(4, now 8\)"):
        make(whole_run[0], **WHOLE, model__growth=8)


def test_checkpoint_of_another_network_names_the_variable(whole_run, tmp_path):
    start = {"train__init": str(whole_run[0]), "train__init_options": ("growth",)}
    with pytest.raises(ConfigError, match="does not fit this model: model/block1"):
        make(tmp_path, model__growth=8, **start)


@pytest.mark.parametrize("setting", ["init", "encoder"])
def test_initial_weights_that_are_not_there_leave_no_run(tmp_path, setting):
    """The same run folder then takes the corrected setting."""
    with pytest.raises(ConfigError, match=f"train.{setting}: .*nowhere"):
        make(tmp_path / "run", **{f"train__{setting}": "nowhere"})
    assert not (tmp_path / "run").exists()


def test_the_averaged_weights_are_validated_and_kept_beside_the_others(whole_run, monkeypatch):
    """The checkpoint has both; that best/ has the averages is in test_resume.py."""
    (folder, trainer, _), name, seen = whole_run, "model/stem.conv1/kernel", []

    def scored(self, *given):
        seen.append(weights(trainer)[name])
        return {next(iter(self.scores)): -1.0}, lambda: None

    monkeypatch.setattr(type(trainer.validation), "__call__", scored)
    trainer._validate(20, tqdm(disable=True))
    with np.load(checkpoints.saved_steps(folder / "checkpoints")[-1]) as saved:
        assert not np.allclose(saved["average/stem.conv1/kernel"], saved[name], atol=1e-6)
        np.testing.assert_array_equal(seen, [saved["average/stem.conv1/kernel"]])
        np.testing.assert_array_equal(weights(trainer)[name], saved[name])


@pytest.mark.slow
def test_average_of_weights_by_hand(tmp_path):
    trainer = make(tmp_path, **{**SGD, "schedule__learning_rate": 0.01}, train__ema=0.5)
    name = "model/stem.conv1/kernel"
    average = weights(trainer)[name]
    for done in (1, 2, 3):
        update(trainer, done - 1)
        decay = min(0.5, (1 + done) / (10 + done))
        average = decay * average + (1 - decay) * weights(trainer)[name]
    np.testing.assert_allclose(trainer.train_step.averages[0].numpy(), average, rtol=1e-5, atol=1e-7)


def test_l2_decays_kernels_alone(tmp_path):
    trainer = make(tmp_path, **SGD, **FROZEN, optimizer__weight_decay=0.1)
    before = weights(trainer)
    assert update(trainer, batch=ignored(trainer))["loss"] == 0
    for name, value in weights(trainer).items():
        expected = before[name] * (0.9 if name.endswith("kernel") else 1)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.slow
def test_undecayed_parts_keep_their_weights(tmp_path):
    trainer = make(tmp_path, **SGD, **FROZEN, optimizer__weight_decay=0.1, optimizer__undecayed=("head",))
    before = weights(trainer)
    update(trainer, batch=ignored(trainer))
    shrunk = {name for name, value in weights(trainer).items() if not np.array_equal(value, before[name])}
    assert shrunk == {name for name in before if name.endswith("kernel") and not name.startswith("model/head.")}


def test_frozen_batch_norm_keeps_scales_offsets_and_statistics(tmp_path):
    trainer = make(tmp_path, **SGD, **FROZEN)
    before = weights(trainer)
    update(trainer)
    kept = {name for name, value in weights(trainer).items() if np.array_equal(value, before[name])}
    assert kept == {name for name in before if ".bn/" in name}
    saved = checkpoints.model_state(trainer.model)
    assert {name for name in saved if name.endswith("gamma")} <= kept


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_multipliers_scale_the_change_of_a_part(tmp_path, optimizer):
    """Also with Adam, for which scaling the gradient would change nothing."""
    settings = {**SGD, "schedule__learning_rate": 0.01, "optimizer__name": optimizer}
    changes = []
    for number, factors in enumerate(({}, {"encoder": 0.2, "head": 0.0})):
        trainer = make(tmp_path / str(number), **settings, optimizer__multipliers=factors)
        before = weights(trainer)
        update(trainer)
        changes.append({name: value - before[name] for name, value in weights(trainer).items()})
    for name, change in changes[0].items():
        factor = 1 if "moving" in name else {"encoder": 0.2, "head": 0}.get(models.part(name[len("model/") :]), 1)
        np.testing.assert_allclose(changes[1][name], factor * change, rtol=1e-3, atol=1e-6, err_msg=name)


def test_loss_at_the_networks_own_resolution(tmp_path):
    """With aligned corners the features stand on every fourth pixel of 33: the labels there, and no others, count."""
    trainer = make(tmp_path, **SGD, loss__resolution="features", model__decoder="did")
    batch = next(iter(trainer._batches(0)))
    logits = trainer.model(batch["image"], training=True)["main"].numpy()[:, ::4, ::4].astype(float)
    labels = batch["label"].numpy()[:, ::4, ::4]
    valid = labels != 255
    of_truth = np.take_along_axis(logits, np.where(valid, labels, 0)[..., None], -1)[..., 0]
    losses = np.log(np.exp(logits).sum(-1)) - of_truth
    assert update(trainer, batch=batch)["loss/main"] == pytest.approx(losses[valid].mean(), rel=1e-4)


@pytest.mark.parametrize("mixup", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_four_shifted_passes_make_the_update_of_the_finer_network(mixup, tmp_path):
    """At stride 8 with four passes, and at stride 4 with all dilations doubled (fcrn section 3.2)."""
    crop = {"data__crop": (64, 48), "data__mixup": mixup, "train__batch_size": 2}
    changes = []
    for number, options in enumerate(({"output_stride": 8, "dilation": 6}, {"output_stride": 4, "dilation": 12})):
        own = {**FCRN, "model": {**FCRN["model"], **options}}
        trainer = make(tmp_path / str(number), **SGD, **FROZEN, **own, **crop, train__shifted_passes=number == 0)
        before = weights(trainer)
        values = update(trainer)
        changes.append({"loss": values["loss"], **{n: v - before[n] for n, v in weights(trainer).items()}})
    assert changes[0].keys() == changes[1].keys()
    for name, change in changes[1].items():
        tolerance = 1e-6 + 1e-3 * np.abs(change).max()
        np.testing.assert_allclose(changes[0][name], change, rtol=0, atol=tolerance, err_msg=name)


def test_start_from_the_encoder_of_another_run(whole_run, tmp_path):
    trainer = make(tmp_path, train__encoder=str(whole_run[0]))
    with np.load(whole_run[0] / "best" / "weights.npz") as best:
        for name, value in weights(trainer).items():
            same = np.array_equal(value, best[name])
            assert same == (models.part(name[len("model/") :]) == "encoder") or np.ptp(value) == 0, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss", [{}, {"ohem_keep": 50}, {"ohem_threshold": 0.1, "ohem_keep": 9, "ohem_scope": "batch"}], ids=str
)
def test_micro_batches_equal_the_whole_batch(tmp_path, loss):
    """Also where the valid pixels are spread unevenly: the divisor is the whole batch's, with mining too (A3)."""
    changes, mining = [], {f"loss__{key}": value for key, value in loss.items()}
    for accumulate in (1, 2):
        trainer = make(tmp_path / str(accumulate), **SGD, **FROZEN, **mining, train__accumulate=accumulate)
        batch = next(iter(trainer._batches(0)))
        label = batch["label"].numpy()
        label[0] = 255
        before = weights(trainer)
        loss = update(trainer, batch={"image": batch["image"], "label": tf.constant(label)})["loss"]
        changes.append({"loss": loss, **{name: value - before[name] for name, value in weights(trainer).items()}})
    for name, change in changes[0].items():
        tolerance = 1e-6 + 1e-4 * np.abs(change).max()
        np.testing.assert_allclose(changes[1][name], change, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.slow
def test_clipping_bounds_the_update(tmp_path):
    trainer = make(tmp_path, **SGD, optimizer__clip_norm=0.01)
    before = [v.numpy() for v in trainer.train_step._weights()]
    norm = update(trainer)["gradient_norm"]
    change = [v.numpy() - old for v, old in zip(trainer.train_step._weights(), before)]
    assert norm > 0.1
    assert np.sqrt(sum((c.astype(float) ** 2).sum() for c in change)) == pytest.approx(0.01, rel=1e-2)


@pytest.mark.slow
def test_float16_skips_an_overflow_and_halves_the_scale(tmp_path):
    trainer = make(tmp_path, **SGD, train__precision="float16")
    scale = trainer.train_step.loss_scale.scale
    scale.assign(1e30)
    before = [v.numpy() for v in trainer.train_step._weights()]
    told = update(trainer)
    assert (told["skipped"], told["gradient_norm"]) == (1, 0)
    assert float(scale) == pytest.approx(5e29)
    assert all(np.array_equal(v.numpy(), old) for v, old in zip(trainer.train_step._weights(), before))
    scale.assign(1024)
    told = update(trainer)
    assert told["skipped"] == 0 and told["gradient_norm"] > 0
    assert float(scale) == 1024
    assert not np.array_equal(trainer.train_step._weights()[0].numpy(), before[0])


@pytest.mark.slow
def test_the_rate_is_that_of_the_updates_that_were_made(tmp_path):
    """The optimizer does not count a step that overflowed, and takes its rate by its count (A10)."""
    schedule = {"schedule__name": "poly", "schedule__power": 1.0, "schedule__learning_rate": 0.5}
    trainer = make(tmp_path, **{**SGD, **schedule}, train__precision="float16", train__steps=10)
    trainer.train_step.loss_scale.scale.assign(1e30)
    rates = [update(trainer, step=0)["learning_rate"]]
    trainer.train_step.loss_scale.scale.assign(1024)
    rates += [update(trainer, step=step)["learning_rate"] for step in (1, 2)]
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.45], rtol=1e-6)


def test_loss_scale_doubles_after_its_patience():
    scale = LossScale(True, initial=4.0, patience=2)
    seen = []
    for finite in (True, True, True, False, True, True):
        scale.update(tf.constant(finite))
        seen.append(float(scale.scale))
    assert seen == [4, 8, 8, 4, 4, 8]


@pytest.mark.slow
def test_mining_reports_what_it_kept(tmp_path):
    trainer = make(tmp_path, **SGD, loss__ohem_keep=50)
    values = update(trainer)
    assert 0 < values["ohem/kept"] < 0.2
    assert 0 < values["ohem/threshold"] < 1


def test_nan_stops_the_run_and_names_the_step(tmp_path):
    trainer = make(tmp_path, **{**SGD, "schedule__learning_rate": 1e30}, train__checkpoint_every=1)
    with pytest.raises(TrainingFailed, match=r"is (nan|inf).* at step 1;"):
        trainer.fit()
    assert not checkpoints.saved_steps(tmp_path / "checkpoints")


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"data__crop": (16, 33)}, "image height 16 is too small"),
        ({"train__batch_size": 3, "train__accumulate": 2}, "use a multiple of 2"),
        ({"train__steps": 0}, r"train\.steps must be a whole number, 1 or more"),
        ({"dataset__train_split": "test"}, "for `evaluate` alone"),
        ({"dataset__train_split": "trian"}, "trian"),
        ({"dataset__options": {"sizes": {"train": 0, "val": 2}}}, "empty"),
        ({"loss__output_weights": {"mian": 1.0}}, "mian"),
        ({"loss__class_weights": (1.0, 2.0)}, "2 entries"),
        ({"schedule__name": "linear"}, "schedule.name must be 'step' or .*, got 'linear'"),
        ({"optimizer__name": "lion9"}, "unknown optimizer"),
        ({"train__devices": "gpu:3"}, r"train\.devices"),
        ({"data__scale": (2.0, 1.0)}, r"data\.scale"),
        ({"train__ema": 1.0}, r"train\.ema"),
        ({"loss__resolution": "half"}, r"loss\.resolution must be 'full' or 'features', got 'half'"),
        ({"evaluate__options": {"simulation": True}}, "evaluate.options: model 'did' has no option 'simulation'"),
        ({"train__shifted_passes": True, "loss__resolution": "features"}, "needs a model with a halving to shift"),
        ({"train__shifted_passes": True, **FCRN, "loss__resolution": "full"}, 'needs loss.resolution="features"'),
        (
            {"optimizer__multipliers": {"backbone": 0.1}},
            "multipliers must be a map of encoder, decoder, head .*backbone",
        ),
        ({"optimizer__undecayed": ("logits",)}, "undecayed must be .*, each 'encoder' or .*, got .*logits"),
    ],
)
def test_bad_settings_fail_before_training(tmp_path, overrides, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **overrides)
    assert not (tmp_path / "checkpoints").exists()


def test_unwritable_run_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to run folder"):
        make(tmp_path / "file" / "run")
