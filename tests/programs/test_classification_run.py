"""From a folder of classified images to a trained, scored and exported network, which a segmentation starts from."""

import json

import folders
import numpy as np
import own_data
import program
import pytest
import tensorflow as tf
import tiny

from did_tf import models, wiring
from did_tf.inference import export
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder, read_json, read_metrics

RESNET = {
    "name": "classifier",
    **models.own_options("classifier"),
    "encoder": "resnet14",
    "width": 8,
    "bn_epsilon": 1e-6,
}
SUNET = {"name": "sunet", "filters": 4, "depth": 1, "widths": (8, 12, 16, 20)}


def settings(data, **overrides):
    own = {
        "dataset": {**tiny.config()["dataset"], "name": "imagenet", "folder": str(data), "options": {}},
        "model": RESNET,
        "data__crop": (32, 32),
        "data__area": (0.5, 1.0),
        "schedule__learning_rate": 0.01,
        "train__batch_size": 6,
        "train__steps": 30,
        "train__validate_every": 30,
        "paper": {"split": "val", "top1_error": 29.28, "top5_error": 10.21},
    }
    return tiny.config(**{**own, **overrides})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classification")
    folders.make_imagenet(folder / "data")
    config = settings(folder / "data")
    run = RunFolder(folder / "run")
    return config, run, wiring.make_trainer(config, run).fit()


def test_it_learns_three_colours(trained):
    """Each class is a colour under noise: by chance a third would be right."""
    _, run, best = trained
    assert best > 0.8
    last = read_metrics(run.metrics)[-1]
    assert float(last["val_top1_accuracy"]) == pytest.approx(best, abs=1e-6)
    assert float(last["val_top5_accuracy"]) == 1
    assert read_json(run.best / "metrics.json")["top1_accuracy"] == pytest.approx(best)


def launch(name, run):
    return program.launch(name, "--experiment=did_synthetic", f"--run={run.folder}")


@pytest.mark.slow
def test_it_is_evaluated_beside_the_papers_figures(trained):
    _, run, best = trained
    done = launch("evaluate", run)
    assert done.returncode == 0, done.stderr
    assert "29.28" in done.stdout
    report = json.loads((run.evaluation / "val.json").read_text())
    assert report["outputs"]["main"]["top1_error"] == pytest.approx(1 - best)


@pytest.mark.slow
def test_there_is_nothing_to_picture(trained):
    done = launch("predict", trained[1])
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: imagenet is for classification")


@pytest.mark.slow
def test_it_is_exported(trained, tmp_path):
    config, run, _ = trained
    model, spec, _ = wiring.load_network(config, run.folder)
    images = wiring.example_images(config, spec)
    export.export(model, spec, tmp_path / "saved_model", images)
    classes, probabilities = tiny.serve(tmp_path / "saved_model", images[0])
    assert classes == probabilities.argmax() and probabilities.shape == (3,)


def test_exports_are_judged_by_accuracy(trained):
    config, run, best = trained
    model, _, _ = wiring.load_network(config, run.folder)

    def probabilities(images):
        assert images.dtype == np.uint8
        return tf.nn.softmax(model(images.astype(np.float32), training=False)["main"]).numpy()

    assert wiring.make_score(config, model, None)(probabilities) == pytest.approx(best, abs=1e-6)


FCRN = {"name": "fcrn", **models.own_options("fcrn"), "depth": 14, "width": 8, "kernel": 3, "dilation": 2}
BANDS = ("red", "green", "blue", "nir")


@pytest.fixture
def four_bands(tmp_path):
    """Settings of a classification of TIFFs with four bands."""
    draw = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "data" / ("train", "val")[number // 6] / f"class{number % 2}" / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        own_data.write_tiff(path, draw.integers(0, 4000, (40, 44, 4)).astype(np.uint16))
    pixels = {"bands": BANDS, "dtype": "uint16", "mean": (2000.0,) * 4, "std": (1000.0,) * 4}
    dataset = {**tiny.config()["dataset"], "name": "imagenet", "folder": str(tmp_path / "data"), "options": pixels}
    small = {"train__steps": 2, "train__validate_every": 2, "train__batch_size": 2, "schedule__warmup": 0}
    return settings(tmp_path / "data", dataset=dataset, **small)


def test_a_classifier_of_four_bands_lends_its_encoder_to_segmentation(four_bands, tmp_path, capsys):
    """The first kernel keeps what the colours have in it, and all else is the same."""
    pretrained = RunFolder(tmp_path / "pretrained")
    wiring.make_trainer(four_bands, pretrained).fit()
    segmentation = tiny.config(model=FCRN, data__crop=(33, 33), train__encoder=str(pretrained.folder))
    model = wiring.make_trainer(segmentation, RunFolder(tmp_path / "run")).model
    told = (
        "trained with other settings: of classifier, here fcrn, bn_epsilon (1e-06, here 1e-05); its first layer, which"
    )
    assert told in capsys.readouterr().out
    taken = []
    with np.load(pretrained.best / "weights.npz") as best:
        for name, variable in checkpoints.model_state(model).items():
            if models.part(name[len("model/") :]) == "encoder":
                expected = best[name] if "stem.conv1.conv" not in name else best[name][:, :, :3] * np.float32(4 / 3)
                np.testing.assert_array_equal(tf.convert_to_tensor(variable), expected, err_msg=name)
                taken.append(name)
    assert len(taken) > 60 and any("moving_mean" in name for name in taken)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"model": SUNET}, "the model sunet is for segmentation, the data set imagenet for classification"),
        ({"loss__resolution": "features"}, "is for segmentation; this model classifies images"),
    ],
)
def test_tasks_that_do_not_fit_are_told(trained, tmp_path, overrides, message):
    data = trained[0]["dataset"]["folder"]
    with pytest.raises(ValueError, match=message):
        wiring.make_trainer(settings(data, **overrides), RunFolder(tmp_path))
