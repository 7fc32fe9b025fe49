import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny

import data_pipelines
from data_pipelines import DataError, DatasetSpec
from did_tf import wiring
from did_tf.common import files, visualize
from did_tf.common.errors import ConfigError
from did_tf.inference import pictures
from did_tf.inference.predictor import Predictor

PROJECT = Path(pictures.__file__).parents[2]
PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
SPEC = DatasetSpec("three", ("a", "b", "c"), PALETTE, {}, mean=(0.0,) * 3, std=(1.0,) * 3)
KINDS = ("label", "color", "overlay", "outputs")


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def read(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def certain(ids):
    """Probabilities of which `ids` [H, W] are the classes."""
    return np.eye(3, dtype=np.float32)[ids]


@pytest.fixture
def folder(tmp_path):
    """a.png, a.jpg, b.TIFF, day/a.png, night/a.PNG, and what is no image."""
    source = tmp_path / "images"
    for number, name in enumerate(("a.png", "a.jpg", "b.TIFF", "day/a.png", "night/a.PNG", ".thumbs/a.png", "._a.png")):
        pixels = picture(20, 30, number)[..., ::-1]
        files.write_file(source / name, cv2.imencode(Path(name).suffix, pixels)[1].tobytes())
    (source / "a.txt").write_text("notes")
    return source


def test_images_are_found_in_subfolders_and_names_are_unique(folder, tmp_path):
    found = pictures.find_images(folder, tmp_path / "out", SPEC)
    assert [name for name, _ in found] == ["a.jpg", "a.png", "b", "day/a", "night/a"]
    np.testing.assert_array_equal(dict(found)["night/a"](), picture(20, 30, 4))
    np.testing.assert_array_equal(dict(found)["day/a"](), picture(20, 30, 3))


def test_a_single_image(folder):
    ((name, read_it),) = pictures.find_images(str(folder / "b.TIFF"), folder, SPEC)
    assert name == "b"
    np.testing.assert_array_equal(read_it(), picture(20, 30, 2))


def test_earlier_results_are_no_input(folder):
    before = pictures.find_images(folder, folder / "out", SPEC)
    visualize.save_png(folder / "out" / "day" / "a_color.png", picture(5, 5))
    assert [name for name, _ in pictures.find_images(folder, folder / "out", SPEC)] == [name for name, _ in before]


def test_results_do_not_mix_with_the_images(folder):
    with pytest.raises(ConfigError, match="would mix with the images"):
        pictures.find_images(folder, folder / "day" / "..", SPEC)


def test_nothing_there(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=f"no images in {tmp_path} or its subfolders: looked for .bmp .jpeg"):
        pictures.find_images(tmp_path, tmp_path / "out", SPEC)
    with pytest.raises(DataError, match="no image or folder .*missing"):
        pictures.find_images(tmp_path / "missing", tmp_path / "out", SPEC)


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    ((_, read_it),) = pictures.find_images(tmp_path, tmp_path / "out", SPEC)
    with pytest.raises(DataError, match=r"broken\.png"):
        read_it()


def test_output_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match="cannot write to output folder .*file: File exists; pass another --output=dir"
    ):
        files.check_output(tmp_path / "file")
    files.check_output(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()


def test_pictures(tmp_path):
    image, ids = picture(40, 60), np.tile([0, 1, 2], (40, 20))
    outputs = {"main": certain(ids), "block2": certain(ids * 0 + 1), "block3": certain(ids * 0 + 2)}
    pictures.write_pictures(tmp_path, "day/a", image, outputs, SPEC)
    assert sorted(path.name for path in (tmp_path / "day").iterdir()) == sorted(f"a_{kind}.png" for kind in KINDS)

    label, color, overlay, panels = (read(tmp_path / "day" / f"a_{kind}.png") for kind in KINDS)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, ids)
    np.testing.assert_array_equal(color, np.array(PALETTE)[ids])
    assert abs(overlay - (image / 2 + color / 2)).max() <= 1
    # Under their titles, 4 pixels apart: image, block3, block2, block1.
    columns = [panels[-40:, start : start + 60] for start in range(0, panels.shape[1], 64)]
    expected = [image, np.full((40, 60, 3), PALETTE[2]), np.full((40, 60, 3), PALETTE[1]), color]
    np.testing.assert_array_equal(columns, expected)


@pytest.mark.parametrize(
    ("outputs", "titles"),
    [
        (("main", "block2", "block3"), ["image", "block3", "block2", "block1"]),
        (("main", "aux"), ["image", "aux", "main"]),
        (("main",), ["image", "main"]),
    ],
)
def test_panels_go_from_coarse_to_fine(outputs, titles, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(visualize, "side_by_side", lambda pictures, names: seen.extend(names) or pictures[0])
    ids = np.zeros((20, 20), int)
    pictures.write_pictures(tmp_path, "a", picture(20, 20), {name: certain(ids) for name in outputs}, SPEC)
    assert seen == titles


def test_panels_of_large_images_are_thinned_out(tmp_path):
    ids = np.zeros((30, 2050), int)
    pictures.write_pictures(tmp_path, "a", picture(30, 2050), {"main": certain(ids)}, SPEC)
    assert read(tmp_path / "a_outputs.png").shape[1] == 2 * 684 + 4
    assert read(tmp_path / "a_label.png").shape == (30, 2050)


def test_images_of_a_split():
    config = tiny.config()
    dataset = wiring.make_dataset(config)
    images = pictures.split_images(wiring.make_dataset(config), "val", 2)
    assert [name for name, _ in images] == ["val_00000", "val_00001"]
    for (_, read_it), sample in zip(images, dataset.samples("val")):
        np.testing.assert_array_equal(read_it(), dataset.read(sample)[0])


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


def test_program_needs_no_data_set_where_images_are_given(folder, tmp_path):
    config = tiny.config(dataset__name="camvid", dataset__folder="/nonexistent", dataset__options={})
    model = wiring.make_model(config, data_pipelines.spec_of("camvid"))
    run = tiny.save_run(tmp_path / "run", config, model)
    command = [sys.executable, "-m", "did_tf", "predict", "--experiment=did_synthetic", f"--run={run.folder}"]
    done = subprocess.run([*command, f"--input={folder}"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    output = run.folder / "predictions"
    assert f"5 predicted: {output}" in done.stdout
    written = {str(path.relative_to(output)) for path in output.rglob("*.png")}
    names = ("a.jpg", "a.png", "b", "day/a", "night/a")
    assert written == {"legend.png", *(f"{name}_{kind}.png" for name in names for kind in KINDS)}
    expected = Predictor(model)(picture(20, 30, 4))["main"].argmax(-1)
    np.testing.assert_array_equal(read(output / "night" / "a_label.png"), expected)
