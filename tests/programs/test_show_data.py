"""`make show-data`: that it shows what training sees, of any bands, and where."""

import dataclasses
import itertools

import cv2
import numpy as np
import program
import pytest
import tiny
from folders import make_imagenet

from data_pipelines import DataError
from data_pipelines.pipeline import Loader, training_batches
from data_pipelines.spec import IGNORE, Dataset, DatasetSpec, Sample
from did_tf import wiring
from did_tf.programs import show_data

SMALL = [f"--config.{key}={value}" for key, value in tiny.OVERRIDES.items() if key.startswith(("dataset", "data."))]
SMALL = [override.replace(" ", "") for override in SMALL if "sizes" not in override]
SMALL += ["--config.data.blur=1.0", "--config.data.balance=0.5"]
PALETTE = ((200, 0, 0), (0, 200, 0), (0, 0, 200))


def read(path):
    return cv2.imread(str(path))[..., ::-1]


def tile(sheets, number):
    """(image, label) of crop `number` on the sheets, three in a row and twelve on each, under a title of 16 pixels."""
    row, column = divmod(number % 12, 3)
    top, left = 12 + row * (16 + 165 + 12) + 16, 12 + column * (165 + 4 + 165 + 12)
    part = sheets[number // 12][top : top + 165]
    return part[:, left : left + 165], part[:, left + 169 : left + 334]


def shown(label, palette):
    """The coloured label, enlarged as crops of 33 pixels are; void is black."""
    return (
        np.array([*palette, *[(0, 0, 0)] * (256 - len(palette))], np.uint8)[label].repeat(5, axis=0).repeat(5, axis=1)
    )


def test_the_first_crops_of_training_are_shown(monkeypatch, capsys, tmp_path):
    arguments = ("--experiment=did_synthetic", f"--run={tmp_path}", "--count=14", "--config.seed=3", *SMALL)
    assert program.run(monkeypatch, show_data, *arguments) == 0
    settings = tiny.config(dataset__options__sizes=None, data__blur=1.0, data__balance=0.5, seed=3)
    dataset = wiring.make_dataset(settings)
    loader = Loader(dataset, "train", cache=False)
    batches = training_batches(loader, wiring.make_augmentation(settings), 7, seed=3)
    images, labels = (
        np.concatenate([batch[key] for batch in itertools.islice(batches, 2)]) for key in ("image", "label")
    )
    sheets = [read(tmp_path / "data" / f"crops_{part}.png") for part in ("1-12", "13-14")]
    for number, (image, label) in enumerate(zip(images, labels)):
        rgb = np.clip(np.round(image), 0, 255).astype(np.uint8).repeat(5, axis=0).repeat(5, axis=1)
        np.testing.assert_array_equal(tile(sheets, number)[0], rgb)
        np.testing.assert_array_equal(tile(sheets, number)[1], shown(label, dataset.spec.palette))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"the first 14 crops of training on {len(loader)} samples of synthetic"
    voids = [f"void {100 * np.mean(label == IGNORE):.1f} %" for label in labels]
    assert [line[6:18].strip() for line in lines[1:15]] == voids
    assert lines[15] == f" all  void {100 * np.mean(labels == IGNORE):.1f} %"
    pictures = [f"picture: {tmp_path / 'data' / name}" for name in ("crops_1-12.png", "crops_13-14.png", "draws.png")]
    assert lines[16:] == pictures
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"], "no run is started"


class Bands(Dataset):
    """Images of one value, 1000 times their number, in five bands of 16 bits or as floats."""

    def __init__(self, dtype):
        names = ("infrared", "blue", "green", "red", "depth")
        mean, std = (500.0, 1000.0, 1000.0, 1000.0, 9.0), (100.0, 800.0, 800.0, 800.0, 0.0)
        self.spec = DatasetSpec("bands", ("a", "b", "c"), PALETTE, {}, mean, std, dtype=dtype, band_names=names)

    def samples(self, split):
        return [Sample(f"{split} {number}") for number in range(3)]

    def read(self, sample):
        number = int(sample.name.split()[1])
        image = np.zeros((40, 50, 5), self.spec.dtype)
        image[..., [3, 2, 1]] = np.array([0, 1000, 2000])[(np.arange(3) + number) % 3]
        return image, np.full((40, 50), number, np.uint8)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_red_green_and_blue_of_other_data_are_shown_about_their_mean(dtype):
    dataset = Bands(dtype)
    settings = tiny.config(data__noise=0.01, data__hue=0.002)
    crops = show_data.first_crops(Loader(dataset, "train", False), wiring.make_augmentation(settings), 0, 6)
    assert sorted(crop.number for crop in crops[:3]) == [0, 1, 2]
    for crop in crops:
        assert set(np.unique(crop.label)) <= {crop.number, IGNORE}
        image, label = show_data._pictures(crop.image, crop.label, dataset.spec)
        assert image.shape == label.shape == (165, 165, 3)
        np.testing.assert_array_equal(label, shown(crop.label, PALETTE))
        # 1000 below the mean is 1.25 deviations of the 2.5 to black, and 1000 above likewise to white.
        colour = np.array([64, 127, 191])[(np.arange(3) + crop.number) % 3]
        np.testing.assert_allclose(np.median(image[label.any(axis=-1)], axis=0), colour, atol=6)


def test_void_has_a_colour_that_no_class_has(tmp_path):
    spec = DatasetSpec("dark", ("a", "b"), ((0, 0, 0), (0, 200, 0)), {}, (100.0,) * 3, (50.0,) * 3)
    label = np.full((160, 160), IGNORE, np.uint8)
    label[:80] = 0
    _, coloured = show_data._pictures(np.zeros((160, 160, 3), np.float32), label, spec)
    assert coloured[0, 0].tolist() == [0, 0, 0] and coloured[-1, -1].tolist() == [255, 255, 255]
    show_data._save(tmp_path / "sheet.png", [coloured], dataclasses.replace(spec, palette=((0, 0, 0), (255, 255, 255))))
    # The third swatch of the legend, which is right of a sheet of 160 pixels with its margin and the gap.
    assert read(tmp_path / "sheet.png")[12 + 2 * 22 + 11, 12 + 160 + 12 + 14].tolist() == [1, 1, 1]


def test_classification_shows_the_class(monkeypatch, capsys, tmp_path):
    make_imagenet(tmp_path / "data")
    (tmp_path / "seen").mkdir()
    for name in ("crops_13-24.png", "crops.png"):  # of an earlier call, and of somebody else
        (tmp_path / "seen" / name).touch()
    arguments = ("--experiment=sunet_imagenet", f"--data={tmp_path / 'data'}", f"--output={tmp_path / 'seen'}")
    assert program.run(monkeypatch, show_data, *arguments, "--count=12", "--config.data.crop=(24,24)") == 0
    lines = capsys.readouterr().out.splitlines()
    for line in lines[1:13]:
        _, shown_class, name = line.split()
        assert name.split("_")[0].endswith(shown_class)
    assert lines[13] == f"picture: {tmp_path / 'seen' / 'crops_1-12.png'}"
    assert read(tmp_path / "seen" / "draws.png").shape[1] > 4 * 160
    assert {path.name for path in (tmp_path / "seen").iterdir()} == {"crops_1-12.png", "draws.png", "crops.png"}


@pytest.mark.parametrize("side, size", [(1, 160), (33, 165), (160, 160), (400, 400), (1000, 400)])
def test_pictures_are_of_a_size_to_be_looked_at(side, size):
    picture = np.zeros((side, side, 3), np.uint8)
    assert show_data._sized(picture, cv2.INTER_AREA).shape == (size, size, 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--experiment=did_synthetic", "--config.data.hue=0.7"], "data.hue must be a number in [0, 0.5], got 0.7"),
        (["--experiment=did_camvid", "--data=/nowhere"], "no CamVid in /nowhere"),
        (["--experiment=did_synthetic", "--output=/proc/nowhere"], "cannot write to output folder /proc/nowhere"),
    ],
)
def test_errors_are_one_line_and_status_2(monkeypatch, capsys, tmp_path, arguments, message):
    assert program.run(monkeypatch, show_data, f"--run={tmp_path}", *arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error:") and message in errors[0]


def test_what_the_data_cannot_have_is_told_before_anything_is_read():
    dataset = Bands("uint16")
    dataset.spec = DatasetSpec("grey", ("a",), PALETTE[:1], {}, (1.0,), (1.0,))
    with pytest.raises(DataError, match="data.hue and data.saturation need the bands red, green and blue"):
        settings = wiring.make_augmentation(tiny.config(data__hue=0.1))
        show_data.first_crops(Loader(dataset, "train", False), settings, 0, 1)
