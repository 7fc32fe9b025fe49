"""A user's own data from training to serving: five bands of 16 bits, and photographs with depth."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import own_data
import pytest
import tensorflow as tf
import tiny
from PIL import Image
from served_here import ServedHere
from story import config, story

from data_pipelines import DataError, spec_of
from did_tf import wiring
from did_tf.common.errors import ConfigError
from did_tf.inference import export, inputs, outputs
from did_tf.runs import manifest as manifests
from did_tf.scoring.evaluation import MAIN

# What a small network learns in a minute.
LEARN = {
    "model": {"growth": 8, "units": (2, 2, 2, 2), "dropout": 0.0},
    "data": {"crop": (65, 65), "scale": (0.9, 1.1)},
    "schedule": {"warmup": 5, "learning_rate": 5e-3},
    "train": {"steps": 150, "batch_size": 4, "validate_every": 50, "progress": False},
    "evaluate": {"scales": (1.0,)},
}


def settings(changes):
    """As arguments of a program."""
    return [f"--config.{group}.{key}={value}" for group, keys in changes.items() for key, value in keys.items()]


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(
    ("make", "bands"), [(own_data.make_five_bands, 5), pytest.param(own_data.make_rgbd, 4, marks=pytest.mark.slow)]
)
def test_from_training_to_serving(make, bands, tmp_path, monkeypatch, capsys):
    data = make(tmp_path / "data", count=4)
    told = story("did_folders", data, tmp_path / "run", overrides={"evaluate.protocols": ["whole"]})
    assert told.dataset.spec.bands == bands and len(told.evaluation.images) == 1
    assert told.evaluation.matrices[MAIN].counts.sum() == 64 * 80

    # Predicted from files elsewhere, it is what was evaluated; the data set's own needn't be there.
    photos = tmp_path / "photos"
    parts = ["images"] if bands == 5 else ["rgb", "depth"]
    for part in parts:
        shutil.move(data / part, photos / part)
    model, spec, _ = wiring.load_network(told.config, told.run.folder)
    found = inputs.find_images(photos, tmp_path / "out", spec, wiring.make_parts(told.config))
    assert [Path(image.name).name for image in found] == [f"scene{number:02d}" for number in range(4)]
    image, mask = found[3].read()
    assert image.dtype == np.uint16 and image.shape == (64, 80, bands)
    predicted = told.predictor(image)  # of the same weights: nothing is traced anew
    seen = outputs.see(told.predictor, image, mask)
    outputs.write_results(tmp_path / "out", found[3].name, image, seen, spec)
    label = read(tmp_path / "out" / f"{found[3].name}_label.png")
    np.testing.assert_array_equal(label, predicted[MAIN].argmax(-1))
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (own_data.scene(3)[1], label), 1)
    np.testing.assert_array_equal(told.evaluation.matrices[MAIN].counts, counts)

    # Served, it gives the same.
    images = wiring.example_images(told.config, spec)
    assert "taking random images" in capsys.readouterr().out
    assert images[0].dtype == np.uint16 and images[0].shape[2] == bands
    np.testing.assert_allclose(images[0].mean((0, 1)), spec.mean, rtol=0.1)
    monkeypatch.setattr(export, "Served", ServedHere)  # what it needs is tested elsewhere
    result = export.export(model, spec, told.run.saved_model, [image])
    classes, probabilities = tiny.serve(result.path, image)
    np.testing.assert_allclose(probabilities, predicted[MAIN], atol=1e-4)
    loaded = tf.saved_model.load(str(result.path))
    taken = loaded.signatures[export.SIGNATURE].structured_input_signature[1]["image"]
    assert taken.dtype == tf.uint16 and taken.shape.as_list() == [None, None, None, bands]
    asset = json.loads((result.path / "assets" / "dataset.json").read_text())
    assert (asset["bands"], asset["dtype"]) == (bands, "uint16")
    assert tuple(asset["band_names"]) == spec.band_names and tuple(asset["mean"]) == spec.mean


# Files to predict


@pytest.fixture
def rgbd(tmp_path):
    """(spec, parts) of RGB-D data, whose files are in tmp_path/data."""
    data = own_data.make_rgbd(tmp_path / "data", count=4)
    settings = config("did_folders", data)
    return wiring.make_dataset(settings).spec, wiring.make_parts(settings)


def test_files_that_have_all_bands(rgbd, tmp_path):
    pixels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    own_data.write_tiff(tmp_path / "in" / "a.TIF", pixels)
    np.save(tmp_path / "in" / "b.npy", pixels + 1)
    a, b = inputs.find_images(tmp_path / "in", tmp_path / "out", *rgbd)
    np.testing.assert_array_equal(a.read()[0], pixels)
    np.testing.assert_array_equal(b.read()[0], pixels + 1)


def test_a_file_without_its_depth(rgbd, tmp_path):
    shutil.move(tmp_path / "data" / "rgb" / "scene00.png", tmp_path / "alone.png")
    (image,) = inputs.find_images(tmp_path / "alone.png", tmp_path / "out", *rgbd)
    with pytest.raises(DataError, match=r"alone\.png has 3 bands.*pass --input=dir with the subfolders rgb and depth$"):
        image.read()


def test_a_file_whose_depth_lies_beside_it(rgbd, tmp_path):
    (image,) = inputs.find_images(tmp_path / "data" / "rgb" / "scene00.png", tmp_path / "out", *rgbd)
    assert image.name == "scene00" and image.read()[0].shape[2] == 4


def test_an_image_without_its_depth(rgbd, tmp_path):
    (tmp_path / "data" / "depth" / "scene02.png").unlink()
    images = inputs.find_images(tmp_path / "data", tmp_path / "out", *rgbd)
    with pytest.raises(DataError, match=r"no file .*depth/scene02\.\* with bands of image 'scene02'"):
        images[2].read()
    assert images[3].read()[0].shape[2] == 4


def test_photographs_are_read_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8] = 200
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100)
    (image,) = inputs.find_images(tmp_path / "a.jpg", tmp_path / "out", spec_of("camvid"))
    upright, _ = image.read()
    assert upright.shape == (32, 16, 3)
    assert upright[:, 9:].min() > 190 and upright[:, :7].max() < 10  # what was on top is at the right


def test_a_photograph_is_not_turned_without_its_depth(rgbd, tmp_path):
    exif = Image.Exif()
    exif[274] = 3  # upside down: the sizes would fit
    photo = tmp_path / "data" / "rgb" / "scene00.png"
    with Image.open(photo) as image:
        image.load()
    image.save(photo, exif=exif)
    image, *_ = inputs.find_images(tmp_path / "data", tmp_path / "out", *rgbd)
    with pytest.raises(DataError, match="scene00.png is marked to be turned"):
        image.read()


def test_pictures_show_the_bands_of_the_colours(tmp_path):
    data = own_data.make_five_bands(tmp_path / "data", count=2, bands=["blue", "x", "red", "y", "green"])
    spec = wiring.make_dataset(config("did_folders", data)).spec
    image = np.zeros((20, 20, 5), np.uint16)
    image[10:, :, 2] = 40000  # red
    outputs.write_results(tmp_path / "out", "a", image, {MAIN: np.zeros((20, 20), np.uint8)}, spec)
    shown = read(tmp_path / "out" / "a_outputs.png")[-20:, :20, ::-1]
    assert (shown[10:] == (255, 0, 0)).all() and not shown[:10].any()


# What was trained, and what dataset.yaml says


def test_without_its_description_nothing_is_predicted(tmp_path):
    with pytest.raises(DataError, match="no dataset.yaml in .*gone"):
        wiring.load_network(config("did_folders", tmp_path / "gone"), tmp_path)


@pytest.mark.parametrize(("changed", "found"), [("classes", "class 0 is "), ("mean", "mean is ")])
def test_a_network_of_other_classes_or_pixels_is_not_used(changed, found, tmp_path):
    data = own_data.make_five_bands(tmp_path / "data", count=4)
    settings = config("did_folders", data)
    spec = wiring.make_dataset(settings).spec
    model = wiring.make_model(settings, spec)
    run = tiny.save_run(tmp_path / "run", settings, model)
    manifest = json.loads(json.dumps({"data": manifests.facts(spec)}))
    run.manifest.write_text(json.dumps(manifest))
    wiring.load_network(settings, run.folder)
    manifest["data"][changed].reverse()
    run.manifest.write_text(json.dumps(manifest))
    with pytest.raises(
        ConfigError, match=f"trained on other data than folders is: {found}.* and was .*; put the data's"
    ):
        wiring.load_network(settings, run.folder)


# The commands


def run(*command):
    """Output of a program that must succeed."""
    done = subprocess.run([sys.executable, "-m", "did_tf", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("make", [own_data.make_five_bands, own_data.make_rgbd])
def test_from_two_folders_to_a_trained_model_by_the_programs(make, tmp_path):
    files = make(tmp_path / "files", count=24)
    os.remove(files / "dataset.yaml")
    images, extras = ("images", ()) if make is own_data.make_five_bands else ("rgb", ("--extras", files / "depth"))
    data = tmp_path / "data"
    described = ("--images", files / images, "--labels", files / "labels", *extras, "--folder", data)
    assert "24 pairs" in run("describe-data", *described)
    hidden = [200, 200, 200] if extras else own_data.HIDDEN
    run("check-data", "--dataset=folders", f"--folder={data}", f"--output={tmp_path / 'audit'}")

    common = ["--experiment=did_folders", f"--data={data}", f"--run={tmp_path / 'run'}"]
    run("train", *common, *settings(LEARN))
    run("evaluate", *common)
    report = json.loads((tmp_path / "run" / "evaluation" / "val.json").read_text())
    spec = spec_of("folders", data)
    number = spec.label_colours.index(tuple(hidden)) if extras else hidden
    # Of two classes of the same size that nothing but the last band tells apart, IoU without it is 0.5 at best.
    assert report["outputs"][MAIN]["classes"][spec.classes[number]]["iou"] > 0.7

    source = files if extras else files / "images"
    run("predict", *common, f"--input={source}", f"--output={tmp_path / 'out'}")
    assert len(list((tmp_path / "out").glob("scene*_label.png"))) == 24
    assert "within" in run("export", *common)
    image, *_ = inputs.find_images(source, tmp_path / "none", spec, wiring.make_parts(config("did_folders", data)))
    classes, _ = tiny.serve(tmp_path / "run" / "saved_model", image.read()[0])
    assert np.mean(classes != read(tmp_path / "out" / "scene00_label.png")) < 1e-3  # ties in the last digit
