"""`make cost`: what it counts, what it refuses to measure, and (slow) what it measures."""

import json

import program
import pytest
import tiny
from folders import make_imagenet

from did_tf import wiring
from did_tf.analysis import cost as counts
from did_tf.analysis import measures
from did_tf.inference import memory
from did_tf.programs.networks import cost, cost_text
from did_tf.runs.run_folder import RunFolder

SMALL = [f"--config.{key}={value}".replace(" ", "") for key, value in tiny.OVERRIDES.items()]
EXPERIMENT = ("--experiment=did_synthetic", "--run=/nonexistent", *SMALL)


def report(monkeypatch, capsys, *arguments, experiment=None):
    chosen = EXPERIMENT if experiment is None else (f"--experiment={experiment}", "--run=/nonexistent")
    assert program.run(monkeypatch, cost, *chosen, *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def model():
    config = tiny.config()
    return wiring.make_model(config, wiring.make_spec(config))


def test_what_is_counted(monkeypatch, capsys, model):
    """Of the first image to be scored, and of the crops of an update."""
    found = report(monkeypatch, capsys, "--config.train.accumulate=2")
    image, crop = counts.activations(model, 48, 64), counts.activations(model, 33, 33)
    assert found["parameters"] == measures.parameters(model)
    assert tuple(found["receptive_field"]) == measures.receptive_field(model)
    inference, training = found["inference"], found["training"]
    assert (inference["size"], inference["source"], inference["batch"]) == ([48, 64], "the first of synthetic val", 1)
    assert (inference["features"], inference["all_features"]) == (image.inference, image.outputs)
    assert inference["multiply_adds"] == measures.multiply_adds(model, 48, 64)
    assert (training["size"], training["batch"], training["at_once"]) == ([33, 33], 4, 2)
    assert (training["features"], training["all_features"]) == (2 * crop.training, 2 * crop.outputs)
    assert training["multiply_adds"] == 4 * measures.multiply_adds(model, 33, 33)
    assert inference["measured"] is training["measured"] is None
    memory = training["memory"]
    by_layer, shares = memory.pop("by_layer"), [value for key, value in memory.items() if key != "total"]
    assert inference["memory"] is None and memory["total"] == sum(shares) and min(shares) > 0
    assert memory["optimizer"] == 2 * 4 * measures.parameters(model)
    assert crop.training < sum(by_layer.values()) < memory["update"]


def test_of_what_is_classified_the_centre_crop_is_scored(monkeypatch, capsys, tmp_path):
    make_imagenet(tmp_path, size=(40, 60))
    given = [f"--data={tmp_path}", "--config.data.crop=(33,33)", "--config.model.width=4"]
    found = report(monkeypatch, capsys, *given, experiment="imagenet:resnet50")["inference"]
    assert (found["size"], found["source"]) == ([33, 33], "the centre crop that is scored")


def test_size_and_batch_can_be_others(monkeypatch, capsys, model):
    found = report(monkeypatch, capsys, "--size=64x96", "--batch=3")
    expected = counts.activations(model, 64, 96)
    assert found["inference"]["features"] == 3 * expected.inference
    assert found["training"]["features"] == 3 * expected.training
    assert found["training"]["source"] == "--size"


def test_losses_on_features_keep_less(monkeypatch, capsys):
    """The logits are not enlarged."""
    full, coarse = (report(monkeypatch, capsys, f"--config.loss.resolution={how}") for how in ("full", "features"))
    assert coarse["training"]["features"] < full["training"]["features"]


def test_shifted_passes_go_one_after_the_other(monkeypatch, capsys):
    """Four times the work with the features of one, though the network simulates with four at once in testing."""
    fcrn = [f"--config.model.{key}={value}" for key, value in {"name": "fcrn", "depth": 14, "width": 8}.items()]
    fcrn += ["--config.loss.resolution=features", "--size=64x64"]
    once = report(monkeypatch, capsys, *fcrn, experiment="fcrn50_camvid")
    shifted = ["--config.train.shifted_passes=True", "--config.model.simulation=True"]
    four = report(monkeypatch, capsys, *fcrn, *shifted, experiment="fcrn50_camvid")
    assert four["training"]["features"] == once["training"]["features"]
    assert four["training"]["multiply_adds"] == 4 * once["training"]["multiply_adds"]
    assert (
        once["inference"]["multiply_adds"] < four["inference"]["multiply_adds"] < 4 * once["inference"]["multiply_adds"]
    )


def test_it_is_printed_for_people(monkeypatch, capsys, model):
    assert program.run(monkeypatch, cost, *EXPERIMENT) == 0
    lines = capsys.readouterr().out.splitlines()
    side, _ = measures.receptive_field(model)
    assert lines[0].startswith("did_synthetic: did, ") and lines[0].endswith(f"receptive field {side:.0f}x{side:.0f}")
    assert lines[1] == "inference, 1 x 48x64 (the first of synthetic val), float32:"
    assert lines[3].endswith("MB in all layers")
    assert lines[4] == "training, 4 x 33x33 (the training crop), float32:"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--size=448"], "--size=448: it must be HEIGHTxWIDTH in pixels, such as 448x1024"),
        (["--size=0x9"], "--size=0x9: it must be HEIGHTxWIDTH"),
        (["--measure=all"], "--measure"),
        (["--config.train.accumulate=0"], "train.accumulate must be"),
        (["--config.train.recompute=2"], "train.recompute must be"),
        (
            ["--config.train.accumulate=3"],
            "train.batch_size=4 can't be shared by 1 devices x 3 micro-batches x 1 parts",
        ),
        (
            ["--config.train.accumulate=2", "--batch=5"],
            "--batch=5: train.batch_size=5 can't be shared by 1 devices x 2",
        ),
        (["--config.train.devices=cpu*2", "--batch=3"], "can't be shared by 2 devices x 1 micro-batches"),
    ],
)
def test_errors_are_one_line_and_status_2(monkeypatch, capsys, arguments, message):
    assert program.run(monkeypatch, cost, *EXPERIMENT, *arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error:") and message in errors[0]


def test_a_network_that_sees_everything_says_so_and_small_features_are_not_none(monkeypatch, capsys):
    arguments = ("--experiment=imagenet:resnet50", "--config.model.width=4", "--size=33x40", "--batch=1")
    assert program.run(monkeypatch, cost, *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("receptive field all of the image")
    assert 0 < float(lines[3].split()[1]) < 10


@pytest.mark.parametrize("kind", cost.KINDS)
def test_what_would_exhaust_the_machine_is_not_measured(monkeypatch, capsys, kind):
    monkeypatch.setattr(memory, "free_memory", lambda: 10**8)
    monkeypatch.setattr(cost, "_apart", None)
    assert program.run(monkeypatch, cost, *EXPERIMENT, f"--measure={kind}") == 2
    error = capsys.readouterr().err
    assert kind in error and "GB of memory, and 0.1 GB are free: measure less, by --size" in error


def test_inference_is_measured():
    case = cost._inference(tiny.config(), (48, 64), 2)
    found = cost.measure_inference(case, 0.0)
    assert found["seconds"] > 0 and found["calls"] == 3 and found["machine"]["cores"] >= 1


def test_an_update_is_measured_with_the_threads_and_the_second_labels_that_it_has(monkeypatch):
    shared, config = [], tiny.config(train__parts=2, data__mixup=0.5)
    monkeypatch.setattr(cost, "share_cores", shared.append)
    monkeypatch.setattr(cost.speed, "measure", lambda *arguments: cost.speed.Measured(1.0, 0.0, 3, 0))
    case = cost._training(config, RunFolder("nowhere"), None, 4)
    cost.measure_training(case, 0.0)
    batch = next(iter(cost._batches(case, cost.wiring.make_spec(config))))
    assert shared == [2] and {*batch} == {"image", "label", "other", "weight"}


@pytest.mark.slow
def test_both_are_measured_apart(monkeypatch, capsys):
    found = report(monkeypatch, capsys, "--measure=both", "--seconds=0.1")
    for kind in cost.KINDS:
        measured = found[kind]["measured"]
        assert measured["calls"] >= 3 and 0 < measured["seconds"] < 20 and 0 <= measured["memory"] < 3e9
    assert found["training"]["measured"]["seconds"] > found["inference"]["measured"]["seconds"]


@pytest.mark.slow
@pytest.mark.parametrize("loss", [{"class_balance": 0.5}, {"resolution": "features"}, {"ohem_keep": 8}])
def test_an_update_of_the_experiment_is_measured(loss):
    """Whatever its loss is, and without data to weigh classes by."""
    config = tiny.config(**{f"loss__{key}": value for key, value in loss.items()})
    assert cost.measure_training(cost._training(config, RunFolder("nowhere"), None, 2), 0.0)["seconds"] > 0


def test_what_was_measured_is_printed_with_its_spread():
    measured = {"seconds": 0.5, "spread": 0.01, "calls": 9, "memory": 250_000_000}
    part = {"size": [48, 64], "source": "--size", "batch": 4, "at_once": 2, "precision": "bfloat16"}
    part |= {"multiply_adds": 10**9, "features": 10**6, "all_features": 10**7, "measured": measured}
    memory = dict.fromkeys(("process", "optimizer", "graph", "batches", "update"), 4 * 10**8)
    part["memory"] = {**memory, "total": 2 * 10**9}
    assert cost_text._section("training", part) == [
        "training, 4 x 48x64 (--size), bfloat16:",
        "  multiply-adds  1.00 G, forward alone",
        "  features       1.00 MB kept for the backward pass (2 crops at once), 10 MB in all layers",
        "  memory         2.00 GB of the process: TensorFlow and the network 0.40, moments 0.40, "
        "the update's graph 0.40, batches 0.40, features and gradients 0.40",
        "  measured       0.5 s +- 0.01 (median of 9), 8 crops per second, peak memory 0.25 GB beside the weights",
    ]
