import json
import shutil

import cv2
import numpy as np
import pytest
import rasterio
import tiny
from photos import make_photos, picture
from pretended import pretend_openvino
from program import launch_here

import data_pipelines
import did_tf
from data_pipelines import DataError
from did_tf import wiring
from did_tf.common import files
from did_tf.common.errors import ConfigError
from did_tf.inference import large
from did_tf.inference.labelling import Task
from did_tf.inference.memory import Fitting
from did_tf.inference.predictor import Predictor
from did_tf.runs import temperature, weights
from did_tf.scoring.calibration import at_temperature

KINDS = ("label", "color", "overlay", "outputs")


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


@pytest.fixture
def folder(tmp_path):
    return make_photos(tmp_path / "images")


def test_output_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match="cannot write to output folder .*file: File exists; pass another --output=dir"
    ):
        files.check_output(tmp_path / "file")
    files.check_output(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()


def test_spec_needs_no_files():
    assert data_pipelines.spec_of("camvid", "/nonexistent").num_classes == 11
    assert data_pipelines.spec_of("synthetic", bands=5).bands == 5
    with pytest.raises(DataError, match="unknown dataset 'camvit'"):
        data_pipelines.spec_of("camvit")
    with pytest.raises(DataError, match="'camvid' has no option 'bands'"):
        data_pipelines.spec_of("camvid", bands=3)


def test_a_network_without_weights(tmp_path):
    with pytest.raises(ConfigError, match="no trained weights in .*train first"):
        wiring.load_network(tiny.config(), tmp_path)


def refuse(task):
    raise DataError("there is no memory for it")


def test_a_folder_is_predicted_but_for_what_is_damaged_and_later_the_rest(folder, tmp_path):
    # No data set is needed where images are given.
    config = tiny.config(dataset__name="camvid", dataset__folder="/nonexistent", dataset__options={})
    model = wiring.make_model(config, data_pipelines.spec_of("camvid"))
    run = tiny.save_run(tmp_path / "run", config, model)
    (folder / "day" / "a.png").write_bytes((folder / "day" / "a.png").read_bytes()[:200])
    arguments = ["--experiment=did_synthetic", f"--run={run.folder}", f"--input={folder}"]
    output = run.folder / "predictions"

    damaged = launch_here("predict", *arguments)
    assert damaged.returncode == 2
    assert f"4 predicted: {output}/NAME_label" in damaged.stdout
    assert "(0 to 10; 11 where there is no data)" in damaged.stdout
    assert f"error: day/a: cannot decode {folder / 'day' / 'a.png'}" in damaged.stderr
    assert "; all others are done: mended, the same command does the rest" in damaged.stderr

    shutil.copy(folder / "b.TIFF", folder / "day" / "a.png")
    with pytest.MonkeyPatch.context() as patch:
        pretend_openvino(patch)
        mended = launch_here("predict", *arguments)
    assert mended.returncode == 0 and f"1 predicted (4 more were there): {output}" in mended.stdout
    assert "--engine=auto: openvino, version 9.9 is installed" in mended.stdout
    of_images = json.loads((output / "predictions.json").read_text())["images"]
    assert {name: told["engine"] for name, told in of_images.items()} == {
        **dict.fromkeys(("a.jpg", "a.png", "b", "night/a"), "tensorflow"),
        "day/a": "openvino",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "check", refuse)
        scarce = launch_here("predict", *arguments, "--write=label,areas")
    told = "note: 5 images that were left out keep the results that they have, such as "
    assert scarce.returncode == 2 and told in scarce.stdout, scarce.stderr
    arguments.append("--probabilities")
    more = launch_here("predict", *arguments)
    assert more.returncode == 0 and f"5 predicted: {output}" in more.stdout
    for setting in ("evaluate.flip=True", "data.crop=(49, 33)"):  # on which large images depend
        others = launch_here("predict", *arguments, f"--config.{setting}")
        assert others.returncode == 2 and f"error: {output} holds results of other weights" in others.stderr

    written = {str(path.relative_to(output)) for path in output.rglob("*.*")}
    names = ("a.jpg", "a.png", "b", "day/a", "night/a")
    results = {f"{name}_{kind}.png" for name in names for kind in KINDS} | {f"{n}_probabilities.npy" for n in names}
    assert written == {"legend.png", "predictions.json", *results}
    probabilities = Predictor(model)(picture(20, 30, 4))["main"]
    np.testing.assert_array_equal(read(output / "night" / "a_label.png"), probabilities.argmax(-1))
    np.testing.assert_allclose(np.load(output / "night" / "a_probabilities.npy"), probabilities, atol=1e-6)

    loaded = did_tf.load(run.folder)
    loaded.predict_file(next((folder / "night").glob("a.*")), tmp_path / "python")
    for kind in KINDS:
        theirs, ours = output / "night" / f"a_{kind}.png", tmp_path / "python" / f"a_{kind}.png"
        assert ours.read_bytes() == theirs.read_bytes(), kind
    np.testing.assert_array_equal(loaded.predict(picture(20, 30, 4)), read(output / "night" / "a_label.png"))


def test_that_a_network_has_learnt_at_half_size_is_noted(tmp_path, capsys):
    config = tiny.config(dataset__name="cityscapes", dataset__folder="/nonexistent", dataset__options={"half": True})
    run = tiny.save_run(tmp_path / "run", config, wiring.make_model(config, wiring.make_spec(config)))
    cv2.imwrite(str(tmp_path / "a.png"), picture(20, 30, 4))
    of_run, told = ["--experiment=did_synthetic", f"--run={run.folder}"], "has learnt from frames at half size"
    done = launch_here("predict", *of_run, f"--input={tmp_path / 'a.png'}", "--write=label")
    assert done.returncode == 0 and done.stderr.count(told) == 1, done.stderr
    export = launch_here("export", *of_run, "--calibrated")
    assert told in export.stderr and "there is no temperature" in export.stderr
    did_tf.load(run.folder)
    assert told in capsys.readouterr().err


def test_confidence_is_at_the_runs_temperature_and_labels_are_the_same(tmp_path):
    config = tiny.config(dataset__name="camvid", dataset__folder="/nonexistent", dataset__options={})
    run = tiny.save_run(tmp_path / "run", config, wiring.make_model(config, data_pipelines.spec_of("camvid")))
    np.save(tmp_path / "scene.npy", picture(40, 30, 4))
    digest = weights.digest(run.best / "weights.npz")
    temperature.write(run.evaluation / "val_calibration.json", "val", "whole", digest, {"temperature": 0.1})
    arguments = ["--experiment=did_synthetic", f"--run={run.folder}", f"--input={tmp_path / 'scene.npy'}"]
    arguments += ["--write=label,confidence,probabilities"]
    plain = launch_here("predict", *arguments, f"--output={tmp_path / 'plain'}")
    calibrated = launch_here("predict", *arguments, f"--output={tmp_path / 'calibrated'}", "--calibrated")
    assert (plain.returncode, calibrated.returncode) == (0, 0), plain.stderr + calibrated.stderr
    before, after = (np.load(tmp_path / name / "scene_probabilities.npy") for name in ("plain", "calibrated"))
    np.testing.assert_allclose(after, at_temperature(before, 0.1), atol=1e-6)
    np.testing.assert_array_equal(np.load(tmp_path / "calibrated" / "scene_confidence.npy"), after.max(axis=-1))
    model = did_tf.load(run.folder, calibrated=True)
    np.testing.assert_allclose(model.predict(picture(40, 30, 4), probabilities=True), after, atol=1e-6)
    with pytest.raises(did_tf.ConfigError, match="holds results of other"):
        model.predict_file(tmp_path / "scene.npy", tmp_path / "plain")
    model.predict_file(tmp_path / "scene.npy", tmp_path / "calibrated")
    labels = [(tmp_path / name / "scene_label.png").read_bytes() for name in ("plain", "calibrated")]
    assert labels[0] == labels[1] and np.abs(after - before).max() > 0.01

    least, label = float(np.median(after.max(axis=-1))), read(tmp_path / "plain" / "scene_label.png")
    given = [*arguments, f"--output={tmp_path / 'sure'}", "--write=label,overlay", "--calibrated"]
    sure = launch_here("predict", *given, f"--least_confidence={least}")
    assert sure.returncode == 0 and "(0 to 10; 11 where there is no data, or it is not sure)" in sure.stdout
    expected = np.where(after.max(axis=-1) < np.float32(least), 11, label)
    np.testing.assert_array_equal(read(tmp_path / "sure" / "scene_label.png"), expected)
    overlay, unsure = read(tmp_path / "sure" / "scene_overlay.png"), expected == 11
    np.testing.assert_array_equal(overlay[unsure], picture(40, 30, 4)[unsure])
    shares = [(np.sum(label == n), 100 * np.mean(expected[label == n] == n)) for n in np.unique(label)]
    rows = {line.split()[0]: line.split()[1:] for line in sure.stdout.splitlines() if len(line.split()) == 3}
    assert all([str(pixels), f"{kept:.1f}"] in rows.values() for pixels, kept in shares)
    assert rows["all"] == ["1200", f"{100 * np.mean(expected != 11):.1f}"]
    none = {name for name, (pixels, kept) in rows.items() if kept in ("-", "0.0")}
    assert none and all(name in sure.stdout.partition("note: nothing is kept of ")[2] for name in none)
    again = launch_here("predict", *given, f"--least_confidence={least}")
    assert "0 predicted (1 more were there)" in again.stdout
    assert again.stdout.partition("pixels of each class")[2] == sure.stdout.partition("pixels of each class")[2]
    assert launch_here("predict", *given).returncode == 2, "labels of other pixels are not mixed in"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "each", lambda fitting, sizes: dict.fromkeys(sizes, "tiles_once"))
        tiled = launch_here("predict", *arguments, f"--output={tmp_path / 'tiled'}", "--write=label", "--calibrated")
    told = "note: 1 images go by protocol tiles_once, and the temperature is of whole: --protocol=tiles_once takes its"
    assert tiled.returncode == 0 and told in tiled.stdout, tiled.stderr


def test_a_large_image_is_labelled_in_rows_with_what_is_asked_for(tmp_path, monkeypatch):
    """The same labels by the command in rows beside a damaged one, by the command whole, and from Python in rows."""
    config = tiny.config(dataset__name="camvid", dataset__folder="/nonexistent", dataset__options={})
    model = wiring.make_model(config, data_pipelines.spec_of("camvid"))
    run = tiny.save_run(tmp_path / "run", config, model)
    (tmp_path / "scenes").mkdir()
    scene, torn = tmp_path / "scenes" / "scene.npy", tmp_path / "scenes" / "torn.tif"
    np.save(scene, picture(150, 70, 4))
    arguments = ["--experiment=did_synthetic", f"--run={run.folder}", "--protocol=tiles_once"]
    whole = launch_here("predict", *arguments, f"--input={scene}", f"--output={tmp_path / 'whole'}")
    size = {"height": 150, "width": 70, "count": 3, "dtype": "uint8"}
    with rasterio.open(torn, "w", driver="GTiff", blockysize=8, **size) as file:
        file.write(picture(150, 70, 4).transpose(2, 0, 1))
    torn.write_bytes(torn.read_bytes()[:1500])
    monkeypatch.setattr(large, "LARGE", 150 * 70)
    arguments += ["--write=label,entropy,polygons,areas"]
    rows = launch_here("predict", *arguments, f"--input={tmp_path / 'scenes'}", f"--output={tmp_path / 'rows'}")
    assert (whole.returncode, rows.returncode) == (0, 2), whole.stderr + rows.stderr
    assert f"error: torn: cannot decode {torn}" in rows.stderr
    assert (
        "1 predicted: " in rows.stdout
        and "NAME_label, NAME_entropy, NAME_polygons.geojson, NAME_areas.csv" in rows.stdout
    )
    assert {path.name for path in (tmp_path / "rows").glob("scene_*")} == {
        "scene_label.tif",
        "scene_entropy.npy",
        "scene_polygons.geojson",
        "scene_areas.csv",
    }
    expected = read(tmp_path / "whole" / "scene_label.png")
    np.testing.assert_array_equal(read(tmp_path / "rows" / "scene_label.tif"), expected)
    did_tf.load(run.folder).predict_file(scene, tmp_path / "python", write=["label", "margin"])
    np.testing.assert_array_equal(read(tmp_path / "python" / "scene_label.tif"), expected)


@pytest.mark.parametrize("least", ["1.5", "-0.1", "nan"])
def test_what_is_no_probability(least):
    done = launch_here("predict", "--experiment=did_synthetic", f"--least_confidence={least}")
    assert done.returncode == 2 and f"--least_confidence={least}: it must be a probability, 0 to 1" in done.stderr


@pytest.mark.parametrize("write, told", [("lable", "--write=lable: it must be"), ("", "--write is empty")])
def test_what_nobody_can_write(write, told):
    done = launch_here("predict", "--experiment=did_synthetic", f"--write={write}")
    assert done.returncode == 2 and told in done.stderr and "label, color" in done.stderr
